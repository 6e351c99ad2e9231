"""Pixels as the settings ask for them."""

import io
import subprocess
import sys
import zipfile

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from medgrid.data.tensors import to_8_bit, write_tensors


def read(archive, inventory) -> list[Image.Image]:
    """The archive's images that decode, in the order of the inventory."""
    table = pd.read_csv(inventory, keep_default_na=False)
    opened = zipfile.ZipFile(archive)
    return [Image.open(io.BytesIO(opened.read(path))) for path in table["path"][table["error"] == ""]]


@pytest.fixture
def tensors(archive, inventory, tmp_path):
    def make(**settings) -> np.ndarray:
        settings = {"size": 32, "interpolation": "bilinear", "colour": "rgb"} | settings
        write_tensors(settings, str(archive), str(inventory), str(tmp_path / "t.npy"), threads=1)
        return np.load(tmp_path / "t.npy")

    return make


def test_area_is_opencv_s(archive, inventory, tensors):
    ours = tensors(interpolation="area", size=20)
    images = [np.asarray(image.convert("RGB")) for image in read(archive, inventory)]
    assert ours.shape == (len(images), 20, 20, 3)
    assert (ours == [cv2.resize(image, (20, 20), interpolation=cv2.INTER_AREA) for image in images]).all()
    assert (ours != tensors(interpolation="bilinear", size=20)).any()


def test_area_over_whole_pixels_is_their_mean(archive, inventory, tensors):
    ours = tensors(interpolation="area", size=24, colour="grey").squeeze(-1)  # of 48
    images = np.stack([np.asarray(image, float) for image in read(archive, inventory)])
    means = images.reshape(-1, 24, 2, 24, 2).mean(axis=(2, 4))
    assert np.abs(ours - means).max() <= 0.5


def test_grey_has_one_channel(archive, inventory, tensors):
    grey = tensors(colour="grey")
    images = [image.convert("L").resize((32, 32), Image.Resampling.BILINEAR) for image in read(archive, inventory)]
    assert grey.shape == (len(images), 32, 32, 1)
    assert grey.dtype == np.uint8
    assert (grey.squeeze(-1) == np.stack(images)).all()


@pytest.mark.parametrize("interpolation", ["bilinear", "area"])
def test_grey_of_colours_weighs_them_as_eyes_do(tmp_path, interpolation):
    images = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, colour in images.items():
            buffer = io.BytesIO()
            Image.new("RGB", (16, 16), colour).save(buffer, "PNG")
            archive.writestr(f"{name}.png", buffer.getvalue())
    pd.DataFrame({"path": [f"{name}.png" for name in images], "error": ""}).to_csv(tmp_path / "a.csv", index=False)
    settings = {"size": 8, "interpolation": interpolation, "colour": "grey"}
    write_tensors(settings, str(tmp_path / "a.zip"), str(tmp_path / "a.csv"), str(tmp_path / "t.npy"), threads=1)
    tensors = np.load(tmp_path / "t.npy")
    assert tensors.mean((1, 2, 3)).tolist() == [76, 150, 29]  # 0.299, 0.587 and 0.114 of 255
    settings["colour"] = "rgb"
    write_tensors(settings, str(tmp_path / "a.zip"), str(tmp_path / "a.csv"), str(tmp_path / "t.npy"), threads=1)
    # OpenCV's own order of channels would be blue first
    assert np.load(tmp_path / "t.npy")[:, 0, 0].tolist() == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]


def test_opencv_is_left_alone_unless_asked_for():
    code = "import sys, medgrid.data.tensors as t; t._resizer(8, 'box'); print('cv2' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


def test_images_without_an_agreed_range_are_refused():
    with pytest.raises(ValueError, match="floating-point images have no standard range"):
        to_8_bit(Image.fromarray(np.zeros((8, 8), np.float32)))
