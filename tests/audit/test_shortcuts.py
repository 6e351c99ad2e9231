import numpy as np
import pandas as pd
import pytest

from medgrid.audit.shortcuts import NEAREST, shortcuts
from medgrid.data.nearest_thumbnail import shrink


def images_of(count: int, rng: np.random.Generator) -> pd.DataFrame:
    size = rng.integers(100, 300, count).astype(str)
    table = pd.DataFrame({"label": rng.choice(["a", "b"], count), "cluster": range(count), "width": size})
    return table.assign(height="200", bytes=rng.integers(1000, 9000, count).astype(str), mode="L", format="JPEG")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(4)


@pytest.mark.parametrize(
    ("column", "values", "name"),
    [
        ("mode", ["L", "RGB"], "colour mode"),
        ("format", ["PNG", "JPEG"], "file format"),
        ("bytes", ["20000", "30000"], "file size"),
        ("width", ["400", "500"], "width and height"),
    ],
)
def test_a_feature_that_predicts_the_class_is_reported(rng, column, values, name):
    images = images_of(300, rng)
    images[column] = np.where(images["label"] == "a", *values)
    accuracies = shortcuts(images, shrink(rng.integers(0, 255, (300, 64, 64)).astype(np.uint8)))
    assert accuracies[name] == accuracies["all of these"] == 1
    others = {"colour mode", "file format", "file size", "mean brightness", NEAREST} - {name}
    assert all(0.35 < accuracies[other] < 0.65 for other in others)


def test_copies_do_not_predict_each_other_s_class(rng):
    """Labels are random: an image in two folds would be recognised."""
    thumbnails = rng.integers(0, 255, (100, 64, 64)).astype(np.uint8)
    images = images_of(100, rng)
    twice = pd.concat([images, images], ignore_index=True)
    small = shrink(np.concatenate([thumbnails, thumbnails]))
    assert 0.3 < shortcuts(twice, small)[NEAREST] < 0.7
    assert shortcuts(twice.assign(cluster=range(200)), small)[NEAREST] > 0.7


def test_without_two_classes_in_several_clusters_there_are_no_shortcuts(rng):
    images = images_of(20, rng)
    small = shrink(rng.integers(0, 255, (20, 64, 64)).astype(np.uint8))
    assert shortcuts(images.assign(label="a"), small) == {}
    # a class that is a single cluster cannot be in two folds
    assert shortcuts(images.assign(label=["a"] * 19 + ["b"]), small) == {}
    assert shortcuts(images[:0], small[:0]) == {}
