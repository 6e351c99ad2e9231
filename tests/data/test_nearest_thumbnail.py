import numpy as np
import pytest

from medgrid.data import nearest_thumbnail
from medgrid.data.nearest_thumbnail import MAX_QUERIES, REFERENCES, SIDE, nearest, sample, shrink


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(4)


@pytest.mark.parametrize("references", [7, REFERENCES])
def test_nearest_thumbnails_equal_those_of_all_distances(rng, monkeypatch, references):
    monkeypatch.setattr(nearest_thumbnail, "REFERENCES", references)
    monkeypatch.setattr(nearest_thumbnail, "BLOCK", 11)
    thumbnails = rng.integers(0, 255, (60, 64, 64)).astype(np.uint8)
    train, test = np.arange(0, 60, 2), np.arange(1, 60, 2)
    small = thumbnails.reshape(60, SIDE, 4, SIDE, 4).mean((2, 4))
    distance = ((small[test][:, None] - small[train][None]) ** 2).sum((2, 3))
    assert nearest(shrink(thumbnails), train, test).tolist() == train[distance.argmin(1)].tolist()


def test_large_samples_are_drawn_at_random_with_a_fixed_seed():
    rows = np.arange(3 * MAX_QUERIES)
    assert len(set(sample(rows, MAX_QUERIES))) == MAX_QUERIES
    assert (sample(rows, MAX_QUERIES) == sample(rows, MAX_QUERIES)).all()
    assert (sample(rows, len(rows)) == rows).all()
