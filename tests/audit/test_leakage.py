"""Leakage of splits, by brute force over the inventory and the pairs."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from medgrid.audit.leakage import leakage, original_splits, write_leakage
from medgrid.data.near_duplicates import write_near_duplicates
from medgrid.data.nearest_thumbnail import shrink
from medgrid.data.split import write_split
from medgrid.grid.manifest import StudyManifest

SIZES = {
    "by": None, "test": 0.3, "validation": 0.2, "use": None, "balanced": False, "seed": 1, "series": None,
}  # fmt: skip


@pytest.fixture(scope="module")
def near_duplicates(archive, inventory, tmp_path_factory) -> tuple[Path, Path]:
    """The CSV of pairs and the .npz of thumbnails."""
    folder = tmp_path_factory.mktemp("near_duplicates")
    pairs, thumbnails = folder / "pairs.csv", folder / "thumbnails.npz"
    write_near_duplicates({}, str(archive), str(inventory), str(pairs), str(thumbnails), 1)
    return pairs, thumbnails


def leakage_of(protocol: str, inventory: Path, near_duplicates: tuple[Path, Path], folder: Path, **sizes):
    """The split of a study and its leakage."""
    pairs, thumbnails = map(str, near_duplicates)
    split, target = folder / f"{protocol}.csv", folder / f"{protocol}.json"
    write_split(SIZES | {"protocol": protocol} | sizes, str(inventory), pairs, thumbnails, str(split))
    manifest = StudyManifest.model_construct(study="phantoms", protocol=protocol)
    write_leakage(manifest, str(inventory), pairs, str(split), str(target))
    return pd.read_csv(split), json.loads(target.read_text())


@pytest.mark.parametrize("validation", [0.2, "test"])
@pytest.mark.parametrize("protocol", ["published", "clean"])
def test_a_study_s_leakage_is_that_of_its_split(inventory, near_duplicates, tmp_path, protocol, validation):
    split, result = leakage_of(protocol, inventory, near_duplicates, tmp_path, validation=validation)
    images = pd.read_csv(inventory, keep_default_na=False).set_index("path")
    train, test = (images.loc[split.loc[split["part"] == part, "path"]] for part in ("train", "test"))
    is_near_duplicate = split.loc[split["part"] == "test", "near_duplicate"] == "yes"
    small = shrink(np.load(near_duplicates[1])["thumbnails"])
    train_rows, test_rows = (split.loc[split["part"] == part, "row"] for part in ("train", "test"))
    distances = np.linalg.norm(small[test_rows][:, None] - small[train_rows][None], axis=2)
    correct = train["label"].to_numpy()[distances.argmin(1)] == test["label"].to_numpy()
    assert result == {
        "study": "phantoms",
        "protocol": protocol,
        "train_images": len(train),
        "test_images": len(test),
        "copies_in_training": test["pixels_sha256"].isin(train["pixels_sha256"]).sum(),
        "near_duplicates_in_training": is_near_duplicate.sum(),
        "groups_in_training": test["group"].isin(train["group"]).sum(),
        "lookup": pytest.approx(correct.mean()),
        "lookup_deduplicated": pytest.approx(correct[~is_near_duplicate].mean()),
    }


def test_the_clean_protocol_has_no_leakage(inventory, near_duplicates, tmp_path):
    counts = ("copies_in_training", "near_duplicates_in_training", "groups_in_training")
    _, clean = leakage_of("clean", inventory, near_duplicates, tmp_path)
    _, published = leakage_of("published", inventory, near_duplicates, tmp_path)
    assert all(clean[name] == 0 for name in counts)
    assert all(published[name] > 0 for name in counts)


def test_test_images_that_all_have_near_duplicates_in_training():
    images = pd.DataFrame({"label": ["a", "b", "a", "b"], "group": ["", "p", "", "p"]})
    pairs = pd.DataFrame({"first": [0, 1], "second": [2, 3], "kind": ["pixels", "near_duplicate"]})
    assert leakage(images, pairs, np.array([0, 1]), np.array([2, 3]), np.array(["a", "a"])) == {
        "train_images": 2,
        "test_images": 2,
        "copies_in_training": 1,
        "near_duplicates_in_training": 2,
        "groups_in_training": 1,
        "lookup": 0.5,
        "lookup_deduplicated": None,
    }


def test_original_splits_are_pairs_of_the_train_folder_and_another():
    names = ["test"] * 4 + ["Training"] * 3 + ["val", "", "unlabelled", "Training"]
    images = pd.DataFrame({"original_split": names, "label": ["a"] * 9 + ["", ""]})
    splits = [(folders, train.tolist(), test.tolist()) for folders, train, test in original_splits(images)]
    assert splits == [
        ({"train": "Training", "test": "test"}, [4, 5, 6], [0, 1, 2, 3]),
        ({"train": "Training", "test": "val"}, [4, 5, 6], [7]),
    ]
    assert not list(original_splits(images.assign(original_split="train")))
    folders, *_ = next(original_splits(images.replace("Training", "b")))
    assert folders == {"train": "test", "test": "b"}
