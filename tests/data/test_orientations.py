import numpy as np
import pytest

from medgrid.data.candidates import signatures, spectra
from medgrid.data.orientations import TURNED, UPRIGHT


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (5, 64, 64)).astype(np.uint8)


@pytest.mark.parametrize("orientation", (UPRIGHT, *TURNED), ids=lambda orientation: orientation.name)
def test_spectra_of_turned_images_are_turned_spectra(images, orientation):
    expected = spectra(np.ascontiguousarray(orientation.of_images(images)))
    assert orientation.of_spectra(spectra(images)) == pytest.approx(expected, abs=1e-4)
    assert orientation.inverse.of_images(orientation.of_images(images)).tolist() == images.tolist()


def test_there_are_eight_orientations(images):
    turned = {each.of_images(images)[0].tobytes() for each in (UPRIGHT, *TURNED)}
    names = {each.name for each in (UPRIGHT, *TURNED)}
    assert len(turned) == len(names) == 8
    assert {"", "mirrored", "turned 90", "mirrored, turned 270"} <= names


def test_turned_counterclockwise():
    image = np.array([[[1, 2], [3, 4]]])
    by_name = {orientation.name: orientation.of_images(image)[0].tolist() for orientation in TURNED}
    assert by_name["turned 90"] == [[2, 4], [1, 3]]
    assert by_name["mirrored"] == [[2, 1], [4, 3]]


def test_signatures_are_standardised_in_the_own_orientation(images):
    low = spectra(images)
    mirrored = next(orientation for orientation in TURNED if orientation.name == "mirrored")
    flat = low.reshape(5, -1)[:, 1:]
    vectors = (mirrored.of_spectra(low).reshape(5, -1)[:, 1:] - flat.mean(0)) / flat.std(0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert signatures(low, mirrored).numpy() == pytest.approx(vectors, abs=1e-3)
