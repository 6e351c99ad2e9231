"""What real archives hold: wrong suffixes, alpha channels, palettes, deep images, litter, damage."""

import io
import zipfile

import numpy as np
import pandas as pd
import pytest
from conftest import CLASSES, READING
from PIL import Image

from medgrid.data.inventory import write_inventory
from medgrid.data.tensors import write_tensors
from medgrid.errors import MedgridError

OPEN = {
    "dataset": "odd", "images": r"(?i)^(?P<label>[^/]+)/[^/]+\.(jpe?g|png|tif)$", "group": None,
    "classes": ["a", "b"], "max_undecodable": 0.5,
}  # fmt: skip


def encoded(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    rng = np.random.default_rng(0)
    rgb = Image.fromarray(rng.integers(0, 256, (40, 30, 3), np.uint8))
    files = {
        "a/1.JPG": encoded(rgb, "JPEG"),
        "a/png bytes.jpg": encoded(rgb, "PNG"),
        "a/alpha.png": encoded(rgb.convert("RGBA"), "PNG"),
        "a/palette.png": encoded(rgb.convert("P"), "PNG"),
        "b/grey.jpeg": encoded(rgb.convert("L"), "JPEG"),
        "b/deep.png": encoded(Image.fromarray((np.arange(1200).reshape(40, 30) * 54).astype(np.uint16)), "PNG"),
        "b/copy.tif": encoded(rgb, "TIFF"),
        "b/cut.jpg": encoded(rgb, "JPEG")[:300],
        "b/empty.jpg": b"",
        "b/.DS_Store": b"x",
        "__MACOSX/b/._grey.jpeg": b"x",
        "readme.txt": b"x",
    }
    path = tmp_path_factory.mktemp("odd") / "odd.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    write_inventory(OPEN, str(path), str(path.with_suffix(".csv")))
    return path


def test_every_image_is_listed_with_its_true_format(odd):
    table = pd.read_csv(odd.with_suffix(".csv"), keep_default_na=False).set_index("path")
    assert list(table.index) == sorted(table.index)
    assert len(table) == 9
    assert table.loc["a/png bytes.jpg", "format"] == "PNG"
    assert table.loc["a/1.JPG", "format"] == "JPEG"
    assert table.loc["a/alpha.png", "mode"] == "RGBA"
    assert table.loc["a/palette.png", "mode"] == "P"
    assert table.loc["b/grey.jpeg", "mode"] == "L"
    assert table.loc["b/deep.png", "mode"] == "I;16"
    assert set(table["width"][table["error"] == ""]) == {"30"}


def test_same_pixels_same_hash_whatever_the_format(odd):
    table = pd.read_csv(odd.with_suffix(".csv"), keep_default_na=False).set_index("path")
    hashes = table["pixels_sha256"]
    assert hashes["a/png bytes.jpg"] == hashes["b/copy.tif"]
    assert hashes["a/png bytes.jpg"] != hashes["a/alpha.png"]


def test_what_does_not_decode_is_listed_not_dropped(odd):
    table = pd.read_csv(odd.with_suffix(".csv"), keep_default_na=False).set_index("path")
    broken = table[table["error"] != ""]
    assert list(broken.index) == ["b/cut.jpg", "b/empty.jpg"]
    assert set(broken["label"]) == {"b"}
    assert set(broken["pixels_sha256"]) == {""}


def test_too_many_broken_files_stop_the_run(odd, tmp_path):
    target = tmp_path / "inventory.csv"
    with pytest.raises(MedgridError, match=r"2 of 9 images do not decode, more than datasets.odd.max_undecodable"):
        write_inventory(OPEN | {"max_undecodable": 0.1}, str(odd), str(target))
    assert not target.exists()
    assert len(pd.read_csv(tmp_path / "inventory.rejected.csv")) == 9


def test_labels_must_be_the_declared_ones(odd, tmp_path):
    for classes, message in (
        (["a"], "classes lacks b"),
        (["a", "b", "c"], "names c, of which the archive has no"),
    ):
        with pytest.raises(MedgridError, match=message):
            write_inventory(OPEN | {"classes": classes}, str(odd), str(tmp_path / "x.csv"))
    with pytest.raises(MedgridError, match="matches none of the 10 files"):
        write_inventory(OPEN | {"images": "^(?P<label>no)$"}, str(odd), str(tmp_path / "x.csv"))


def test_tensors_of_every_mode(odd, tmp_path):
    target = tmp_path / "tensors.npy"
    write_tensors({"size": 32, "interpolation": "bilinear"}, str(odd), str(odd.with_suffix(".csv")), str(target))
    tensors = np.load(target)
    assert tensors.shape == (7, 32, 32, 3)
    assert tensors.dtype == np.uint8
    table = pd.read_csv(odd.with_suffix(".csv"), keep_default_na=False)
    rows = {path: row for row, path in enumerate(table["path"][table["error"] == ""])}
    expected = Image.open(io.BytesIO(zipfile.ZipFile(odd).read("a/alpha.png"))).convert("RGB")
    expected = np.asarray(expected.resize((32, 32), Image.Resampling.BILINEAR))
    assert (tensors[rows["a/alpha.png"]] == expected).all()
    assert (tensors[rows["b/copy.tif"]] == expected).all()
    # 0..64746 of 65535, top to bottom: scaled, not clipped
    deep = tensors[rows["b/deep.png"], :, :, 0].astype(int)
    assert deep[0, 0] < 8
    assert 245 < deep[-1, -1] < 255
    assert abs(deep[16].mean() - 126) < 8


def test_groups_and_splits_come_from_the_path(inventory):
    table = pd.read_csv(inventory, keep_default_na=False)
    assert set(table["label"]) == set(CLASSES)
    assert set(table["original_split"]) == {"Training", "Testing"}
    assert table["group"].str.fullmatch(r"s\d{4}").all()
    assert (table["error"] != "").sum() == 2
    assert len(table) == 80


def test_inventory_does_not_depend_on_the_number_of_workers(archive, inventory, tmp_path):
    write_inventory(READING, str(archive), str(tmp_path / "one.csv"), threads=1)
    assert (tmp_path / "one.csv").read_bytes() == inventory.read_bytes()
