import hashlib

import numpy as np
import pandas as pd
import pytest

from medgrid.data.alignment import MOST, candidates, correlations, signatures
from medgrid.data.clusters import FILE, PIXELS, SAME_PICTURE, THRESHOLDS, cluster_ids
from medgrid.data.near_duplicates import REJECTED, find_pairs
from medgrid.data.thumbnails import SIZE


def images_of(files: str, pixels: str) -> pd.DataFrame:
    return pd.DataFrame(
        {"path": list(map(str, range(len(files)))), "file_sha256": [*files], "pixels_sha256": [*pixels]}
    )


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (400, SIZE, SIZE)).astype(np.uint8)


def ends(pairs: pd.DataFrame, kind: str) -> set[tuple[int, int]]:
    return set(pairs.loc[pairs["kind"] == kind, ["first", "second"]].itertuples(index=False, name=None))


def test_copies_are_named_once_with_the_first_of_their_kind(noise):
    #                  0123456    0, 3, 5: one file; 1: its pixels in another file; 2, 6: other pixels twice
    table = images_of("axbacab"[:7], "pptpqpt"[:7])
    table["file_sha256"] = list("axbadab")
    small = noise[[0, 0, 1, 0, 2, 0, 1]]
    pairs, _ = find_pairs(table, small)
    assert ends(pairs, "file") == {(0, 3), (0, 5), (2, 6)}
    assert ends(pairs, "pixels") == {(0, 1)}
    assert ends(pairs, "near_duplicate") == set()
    assert cluster_ids(7, pairs, FILE).tolist() == [0, 1, 2, 0, 3, 0, 2]
    assert cluster_ids(7, pairs, PIXELS).tolist() == [0, 0, 1, 0, 2, 0, 1]


def test_near_duplicates_are_reported_from_copies_and_from_neighbours(noise):
    slightly = (noise[1].astype(int) + np.random.default_rng(1).normal(0, 2, (SIZE, SIZE))).clip(0, 255)
    table = images_of("abcd", "abcd")
    pairs, looked_at = find_pairs(table, np.stack([noise[0], noise[1], slightly.astype(np.uint8), noise[2]]))
    assert ends(pairs, "near_duplicate") == {(1, 2)}
    assert looked_at["not_looked_at"] == 0
    assert (pairs.loc[pairs["kind"] == "near_duplicate", ["correlation", "detail"]].to_numpy() >= THRESHOLDS).all()


def test_of_pairs_that_are_no_near_duplicates_the_closest_are_kept():
    rng = np.random.default_rng(2)
    shared = rng.normal(0, 40, (SIZE, SIZE))
    small = (128 + shared + rng.normal(0, 12, (40, SIZE, SIZE))).clip(0, 255).astype(np.uint8)
    small = np.concatenate([small, rng.integers(0, 255, (400, SIZE, SIZE)).astype(np.uint8)])
    names = [hashlib.sha256(each).hexdigest() for each in small]
    pairs, looked_at = find_pairs(images_of(names, names), small)
    assert looked_at["candidates"] > REJECTED
    rejected = pairs[pairs["kind"] == "rejected"]
    assert len(rejected) == REJECTED
    every = correlations(small, candidates(signatures(small)).pairs).sum(1)
    assert (rejected["correlation"] + rejected["detail"]).min() >= np.sort(every)[-REJECTED] - 1e-4


def test_nothing_is_alike_among_images_without_likeness(noise):
    names = [str(i) for i in range(len(noise))]
    pairs, looked_at = find_pairs(images_of(names, names), noise)
    assert len(pairs) == looked_at["candidates"] == 0
    assert len(set(cluster_ids(len(noise), pairs, SAME_PICTURE))) == len(noise)


def test_candidates_are_those_of_brute_force(noise):
    vectors = signatures(noise)
    cosines = np.triu((vectors @ vectors.T).numpy(), 1)
    close = np.sort(cosines.ravel())[-200]
    found = candidates(vectors, close)
    assert set(map(tuple, found.pairs.tolist())) == set(zip(*map(list, np.nonzero(cosines >= close)), strict=True))
    assert found.cut == 0


def test_of_too_many_candidates_the_closest_stay_and_the_cut_is_reported():
    """As for blank images, where all are alike."""
    rng = np.random.default_rng(3)
    count = 3 * MOST
    small = (128 + rng.normal(0, 40, (SIZE, SIZE)) + rng.normal(0, 4, (count, SIZE, SIZE))).clip(0, 255)
    vectors = signatures(np.concatenate([small, rng.integers(0, 255, (count, SIZE, SIZE))]).astype(np.uint8))
    found = candidates(vectors, 0.2)
    cosines = np.triu((vectors @ vectors.T).numpy(), 1)
    assert found.cut + len(found.pairs) == (cosines >= 0.2).sum()
    assert found.cut > 0
    assert np.bincount(found.pairs[:, 0]).max() == MOST
    few = candidates(vectors, 0.2, budget=50)
    assert (len(few.pairs), few.cut) == (50, found.cut + len(found.pairs) - 50)
    kept = np.sort(cosines[tuple(found.pairs.T)])[-50:]
    assert np.sort(cosines[tuple(few.pairs.T)]) == pytest.approx(kept, abs=1e-5)
    of_first = np.sort(cosines[0])[-MOST:]
    assert np.sort(cosines[0][found.pairs[found.pairs[:, 0] == 0][:, 1]]) == pytest.approx(of_first, abs=1e-5)
