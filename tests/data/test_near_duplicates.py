import hashlib

import numpy as np
import pandas as pd
import pytest

from medgrid.data.alignment import correlations
from medgrid.data.candidates import MAX_CANDIDATES_PER_IMAGE, find_candidates, signatures, spectra
from medgrid.data.clusters import (
    NEAR_DUPLICATE_CORRELATIONS,
    NEAR_DUPLICATES,
    SAME_FILE,
    SAME_PIXELS,
    cluster_ids,
    weakest_links,
)
from medgrid.data.near_duplicates import REJECTED, find_pairs
from medgrid.data.orientations import TURNED
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
    every = correlations(small, find_candidates(spectra(small)).pairs).sum(1)
    assert (rejected["correlation"] + rejected["detail"]).min() >= np.sort(every)[-REJECTED] - 1e-4


def test_noise_has_no_near_duplicates(noise):
    names = [str(i) for i in range(len(noise))]
    pairs, counts = find_pairs(images_of(names, names), noise)
    assert len(pairs) == counts["candidates"] == 0
    assert len(set(cluster_ids(len(noise), pairs, NEAR_DUPLICATES))) == len(noise)


def test_candidates_equal_those_of_all_cosines(noise):
    low = spectra(noise)
    vectors = signatures(low)
    cosines = np.triu((vectors @ vectors.T).numpy(), 1)
    close = np.sort(cosines.ravel())[-200]
    candidates = find_candidates(low, min_cosine=close)
    assert set(map(tuple, candidates.pairs.tolist())) == set(
        zip(*map(list, np.nonzero(cosines >= close)), strict=True)
    )
    assert candidates.dropped == 0


def test_of_too_many_candidates_the_closest_stay_and_dropped_ones_are_counted():
    """As of blank images, which are all similar."""
    rng = np.random.default_rng(3)
    count = 3 * MAX_CANDIDATES_PER_IMAGE
    small = (128 + rng.normal(0, 40, (SIZE, SIZE)) + rng.normal(0, 4, (count, SIZE, SIZE))).clip(0, 255)
    low = spectra(np.concatenate([small, rng.integers(0, 255, (count, SIZE, SIZE))]).astype(np.uint8))
    vectors = signatures(low)
    candidates = find_candidates(low, min_cosine=0.2)
    cosines = np.triu((vectors @ vectors.T).numpy(), 1)
    assert candidates.dropped + len(candidates.pairs) == (cosines >= 0.2).sum()
    assert candidates.dropped > 0
    assert np.bincount(candidates.pairs[:, 0]).max() == MAX_CANDIDATES_PER_IMAGE
    few = find_candidates(low, min_cosine=0.2, max_pairs=50)
    assert (len(few.pairs), few.dropped) == (50, candidates.dropped + len(candidates.pairs) - 50)
    kept = np.sort(cosines[tuple(candidates.pairs.T)])[-50:]
    assert np.sort(cosines[tuple(few.pairs.T)]) == pytest.approx(kept, abs=1e-5)
    of_first = np.sort(cosines[0])[-MAX_CANDIDATES_PER_IMAGE:]
    assert np.sort(cosines[0][candidates.pairs[candidates.pairs[:, 0] == 0][:, 1]]) == pytest.approx(
        of_first, abs=1e-5
    )


@pytest.mark.parametrize("count", [60, 400])
@pytest.mark.parametrize("orientation", TURNED, ids=lambda orientation: orientation.name)
def test_mirrored_and_turned_copies_are_detected_with_their_orientation(noise, orientation, count):
    """Of few images, too, of which the statistics of frequencies are rough; in either order of the two images."""
    images = noise[:count].copy()
    images[:, :32] //= 2  # all images have a top
    for copy, source in ((7, 20), (40, 9)):
        slightly = np.random.default_rng(copy).normal(0, 2, (SIZE, SIZE))
        images[copy] = (orientation.of_images(images[[source]])[0] + slightly).clip(0, 255)
    names = [str(i) for i in range(count)]
    pairs, _ = find_pairs(images_of(names, names), images)
    pairs = pairs[pairs["kind"] == "near_duplicate"]
    assert list(pairs[["first", "second", "orientation"]].itertuples(index=False, name=None)) == [
        (7, 20, orientation.inverse.name),
        (9, 40, orientation.name),
    ]


def test_the_weakest_link_is_that_of_the_best_chain():
    """0 and 1 hang together by 2 as well; the copy 4 hangs together with 3 only; 5 is alone."""
    rows = [(0, 1, 0.986), (0, 2, 0.997), (1, 2, 0.991), (2, 3, 0.994)]
    pairs = pd.DataFrame(
        [(one, other, "near_duplicate", "", value, 0.999) for one, other, value in rows]
        + [(3, 4, "pixels", "", 1.0, 1.0), (6, 7, "pixels", "", 1.0, 1.0), (4, 5, "rejected", "", 0.98, 0.9)],
        columns=["first", "second", "kind", "orientation", "correlation", "detail"],
    )
    links = weakest_links(8, pairs)
    ids = cluster_ids(8, pairs, NEAR_DUPLICATES)
    assert links.loc[ids[0], ["first", "second", "correlation"]].tolist() == [1, 2, 0.991]
    assert links.loc[ids[6], ["first", "second"]].tolist() == [6, 7]
    assert len(links) == 2
    # without the weakest link and what is weaker, the cluster falls apart
    strong = pairs[pairs["correlation"] > 0.991]
    assert len(set(cluster_ids(8, strong, NEAR_DUPLICATES)[[0, 1, 2, 3, 4]])) == 2
