import hashlib

import numpy as np
import pandas as pd
import pytest

from medgrid.data.alignment import correlations
from medgrid.data.candidates import MAX_CANDIDATES_PER_IMAGE, find_candidates, signatures
from medgrid.data.clusters import (
    NEAR_DUPLICATE_CORRELATIONS,
    NEAR_DUPLICATES,
    SAME_FILE,
    SAME_PIXELS,
    cluster_ids,
)
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


def test_a_copy_is_in_one_pair_with_the_first_image_of_its_kind(noise):
    #                  0123456    0, 3, 5: one file; 1: its pixels in another file; 2, 6: other pixels twice
    table = images_of("axbadab", "pptpqpt")
    small = noise[[0, 0, 1, 0, 2, 0, 1]]
    pairs, _ = find_pairs(table, small)
    assert ends(pairs, "file") == {(0, 3), (0, 5), (2, 6)}
    assert ends(pairs, "pixels") == {(0, 1)}
    assert ends(pairs, "near_duplicate") == set()
    assert cluster_ids(7, pairs, SAME_FILE).tolist() == [0, 1, 2, 0, 3, 0, 2]
    assert cluster_ids(7, pairs, SAME_PIXELS).tolist() == [0, 0, 1, 0, 2, 0, 1]


def test_a_near_duplicate_is_neither_a_copy_nor_a_similar_image(noise):
    slightly = (noise[1].astype(int) + np.random.default_rng(1).normal(0, 2, (SIZE, SIZE))).clip(0, 255)
    table = images_of("abcd", "abcd")
    pairs, counts = find_pairs(table, np.stack([noise[0], noise[1], slightly.astype(np.uint8), noise[2]]))
    assert ends(pairs, "near_duplicate") == {(1, 2)}
    assert counts["candidates_dropped"] == 0
    assert (
        pairs.loc[pairs["kind"] == "near_duplicate", ["correlation", "detail"]].to_numpy()
        >= NEAR_DUPLICATE_CORRELATIONS
    ).all()


def test_the_closest_pairs_that_are_no_near_duplicates_are_kept():
    rng = np.random.default_rng(2)
    shared = rng.normal(0, 40, (SIZE, SIZE))
    small = (128 + shared + rng.normal(0, 12, (40, SIZE, SIZE))).clip(0, 255).astype(np.uint8)
    small = np.concatenate([small, rng.integers(0, 255, (400, SIZE, SIZE)).astype(np.uint8)])
    names = [hashlib.sha256(each).hexdigest() for each in small]
    pairs, counts = find_pairs(images_of(names, names), small)
    assert counts["candidates"] > REJECTED
    rejected = pairs[pairs["kind"] == "rejected"]
    assert len(rejected) == REJECTED
    every = correlations(small, find_candidates(signatures(small)).pairs).sum(1)
    assert (rejected["correlation"] + rejected["detail"]).min() >= np.sort(every)[-REJECTED] - 1e-4


def test_noise_has_no_near_duplicates(noise):
    names = [str(i) for i in range(len(noise))]
    pairs, counts = find_pairs(images_of(names, names), noise)
    assert len(pairs) == counts["candidates"] == 0
    assert len(set(cluster_ids(len(noise), pairs, NEAR_DUPLICATES))) == len(noise)


def test_candidates_equal_those_of_all_cosines(noise):
    vectors = signatures(noise)
    cosines = np.triu((vectors @ vectors.T).numpy(), 1)
    close = np.sort(cosines.ravel())[-200]
    candidates = find_candidates(vectors, close)
    assert set(map(tuple, candidates.pairs.tolist())) == set(
        zip(*map(list, np.nonzero(cosines >= close)), strict=True)
    )
    assert candidates.dropped == 0


def test_of_too_many_candidates_the_closest_stay_and_dropped_ones_are_counted():
    """As of blank images, which are all similar."""
    rng = np.random.default_rng(3)
    count = 3 * MAX_CANDIDATES_PER_IMAGE
    small = (128 + rng.normal(0, 40, (SIZE, SIZE)) + rng.normal(0, 4, (count, SIZE, SIZE))).clip(0, 255)
    vectors = signatures(np.concatenate([small, rng.integers(0, 255, (count, SIZE, SIZE))]).astype(np.uint8))
    candidates = find_candidates(vectors, 0.2)
    cosines = np.triu((vectors @ vectors.T).numpy(), 1)
    assert candidates.dropped + len(candidates.pairs) == (cosines >= 0.2).sum()
    assert candidates.dropped > 0
    assert np.bincount(candidates.pairs[:, 0]).max() == MAX_CANDIDATES_PER_IMAGE
    few = find_candidates(vectors, 0.2, max_pairs=50)
    assert (len(few.pairs), few.dropped) == (50, candidates.dropped + len(candidates.pairs) - 50)
    kept = np.sort(cosines[tuple(candidates.pairs.T)])[-50:]
    assert np.sort(cosines[tuple(few.pairs.T)]) == pytest.approx(kept, abs=1e-5)
    of_first = np.sort(cosines[0])[-MAX_CANDIDATES_PER_IMAGE:]
    assert np.sort(cosines[0][candidates.pairs[candidates.pairs[:, 0] == 0][:, 1]]) == pytest.approx(
        of_first, abs=1e-5
    )
