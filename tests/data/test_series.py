"""Series that are planted in random images are found; in shuffled order there are none."""

import numpy as np
import pandas as pd
import pytest

from medgrid.data import split
from medgrid.data.clusters import cluster_ids_with_groups
from medgrid.data.series import MAX_DISTANT_JOINS, series_ids, stems_and_positions

NO_PAIRS = pd.DataFrame({"first": [], "second": [], "kind": []})
LENGTH, COUNT = 10, 40  # planted series: slices of each, number of them


def scans(rng: np.random.Generator) -> np.ndarray:
    """Series of smooth thumbnails that differ little from one to the next, uint8 [COUNT * LENGTH, 64, 64]."""
    fields = rng.normal(size=(COUNT, 1, 8, 8)) + 0.3 * rng.normal(size=(COUNT, LENGTH, 8, 8)).cumsum(1)
    return (128 + 30 * fields).clip(0, 255).astype(np.uint8).reshape(-1, 8, 8).repeat(8, 1).repeat(8, 2)


def table_of(paths: list[str]) -> pd.DataFrame:
    labels = [path.split("/")[0] for path in paths]
    return pd.DataFrame({"path": paths, "label": labels, "group": "", "original_split": ""})


@pytest.fixture
def planted() -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Images of two stems with gaps in their numbers, in random order; their thumbnails and true series."""
    rng = np.random.default_rng(3)
    half = COUNT * LENGTH // 2
    paths = [f"{label}/scan_{3 * i}.png" for label in "ab" for i in range(half)]
    order = rng.permutation(len(paths))
    truth = np.arange(len(paths)) // LENGTH
    return table_of([paths[i] for i in order]), scans(rng)[order], truth[order]


def test_stems_are_names_without_numbers_in_the_order_of_numbers():
    paths = [
        "x/Te-gl_10.jpg",
        "x/Te-gl_9.jpg",
        "x/Te-glTr_0001.jpg",
        "y/Te-gl_9.jpg",
        "x/Te-gl_2.png",
        "x/readme.jpg",
    ]
    stems, positions = stems_and_positions(paths)
    assert stems[0] == stems[1] == stems[4]
    assert len(set(stems[:4])) == 3
    assert positions.tolist() == [2, 1, 0, 0, 0, 0]
    assert stems[5] == -1


def test_of_several_numbers_the_first_has_precedence():
    paths = [f"person{person}_virus_{n}.jpeg" for person, n in [(10, 1), (9, 30), (9, 4), (10, 0)]]
    stems, positions = stems_and_positions(paths)
    assert len(set(stems)) == 1
    assert positions.tolist() == [3, 1, 0, 2]


def test_planted_chains_are_found(planted):
    table, thumbnails, truth = planted
    ids = series_ids(table, thumbnails, NO_PAIRS, "chains")
    labels = table["label"].to_numpy()
    same_series, same_id = truth[:, None] == truth[None], ids[:, None] == ids[None]
    assert same_id[same_series].mean() > 0.95
    assert same_id[labels[:, None] != labels[None]].sum() == 0  # stems are apart
    # of COUNT - 2 ends of series, hardly one is joined to the next
    assert len(set(ids)) >= COUNT - 2


def test_in_shuffled_order_there_are_no_chains(planted):
    table, thumbnails, _ = planted
    order = np.random.default_rng(8).permutation(len(table))
    ids = series_ids(table, thumbnails[order], NO_PAIRS, "chains")
    joins = len(table) - len(set(ids))
    assert joins <= 4 * MAX_DISTANT_JOINS * len(table)  # neighbours of one series happen in shuffled order, too


def test_brightness_and_contrast_do_not_break_a_chain(planted):
    table, thumbnails, _ = planted
    rng = np.random.default_rng(4)
    contrast, brightness = rng.uniform(0.5, 1, (2, len(table), 1, 1))
    changed = (contrast * thumbnails + 60 * brightness).clip(0, 255).astype(np.uint8)
    found = (len(set(series_ids(table, images, NO_PAIRS, "chains"))) for images in (thumbnails, changed))
    assert np.diff(list(found)) <= 3


def test_near_duplicates_do_not_raise_the_threshold(planted):
    """Copies are in one cluster anyway; the threshold would be that of copies."""
    table, thumbnails, truth = planted
    rows = np.flatnonzero(np.isin(truth, (0, 8, 16)))
    thumbnails[rows] = thumbnails[rows[0]]
    pairs = pd.DataFrame({"first": rows[0], "second": rows[1:], "kind": "pixels"})
    found = len(set(series_ids(table, thumbnails, pairs, "chains")))
    assert found < len(set(series_ids(table, thumbnails, NO_PAIRS, "chains")))


def test_names_without_numbers_have_no_series(planted):
    table, thumbnails, _ = planted
    words = table.assign(path=["".join("abcdefghij"[int(c)] for c in str(i)) + ".png" for i in range(len(table))])
    for series in ("chains", {"blocks": 10, "classes": None}):
        assert len(set(series_ids(words, thumbnails, NO_PAIRS, series))) == len(table)


def test_blocks_are_consecutive_images_of_a_stem():
    table = table_of([f"{label}/{i:03d}.png" for label in "ab" for i in range(100, 125)])
    ids = series_ids(table, np.empty((50, 64, 64), np.uint8), NO_PAIRS, {"blocks": 10, "classes": ["b"]})
    assert len(set(ids[:25])) == 25
    assert [len(rows) for rows in table[25:].groupby(ids[25:]).indices.values()] == [10, 10, 5]
    assert set(ids[:25]).isdisjoint(ids[25:])


def test_series_near_duplicates_and_groups_are_united():
    table = table_of([f"a/{i}.png" for i in range(8)]).assign(group=["", "", "", "", "", "p", "p", ""])
    pairs = pd.DataFrame({"first": [1], "second": [2], "kind": ["near_duplicate"]})
    ids = cluster_ids_with_groups(table, pairs, np.array([0, 0, 1, 1, 2, 2, 3, 4]))
    assert ids.tolist() == [0, 0, 0, 0, 1, 1, 1, 2]


@pytest.mark.parametrize("series", ["chains", {"blocks": 10, "classes": None}])
def test_the_clean_split_keeps_series_in_one_part(planted, tmp_path, series):
    table, thumbnails, _ = planted
    inventory, pairs, arrays, target = (str(tmp_path / name) for name in ("i.csv", "p.csv", "t.npz", "s.csv"))
    table.assign(error="").to_csv(inventory, index=False)
    NO_PAIRS.to_csv(pairs, index=False)
    np.savez(arrays, thumbnails=thumbnails)
    settings = {"by": None, "test": 0.3, "validation": 0.2, "use": None, "balanced": False, "seed": 1}
    settings |= {"series": series}
    ids = series_ids(table, thumbnails, NO_PAIRS, series)
    parts = {}
    for protocol in ("clean", "published"):
        split.write_split(settings | {"protocol": protocol}, inventory, pairs, arrays, target)
        written = pd.read_csv(target)
        assert len(set(zip(written["cluster"], ids, strict=True))) == len(set(ids)) == written["cluster"].nunique()
        parts[protocol] = written["part"].groupby(ids).nunique().max()
    assert parts == {"clean": 1, "published": 3}
