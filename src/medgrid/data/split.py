"""Which image trains, which validates, which tests."""

import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import train_test_split

from medgrid.data import PARTS
from medgrid.errors import MedgridError
from medgrid.files import replacing


def clusters(images: pd.DataFrame) -> np.ndarray:
    """Number of the cluster of each image: images with the same pixels or of the same group belong together.

    Both relations chain: if a copy of one patient's image lies under another patient's name, all images of
    both are one cluster.
    """
    # an image without a group is a group of its own; paths are unique
    groups = images["group"].where(images["group"] != "", images["path"])
    # a graph whose nodes are pixel contents and groups, and whose edges are the images
    pixels, groups = pd.factorize(images["pixels_sha256"])[0], pd.factorize(groups)[0]
    groups = groups + pixels.max() + 1
    size = groups.max() + 1
    graph = coo_matrix((np.ones(len(images)), (pixels, groups)), shape=(size, size))
    return pd.factorize(connected_components(graph, directed=False)[1][pixels])[0]


def _part_of(units: pd.DataFrame, settings: dict, images: int) -> pd.Series:
    """Split units (images, or clusters of them), stratified by label; amounts may be counts of images."""

    def share(amount: int | float, of: float) -> float:
        return amount / of if isinstance(amount, int) else amount

    test = share(settings["test"], images)
    validation = share(settings["validation"], images) / (1 - test) if test < 1 else 1.0
    if test >= 1 or validation >= 1:
        raise MedgridError(
            f"split: {settings['test']} test and {settings['validation']} validation images leave none of "
            f"{images} to train on"
        )
    seed = settings["seed"]
    rest, tested = train_test_split(
        units, test_size=round(test * len(units)), stratify=units["label"], random_state=seed
    )
    trained, validated = train_test_split(
        rest, test_size=round(validation * len(rest)), stratify=rest["label"], random_state=seed
    )
    named = zip(PARTS, (trained, validated, tested), strict=True)
    return pd.concat([pd.Series(part, index=frame.index) for part, frame in named])


def assign(images: pd.DataFrame, settings: dict) -> pd.DataFrame:
    """Add `cluster` and `part` to the images of an inventory.

    protocol published: images are dealt out one by one, stratified, as the studies did.
    protocol clean: whole clusters are dealt out, stratified by their most frequent label, so that a copy of a
    training image is never tested; the parts' sizes then scatter around the wanted ones by a few images.
    """
    images = images.assign(cluster=clusters(images))
    try:
        if settings["protocol"] == "published":
            return images.assign(part=_part_of(images, settings, len(images)))
        units = images.groupby("cluster").agg(label=("label", lambda labels: labels.mode().iloc[0]))
        part = _part_of(units, settings, len(images))
        return images.assign(part=images["cluster"].map(part))
    except ValueError as error:
        raise MedgridError(f"split: {error}") from None


def write_split(settings: dict, inventory: str, target: str) -> None:
    """Write the CSV `target`: row (of the tensors), path, label, part (train, validation, test), cluster.

    Images that do not decode have no row. Raises MedgridError when the sizes cannot be had.
    """
    images = pd.read_csv(inventory, keep_default_na=False)
    images = images[images["error"] == ""].reset_index(drop=True)
    table = assign(images, settings).rename_axis("row").reset_index()
    counts = table["part"].value_counts()
    print("medgrid: split: " + ", ".join(f"{counts.get(part, 0)} {part}" for part in PARTS))
    with replacing(target) as temporary:
        table[["row", "path", "label", "part", "cluster"]].to_csv(temporary, index=False)
