"""Which image trains, which validates, which tests."""

import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import train_test_split

from medgrid.data import HELD_OUT, PARTS, UNLABELLED
from medgrid.data.clusters import SAME_PICTURE, cluster_ids, read_images
from medgrid.utils.errors import MedgridError
from medgrid.utils.files import atomic_write


def clusters(images: pd.DataFrame, pairs: pd.DataFrame) -> np.ndarray:
    """Number of the cluster of each image: images of one picture (see `find_pairs`) or group belong together.

    All relations chain: if a copy of one patient's image lies under another patient's name, all images of both are
    one cluster.
    """
    # an image without a group is a group of its own; paths are unique
    groups = images["group"].where(images["group"] != "", images["path"])
    # a graph whose nodes are pictures and groups, and whose edges are the images
    pictures, groups = cluster_ids(len(images), pairs, SAME_PICTURE), pd.factorize(groups)[0]
    groups = groups + pictures.max() + 1
    size = groups.max() + 1
    graph = coo_matrix((np.ones(len(images)), (pictures, groups)), shape=(size, size))
    return pd.factorize(connected_components(graph, directed=False)[1][pictures])[0]


def _balanced(images: pd.DataFrame, seed: int) -> pd.DataFrame:
    """As many images of each class as the smallest has, drawn at random."""
    drawn = images.iloc[np.random.default_rng(seed).permutation(len(images))]
    kept = drawn[drawn.groupby("label").cumcount() < images["label"].value_counts().min()]
    return kept.sort_index()


def _part_of(units: pd.DataFrame, settings: dict, images: int) -> pd.Series:
    """Split units (images, or clusters of them), stratified by label; amounts may be counts of images."""

    def share(amount: int | float, of: float) -> float:
        return amount / of if isinstance(amount, int) else amount

    own_validation = settings["validation"] != "test"
    test = share(settings["test"], images)
    validation = share(settings["validation"], images) / (1 - test) if own_validation and test < 1 else 0.0
    if test >= 1 or validation >= 1:
        held_out = f"{settings['test']} test" + (
            f" and {settings['validation']} validation" if own_validation else ""
        )
        raise MedgridError(f"split: {held_out} images leave none of {images} to train on")
    seed = settings["seed"]
    trained, tested = train_test_split(
        units, test_size=round(test * len(units)), stratify=units["label"], random_state=seed
    )
    frames = {"test": tested}
    if own_validation:
        trained, frames["validation"] = train_test_split(
            trained, test_size=round(validation * len(trained)), stratify=trained["label"], random_state=seed
        )
    frames["train"] = trained
    return pd.concat([pd.Series(part, index=frame.index) for part, frame in frames.items()])


def most_frequent_labels(images: pd.DataFrame) -> pd.DataFrame:
    """One row for each cluster, with its label; of equally frequent ones the first in the alphabet."""
    counts = images.groupby(["cluster", "label"]).size().rename("count").reset_index()
    counts = counts.sort_values(["cluster", "count", "label"], ascending=[True, False, True])
    return counts.drop_duplicates("cluster").set_index("cluster")[["label"]]


def assign(images: pd.DataFrame, settings: dict, pairs: pd.DataFrame) -> pd.DataFrame:
    """Add `cluster`, `part` and `near-duplicate` to the images of an inventory, in their order; the index goes with its image.

    near-duplicate: of a test or validation image, whether an image that trains shows the same picture (yes or no).

    protocol published: images are dealt out one by one, stratified, as the studies did.
    protocol clean: whole clusters are dealt out, stratified by their most frequent label, so that neither a copy nor
    a near-duplicate of a training image is ever tested; the parts' sizes then scatter around the wanted ones by a few images.

    use, balanced: images left out have no row. They are drawn one by one under either protocol, and before anything
    is dealt out; images that a left-out one ties together stay in one cluster. Under the clean protocol, where
    clusters differ in size, each part's classes are therefore equal up to a few images.
    validation test: a test image has a second row, as a validation image.
    Images with an empty label get part `unlabelled` and never train.
    """
    images = images.assign(cluster=clusters(images, pairs))
    labelled = images[images["label"] != ""]
    try:
        if settings["use"]:
            labelled, _ = train_test_split(
                labelled, train_size=settings["use"], stratify=labelled["label"], random_state=settings["seed"]
            )
            labelled = labelled.sort_index()
        if settings["balanced"]:
            labelled = _balanced(labelled, settings["seed"])
        if settings["protocol"] == "published":
            labelled = labelled.assign(part=_part_of(labelled, settings, len(labelled)))
        else:
            part = _part_of(most_frequent_labels(labelled), settings, len(labelled))
            labelled = labelled.assign(part=labelled["cluster"].map(part))
    except ValueError as error:
        raise MedgridError(f"split: {error} Change the study's split: test, validation or use.") from None
    parts = [labelled, images[images["label"] == ""].assign(part=UNLABELLED)]
    if settings["validation"] == "test":
        parts.insert(0, labelled[labelled["part"] == "test"].assign(part="validation"))
    table = pd.concat(parts).sort_index(kind="stable")
    picture = cluster_ids(len(images), pairs, SAME_PICTURE)[images.index.get_indexer(table.index)]
    learned = np.isin(picture, picture[table["part"] == "train"])
    return table.assign(near_duplicate=np.where(table["part"].isin(HELD_OUT), np.where(learned, "yes", "no"), ""))


def write_split(settings: dict, inventory: str, near_duplicates: str, target: str) -> None:
    """Write the CSV `target`: row (of the tensors), path, label, part (train, validation, test, unlabelled), cluster,
    near-duplicate (see `assign`).

    Images that do not decode or are left out have no row here, test images that validate too have two; `row` is still
    the image's place in the tensors. Raises MedgridError when the sizes cannot be had.
    """
    images = read_images(inventory)
    table = assign(images, settings, pd.read_csv(near_duplicates)).rename_axis("row").reset_index()
    for part in PARTS:
        held = set(table.loc[table["part"] == part, "label"])
        if missing := sorted(set(images["label"]) - held - {""}):
            raise MedgridError(
                f"split: of the {(images['label'] == missing[0]).sum()} images of class {missing[0]} none is for "
                f"{part}; change the study's split (test, validation, use), or gather more"
            )
    counts = table["part"].value_counts()
    shown = [*PARTS, UNLABELLED] if UNLABELLED in counts else PARTS
    text = "medgrid: split: " + ", ".join(f"{counts.get(part, 0)} {part}" for part in shown)
    if left := len(images) - table["row"].nunique():
        text += f"; {left} left out"
    tested = table[table["part"] == "test"]
    text += f"; {(tested['near_duplicate'] == 'yes').sum()} of the test images show a picture that trains"
    print(text)
    with atomic_write(target) as temporary:
        table[["row", "path", "label", "part", "cluster", "near_duplicate"]].to_csv(temporary, index=False)
