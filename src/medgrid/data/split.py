"""Split images into parts train, validation and test."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from medgrid.data import HELD_OUT, PARTS, UNLABELLED
from medgrid.data.clusters import NEAR_DUPLICATES, cluster_ids, cluster_ids_with_groups, read_images
from medgrid.data.nearest_thumbnail import lookup_labels
from medgrid.data.series import series_ids
from medgrid.utils.errors import MedgridError
from medgrid.utils.files import atomic_write

COLUMNS = ["row", "path", "label", "part", "cluster", "near_duplicate", "lookup"]


def assign(
    images: pd.DataFrame, settings: dict[str, Any], pairs: pd.DataFrame, series: np.ndarray | None = None
) -> pd.DataFrame:
    """Images of an inventory with columns `cluster`, `part` and `near_duplicate`, in their order, with their index.

    `series`: int [N], see `medgrid.data.series`; they are part of the clusters.
    near_duplicate: of validation and test images, whether part train has a copy or near-duplicate (yes or no).

    protocol published: single images are assigned, stratified by label, as the studies did.
    protocol clean: whole clusters are assigned, stratified by their most frequent label, so that no test image has a
    copy or near-duplicate in part train. The sizes of parts then differ from the settings by a few images.

    by archive: the archive's own test images are the test part, and validation images are drawn from all others.
    Under protocol clean, those of these others that share a cluster with a test image are not used.
    use, balanced: images that are not used have no row. Under both protocols, they are drawn one by one before parts
    are assigned; they still connect other images to clusters. Clusters differ in size, so under protocol clean the
    classes of each part are equal up to a few images.
    validation test: each test image has a second row, as a validation image.
    Images with an empty label are in part `unlabelled` and never train.

    Raises MedgridError when there are too few images for the settings, or the archive has no test images.
    """
    images = images.assign(cluster=cluster_ids_with_groups(images, pairs, series))
    labelled = _assign_parts(images[images["label"] != ""], settings)
    tables = [labelled, images[images["label"] == ""].assign(part=UNLABELLED)]
    if settings["validation"] == "test":
        tables.insert(0, labelled[labelled["part"] == "test"].assign(part="validation"))
    table = pd.concat(tables).sort_index(kind="stable")
    near_duplicates = cluster_ids(len(images), pairs, NEAR_DUPLICATES)[images.index.get_indexer(table.index)]
    in_training = np.isin(near_duplicates, near_duplicates[table["part"] == "train"])
    held_out = table["part"].isin(HELD_OUT)
    return table.assign(near_duplicate=np.where(held_out, np.where(in_training, "yes", "no"), ""))


def _assign_parts(images: pd.DataFrame, settings: dict[str, Any]) -> pd.DataFrame:
    """Labelled images that the settings use, with column `part`."""
    try:
        if settings["use"]:
            images, _ = train_test_split(
                images, train_size=settings["use"], stratify=images["label"], random_state=settings["seed"]
            )
            images = images.sort_index()
        if settings["balanced"]:
            images = _balance(images, settings["seed"])
        if settings["by"] == "archive":
            return _assign_by_archive(images, settings)
        units = images if settings["protocol"] == "published" else most_frequent_labels(images)
        return _spread(images, _part_of(units, settings, len(images)), settings)
    except ValueError as error:  # of scikit-learn
        raise MedgridError(
            f"split: {error} Change the study's split (test, validation or use), or, if clusters are too large, the "
            "data set's series."
        ) from None


def _spread(images: pd.DataFrame, part: pd.Series, settings: dict[str, Any]) -> pd.DataFrame:
    """Images with column `part`, from the part of each image (protocol published) or cluster (clean)."""
    return images.assign(part=part if settings["protocol"] == "published" else images["cluster"].map(part))


def _assign_by_archive(images: pd.DataFrame, settings: dict[str, Any]) -> pd.DataFrame:
    """Images with column `part`: the archive's own test images, and training and validation from all others.

    Raises MedgridError when the archive has no test images, or no others.
    """
    is_test = images["original_split"].str.lower().str.startswith("test")
    if is_test.all() or not is_test.any():
        names = ", ".join(sorted(set(images["original_split"]) - {""})) or "none"
        raise MedgridError(
            f"split.by: the archive needs images whose own split starts with 'test', and others (its splits: {names})"
        )
    test, others = images[is_test], images[~is_test]
    if settings["protocol"] == "clean":
        others = others[~others["cluster"].isin(test["cluster"])]
        left_out = len(images) - len(test) - len(others)
        print(f"medgrid: split: {left_out} training images share a cluster with a test image and are not used")
    units = others if settings["protocol"] == "published" else most_frequent_labels(others)
    tables = {"train": units}
    if settings["validation"] != "test":
        validation = settings["validation"]
        size = validation if isinstance(validation, int) else validation * len(images)
        if size >= len(others):
            raise MedgridError(f"split: {size:g} validation images leave none of {len(others)} for training")
        tables["train"], tables["validation"] = _draw(units, size / len(others), settings["seed"])
    return pd.concat([_spread(others, _parts(tables), settings), test.assign(part="test")]).sort_index()


def _balance(images: pd.DataFrame, seed: int) -> pd.DataFrame:
    """As many images of each class as the smallest has, drawn at random."""
    shuffled = images.iloc[np.random.default_rng(seed).permutation(len(images))]
    chosen = shuffled[shuffled.groupby("label").cumcount() < images["label"].value_counts().min()]
    return chosen.sort_index()


def _part_of(units: pd.DataFrame, settings: dict[str, Any], images: int) -> pd.Series:
    """Part of each unit (image or cluster), stratified by label.

    Sizes in the settings are shares, or numbers out of `images`, which become shares of the units.
    Raises MedgridError when they leave nothing for part train.
    """

    def share(size: float, of: float) -> float:
        return size / of if isinstance(size, int) else size

    has_validation = settings["validation"] != "test"
    test = share(settings["test"], images)
    validation = share(settings["validation"], images) / (1 - test) if has_validation and test < 1 else 0.0
    if test >= 1 or validation >= 1:
        held_out = f"{settings['test']} test"
        held_out += f" and {settings['validation']} validation" if has_validation else ""
        raise MedgridError(f"split: {held_out} images leave none of {images} for training")
    seed = settings["seed"]
    tables = {}
    tables["train"], tables["test"] = _draw(units, test, seed)
    if has_validation:
        tables["train"], tables["validation"] = _draw(tables["train"], validation, seed)
    return _parts(tables)


def _draw(units: pd.DataFrame, share: float, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The units that are not drawn, and a share of them (0..1) that is, stratified by label."""
    size = round(share * len(units))
    others, drawn = train_test_split(units, test_size=size, stratify=units["label"], random_state=seed)
    return others, drawn


def _parts(tables: dict[str, pd.DataFrame]) -> pd.Series:
    """Part of each unit, from the units of each part."""
    return pd.concat([pd.Series(part, index=table.index) for part, table in tables.items()])


def most_frequent_labels(images: pd.DataFrame) -> pd.DataFrame:
    """Column `label` by cluster: its most frequent label; of equally frequent ones the first by alphabet."""
    counts = images.groupby(["cluster", "label"]).size().rename("count").reset_index()
    counts = counts.sort_values(["cluster", "count", "label"], ascending=[True, False, True])
    return counts.drop_duplicates("cluster").set_index("cluster")[["label"]]


def write_split(settings: dict[str, Any], inventory: str, near_duplicates: str, thumbnails: str, target: str) -> None:
    """Write the CSV `target`: row (of the tensors), path, label, part, cluster, near_duplicate (see `assign`).

    Column `lookup`: of test images, the label of the training image with the nearest thumbnail (`lookup_labels`).

    Images that do not decode or are left out have no row in the CSV; test images that are validation images too have
    two. `row` counts all images that decode. `thumbnails`: the .npz of `write_near_duplicates`, for series.
    Raises MedgridError when there are too few images for the settings, or the archive has no test images.
    """
    images, pairs, series = read_images(inventory), pd.read_csv(near_duplicates), None
    if settings["series"]:
        with np.load(thumbnails) as arrays:
            series = series_ids(images, arrays["thumbnails"], pairs, settings["series"])
    table = assign(images, settings, pairs, series).rename_axis("row").reset_index()
    _require_every_class(table, images["label"])
    print(_describe(table, len(images)))
    table["lookup"] = lookup_labels(table, thumbnails)
    with atomic_write(target) as temporary:
        table[COLUMNS].to_csv(temporary, index=False)


def _require_every_class(table: pd.DataFrame, labels: pd.Series) -> None:
    """Raise MedgridError if one of the `labels` of the inventory is missing in a part."""
    for part in PARTS:
        present = set(table.loc[table["part"] == part, "label"])
        if missing := sorted(set(labels) - present - {""}):
            raise MedgridError(
                f"split: none of the {(labels == missing[0]).sum()} images of class {missing[0]} is in part {part}; "
                "change the study's split (test, validation, use), or add images"
            )


def _describe(table: pd.DataFrame, images: int) -> str:
    """Sizes of the parts, in one line."""
    counts = table["part"].value_counts()
    parts = [*PARTS, UNLABELLED] if UNLABELLED in counts else PARTS
    text = "medgrid: split: " + ", ".join(f"{counts.get(part, 0)} {part}" for part in parts)
    if unused := images - table["row"].nunique():
        text += f"; {unused} left out"
    near_duplicates = ((table["part"] == "test") & (table["near_duplicate"] == "yes")).sum()
    return f"{text}; {near_duplicates} test images have a near-duplicate in part train"
