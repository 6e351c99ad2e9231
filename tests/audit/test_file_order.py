import numpy as np
import pandas as pd
import pytest

from medgrid.audit import file_order as module
from medgrid.audit.file_order import CLOSE, MIN_IMAGES, file_order

NO_PAIRS = pd.DataFrame({"first": [], "second": [], "kind": []})
IMAGES = 120  # of each class


@pytest.fixture
def drifting() -> tuple[pd.DataFrame, np.ndarray]:
    """Class a: each image is like the one before it. Class b: images are independent of their order."""
    rng = np.random.default_rng(5)
    steps = rng.normal(size=(2, IMAGES, 256)).astype(np.float32)
    steps[0] = steps[0].cumsum(0)
    paths = [f"{label}/x{n}.png" for label in "ab" for n in range(IMAGES)]
    order = rng.permutation(len(paths))
    table = pd.DataFrame({"path": paths, "label": [path[0] for path in paths]})
    return table.iloc[order].reset_index(drop=True), steps.reshape(-1, 256)[order]


def test_a_planted_order_is_found_in_its_class_only(drifting):
    order = file_order(*drifting, NO_PAIRS)
    assert order["classes"]["a"]["observed"] > 0.9
    assert order["classes"]["a"]["p"] == 0.001
    assert order["classes"]["b"]["p"] > 0.05
    assert order["images"] == 2 * IMAGES
    assert order["observed"] == pytest.approx(np.mean([row["observed"] for row in order["classes"].values()]))


def test_the_shuffled_share_is_that_of_all_pairs(drifting):
    positions = np.arange(IMAGES)
    close = np.abs(positions[:, None] - positions[None]) <= CLOSE
    expected = (close.sum() - IMAGES) / (IMAGES * (IMAGES - 1))
    for row in file_order(*drifting, NO_PAIRS)["classes"].values():
        assert row["shuffled"] == pytest.approx(expected, rel=0.05)


def test_shuffled_numbers_are_not_significant_more_often_than_by_chance(drifting, monkeypatch):
    table, small = drifting
    monkeypatch.setattr(module, "SHUFFLES", 99)
    values = []
    for seed in range(40):
        rng = np.random.default_rng([7, seed])
        shuffled = table.assign(path=table.groupby("label")["path"].transform(rng.permutation))
        values.append(file_order(shuffled, small, NO_PAIRS)["p"])
    assert np.mean(np.array(values) <= 0.05) <= 0.15
    assert 0.3 < np.mean(values) < 0.7


def test_consecutive_near_duplicates_are_no_order():
    """Each picture is there three times, with consecutive numbers; pictures are in random order."""
    rng = np.random.default_rng(6)
    small = rng.normal(size=(60, 256)).astype(np.float32).repeat(3, 0)
    table = pd.DataFrame({"path": [f"a/{i}.png" for i in range(180)], "label": "a"})
    first = np.arange(0, 180, 3).repeat(2)
    pairs = pd.DataFrame({"first": first, "second": first + np.tile([1, 2], 60), "kind": "near_duplicate"})
    assert file_order(table, small, NO_PAIRS)["observed"] > 0.9
    order = file_order(table, small, pairs)
    assert order["images"] == 60
    assert order["p"] > 0.05


def test_large_data_sets_are_sampled(drifting, monkeypatch):
    monkeypatch.setattr(module, "MAX_QUERIES", 50)
    order = file_order(*drifting, NO_PAIRS)
    assert order["images"] == 50 == sum(row["images"] for row in order["classes"].values())
    assert order["classes"]["a"]["p"] < 0.01


def test_without_numbers_there_is_no_finding(drifting):
    table, small = drifting
    words = table.assign(path=["".join("abcdefghij"[int(c)] for c in str(i)) + ".png" for i in range(len(table))])
    assert file_order(words, small, NO_PAIRS) is None
    few = table.assign(path=[f"{i // (MIN_IMAGES - 1):05d}/{i}.png" for i in range(len(table))])
    assert file_order(few, small, NO_PAIRS) is None
