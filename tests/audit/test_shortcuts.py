import numpy as np
import pandas as pd
import pytest

from medgrid.audit.shortcuts import ASKED, NEAREST, SIDE, nearest, shortcuts, shrunk, some


def images_of(count: int, rng: np.random.Generator) -> pd.DataFrame:
    size = rng.integers(100, 300, count).astype(str)
    table = pd.DataFrame({"label": rng.choice(["a", "b"], count), "cluster": range(count), "width": size})
    return table.assign(height="200", bytes=rng.integers(1000, 9000, count).astype(str), mode="L", format="JPEG")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(4)


def test_the_nearest_are_those_of_numpy(rng):
    thumbnails = rng.integers(0, 255, (60, 64, 64)).astype(np.uint8)
    train, test = np.arange(0, 60, 2), np.arange(1, 60, 2)
    small = thumbnails.reshape(60, SIDE, 4, SIDE, 4).mean((2, 4))
    distance = ((small[test][:, None] - small[train][None]) ** 2).sum((2, 3))
    assert nearest(shrunk(thumbnails), train, test).tolist() == train[distance.argmin(1)].tolist()


@pytest.mark.parametrize(
    ("column", "values", "name"),
    [
        ("mode", ["L", "RGB"], "colour mode"),
        ("format", ["PNG", "JPEG"], "file format"),
        ("bytes", ["20000", "30000"], "file size"),
        ("width", ["400", "500"], "width and height"),
    ],
)
def test_what_tells_the_class_is_found(rng, column, values, name):
    images = images_of(300, rng)
    images[column] = np.where(images["label"] == "a", *values)
    found = shortcuts(images, shrunk(rng.integers(0, 255, (300, 64, 64)).astype(np.uint8)))
    assert found[name] == found["all of these"] == 1
    others = {"colour mode", "file format", "file size", "mean brightness", NEAREST} - {name}
    assert all(0.35 < found[other] < 0.65 for other in others)


def test_copies_do_not_tell_each_other_s_class(rng):
    """Random labels: one picture in both of two folds would be recognised."""
    pictures = rng.integers(0, 255, (100, 64, 64)).astype(np.uint8)
    images = images_of(100, rng)
    twice = pd.concat([images, images], ignore_index=True)
    small = shrunk(np.concatenate([pictures, pictures]))
    assert 0.3 < shortcuts(twice, small)[NEAREST] < 0.7
    assert shortcuts(twice.assign(cluster=range(200)), small)[NEAREST] > 0.7


def test_nothing_is_reported_where_there_is_nothing_to_tell_apart(rng):
    images = images_of(20, rng)
    small = shrunk(rng.integers(0, 255, (20, 64, 64)).astype(np.uint8))
    assert shortcuts(images.assign(label="a"), small) == {}
    # a class in one cluster alone cannot be in two folds
    assert shortcuts(images.assign(label=["a"] * 19 + ["b"]), small) == {}
    assert shortcuts(images[:0], small[:0]) == {}


def test_many_are_asked_by_a_fixed_sample():
    rows = np.arange(3 * ASKED)
    assert len(set(some(rows, ASKED))) == ASKED
    assert (some(rows, ASKED) == some(rows, ASKED)).all()
    assert (some(rows, len(rows)) == rows).all()
