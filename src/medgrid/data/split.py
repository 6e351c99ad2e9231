"""Split images into parts train, validation and test."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from medgrid.data import HELD_OUT, PARTS, UNLABELLED
from medgrid.data.clusters import NEAR_DUPLICATES, cluster_ids, cluster_ids_with_groups, read_images
from medgrid.data.nearest_thumbnail import lookup_labels
from medgrid.utils.errors import MedgridError
from medgrid.utils.files import atomic_write

COLUMNS = ["row", "path", "label", "part", "cluster", "near_duplicate", "lookup"]


def assign(images: pd.DataFrame, settings: dict[str, Any], pairs: pd.DataFrame) -> pd.DataFrame:
    """Images of an inventory with columns `cluster`, `part` and `near_duplicate`, in their order, with their index.

    near_duplicate: of validation and test images, whether part train has a copy or near-duplicate (yes or no).

    protocol published: single images are assigned, stratified by label, as the studies did.
    protocol clean: whole clusters are assigned, stratified by their most frequent label, so that no test image has a
    copy or near-duplicate in part train. The sizes of parts then differ from the settings by a few images.

    use, balanced: images that are not used have no row. Under both protocols, they are drawn one by one before parts
    are assigned; they still connect other images to clusters. Clusters differ in size, so under protocol clean the
    classes of each part are equal up to a few images.
    validation test: each test image has a second row, as a validation image.
    Images with an empty label are in part `unlabelled` and never train.

    Raises MedgridError when there are too few images for the settings.
    """
    images = images.assign(cluster=cluster_ids_with_groups(images, pairs))
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
        if settings["protocol"] == "published":
            return images.assign(part=_part_of(images, settings, len(images)))
        part = _part_of(most_frequent_labels(images), settings, len(images))
        return images.assign(part=images["cluster"].map(part))
    except ValueError as error:  # of scikit-learn
        raise MedgridError(f"split: {error} Change the study's split: test, validation or use.") from None


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
    train_units, test_units = train_test_split(
        units, test_size=round(test * len(units)), stratify=units["label"], random_state=seed
    )
    tables = {"test": test_units}
    if has_validation:
        validation_size = round(validation * len(train_units))
        train_units, tables["validation"] = train_test_split(
            train_units, test_size=validation_size, stratify=train_units["label"], random_state=seed
        )
    tables["train"] = train_units
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
    two. `row` counts all images that decode. Raises MedgridError when there are too few images for the settings.
    """
    images = read_images(inventory)
    table = assign(images, settings, pd.read_csv(near_duplicates)).rename_axis("row").reset_index()
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
