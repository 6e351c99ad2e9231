"""What real archives hold: wrong suffixes, alpha channels, palettes, deep images, litter, damage."""

import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import CLASSES, READING
from PIL import Image

from medgrid.config import Dataset
from medgrid.data.inventory import write_inventory
from medgrid.data.tensors import write_tensors
from medgrid.utils.errors import MedgridError

OPEN = {
    "dataset": "odd", "images": r"(?i)^(?P<label>[^/]+)/[^/]+\.(jpe?g|png|tif)$", "group": None,
    "classes": ["a", "b"], "labels": None, "ids": None, "unlabelled": None, "max_undecodable": 0.5,
}  # fmt: skip

IMAGE = {"size": 32, "interpolation": "bilinear", "colour": "rgb"}


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
    with pytest.raises(MedgridError, match=r"2 of 9 images cannot be decoded, more than datasets.odd"):
        write_inventory(OPEN | {"max_undecodable": 0.1}, str(odd), str(target))
    assert not target.exists()
    assert len(pd.read_csv(tmp_path / "inventory.rejected.csv")) == 9


def test_labels_must_be_the_declared_ones(odd, tmp_path):
    for classes, message in (
        (["a"], "classes does not contain b"),
        (["a", "b", "c"], "contains c, but the archive has no image"),
    ):
        with pytest.raises(MedgridError, match=message):
            write_inventory(OPEN | {"classes": classes}, str(odd), str(tmp_path / "x.csv"))
    with pytest.raises(MedgridError, match="matches none of the 10 files"):
        write_inventory(OPEN | {"images": "^(?P<label>no)$"}, str(odd), str(tmp_path / "x.csv"))
    with pytest.raises(MedgridError, match="datasets.odd.images: its group label is empty for "):
        write_inventory(OPEN | {"images": r"(?P<label>no)?\.\w+$"}, str(odd), str(tmp_path / "x.csv"))


def test_tensors_of_every_mode(odd, tmp_path):
    target = tmp_path / "tensors.npy"
    write_tensors(IMAGE, str(odd), str(odd.with_suffix(".csv")), str(target))
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


def rgb(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8))


def sha1(image: Image.Image) -> str:
    return hashlib.sha1(np.asarray(image).tobytes()).hexdigest()


def zipped(path, files: dict[str, bytes]) -> str:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return str(path)


COMPETITION = {
    "dataset": "patches", "images": r"^train/(?P<id>\w+)\.tif$", "unlabelled": r"^test/(?P<id>\w+)\.tif$",
    "group": None, "classes": ["normal", "tumour"], "ids": "sha1", "max_undecodable": 0.5,
    "labels": {"file": "labels.csv", "id": "id", "label": "label", "values": {"0": "normal", "1": "tumour"}},
}  # fmt: skip


@pytest.fixture
def patches() -> dict[str, bytes]:
    """Two labelled images, of which one was re-encoded, one to predict, one that is damaged."""
    recoded = encoded(rgb(1), "JPEG")
    return {
        f"train/{sha1(rgb(0))}.tif": encoded(rgb(0), "TIFF"),
        f"train/{sha1(rgb(1))}.tif": encoded(Image.open(io.BytesIO(recoded)), "TIFF"),
        f"test/{sha1(rgb(2))}.tif": encoded(rgb(2), "TIFF"),
        f"test/{sha1(rgb(3))}.tif": encoded(rgb(3), "TIFF")[:100],
        # with the mark that spreadsheets put first
        "labels.csv": f"\ufeffid,label\n{sha1(rgb(0))},1\n{sha1(rgb(1))},0\n".encode(),
    }


def inventory_of(files: dict[str, bytes], tmp_path, **changes) -> pd.DataFrame:
    write_inventory(COMPETITION | changes, zipped(tmp_path / "a.zip", files), str(tmp_path / "a.csv"), threads=1)
    return pd.read_csv(tmp_path / "a.csv", keep_default_na=False)


def test_labels_come_from_the_archive_s_table(patches, tmp_path, capsys):
    table = inventory_of(patches, tmp_path).set_index("id")
    assert table.loc[sha1(rgb(0)), "label"] == "tumour"
    assert table.loc[sha1(rgb(1)), "label"] == "normal"
    assert table.loc[[sha1(rgb(2)), sha1(rgb(3))], "label"].tolist() == ["", ""]
    assert table["original_split"].to_dict() == {
        sha1(rgb(0)): "", sha1(rgb(1)): "", sha1(rgb(2)): "unlabelled", sha1(rgb(3)): "unlabelled",
    }  # fmt: skip
    assert table.loc[sha1(rgb(3)), "error"]
    assert "left out" not in capsys.readouterr().err


def test_ids_are_held_against_the_pixels(patches, tmp_path, capsys):
    matches = inventory_of(patches, tmp_path).set_index("id")["id_matches"]
    assert matches.to_dict() == {sha1(rgb(0)): "yes", sha1(rgb(1)): "no", sha1(rgb(2)): "yes", sha1(rgb(3)): ""}
    printed = capsys.readouterr().err
    assert "the ids of 1 of 4 images are not the sha1 of their pixels" in printed
    assert f"train/{sha1(rgb(1))}.tif" in printed
    assert set(inventory_of(patches, tmp_path, ids=None)["id_matches"]) == {""}


def test_an_image_that_the_table_lacks_is_named(patches, tmp_path):
    for table in (f"id,label\n{sha1(rgb(0))},1\n", f"id,label\n{sha1(rgb(0))},1\n{sha1(rgb(1))},\n"):
        patches["labels.csv"] = table.encode()
        with pytest.raises(MedgridError, match="labels.csv has no class for 1 of the images") as refused:
            inventory_of(patches, tmp_path)
        assert sha1(rgb(1)) in str(refused.value)
        assert not (tmp_path / "a.csv").exists()


def test_an_id_without_an_image_is_reported(patches, tmp_path, capsys):
    patches["labels.csv"] += b"0000,1\n"
    assert len(inventory_of(patches, tmp_path)) == 4
    assert "1 ids of labels.csv have no image, such as 0000" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("table", "changes", "message"),
    [
        (
            b"id,class\n",
            {},
            r"datasets.patches.labels.label: labels.csv has no column label \(its columns: id, class\)",
        ),
        (b"", {}, r"labels.id: labels.csv has no column id \(its columns: none\)"),
        (b"id,label\na,1\na,0\n", {}, "gives a two classes, tumour and normal"),
        (b"id,label\n\xff,1\n", {}, "labels.csv is not a CSV in UTF-8"),
        (b"", {"file": "other.csv"}, r"the archive has no other.csv \(it contains labels.csv\)"),
        (None, {"values": {}}, "classes does not contain 0, 1, but the archive does"),
    ],
)
def test_tables_that_cannot_be_used(patches, tmp_path, table, changes, message):
    patches["labels.csv"] = patches["labels.csv"] if table is None else table
    with pytest.raises(MedgridError, match=message):
        inventory_of(patches, tmp_path, labels=COMPETITION["labels"] | changes)


def group_table(patches: dict[str, bytes], columns: str = "patch,slide") -> bytes:
    """A table with the slides of both labelled images, as spreadsheets write it."""
    ids = [Path(name).stem for name in patches if name.startswith("train/")]
    return f"\ufeff{columns}\r\n{ids[0]},slide 1\r\n{ids[1]},slide 2\r\nother,slide 2\r\n".encode()


SLIDES = {"file": "slides.csv", "id": "patch", "group": "slide"}


def test_groups_come_from_a_table_in_the_archive_or_on_this_machine(patches, tmp_path):
    table = group_table(patches)
    inside = inventory_of(patches | {"slides.csv": table}, tmp_path, group=SLIDES)
    own = tmp_path / "moved.csv"
    own.write_bytes(table)
    settings = COMPETITION | {"group": SLIDES | {"sha256": hashlib.sha256(table).hexdigest()}}
    archive = zipped(tmp_path / "b.zip", patches)
    write_inventory(settings, archive, str(tmp_path / "b.csv"), groups=str(own))
    outside = pd.read_csv(tmp_path / "b.csv", keep_default_na=False)
    for inventory in (inside, outside):
        assert inventory.set_index("label")["group"].to_dict() == {"tumour": "slide 1", "normal": "slide 2", "": ""}


def test_without_an_id_groups_are_found_by_path(tmp_path):
    files = {f"{label}/{i}.tif": encoded(rgb(i), "TIFF") for i, label in enumerate(["normal", "tumour"])}
    files["slides.csv"] = b"id,group\nnormal/0.tif,p\ntumour/1.tif,q\n"
    settings = {"images": r"^(?P<label>\w+)/\d.tif$", "labels": None, "unlabelled": None, "ids": None}
    settings["group"] = {"file": "slides.csv"}
    assert inventory_of(files, tmp_path, **settings)["group"].tolist() == ["p", "q"]
    files["slides.csv"] = b"id,group\nnormal/0.tif,p\ntumour/1.tif,\n"
    with pytest.raises(MedgridError, match=r"slides.csv has no group for 1 of 2 images, such as tumour/1.tif"):
        inventory_of(files, tmp_path, **settings)


@pytest.mark.parametrize(
    ("table", "changes", "message"),
    [
        (b"patch,slide\na,1\na,2\n", {}, "datasets.patches.group: slides.csv gives a two groups, 1 and 2"),
        (b"patch,case\n", {}, r"group.group: slides.csv has no column slide \(its columns: patch, case\)"),
        (b"id,slide\n", {}, r"group.id: slides.csv has no column patch \(its columns: id, slide\)"),
        (b"patch,slide\na,1\n", {}, r"slides.csv has no group for 2 of 4 images, such as train/\w+.tif \(id '"),
        (b"", {"file": "other.csv"}, r"datasets.patches.group.file: the archive has no other.csv"),
        (b"", {"sha256": "0" * 64}, r"datasets.patches.group.file: .*nowhere.csv does not exist"),
    ],
)
def test_group_tables_that_cannot_be_used(patches, tmp_path, table, changes, message):
    archive = zipped(tmp_path / "a.zip", patches | {"slides.csv": table})
    settings = COMPETITION | {"group": SLIDES | changes}
    with pytest.raises(MedgridError, match=message):
        write_inventory(settings, archive, str(tmp_path / "a.csv"), groups=str(tmp_path / "nowhere.csv"))


def test_a_changed_group_table_is_refused(patches, tmp_path):
    (tmp_path / "own.csv").write_bytes(group_table(patches))
    settings = COMPETITION | {"group": SLIDES | {"sha256": "0" * 64}}
    digest = hashlib.sha256(group_table(patches)).hexdigest()
    with pytest.raises(MedgridError, match=rf"datasets.patches.group.sha256: .* its digest is\s+{digest}"):
        write_inventory(
            settings, zipped(tmp_path / "a.zip", patches), str(tmp_path / "a.csv"), groups=str(tmp_path / "own.csv")
        )


def test_unlabelled_images_alone_are_not_enough(patches, tmp_path):
    files = {name: content for name, content in patches.items() if not name.startswith("train/")}
    with pytest.raises(MedgridError, match="datasets.patches.images matches none of the 3 files"):
        inventory_of(files, tmp_path)


def reading(params: dict, key: str) -> dict:
    """The settings of params.yaml as they reach the rule."""
    dataset = Dataset.model_validate(params["datasets"][key]).model_dump()
    return {name: dataset[name] for name in COMPETITION if name != "dataset"} | {"dataset": key}


def test_chest_x_rays_are_read_once_and_by_patient(params, tmp_path, capsys):
    """Kaggle's archive holds all images twice, and what a Mac leaves behind."""
    names = {
        "train/NORMAL/IM-0115-0001.jpeg": "IM-0115",
        "train/NORMAL/NORMAL2-IM-0115-0001.jpeg": "NORMAL2-IM-0115",
        "test/NORMAL/IM-0115-0002.jpeg": "IM-0115",
        "train/PNEUMONIA/person1_bacteria_1.jpeg": "person1_bacteria",
        "val/PNEUMONIA/person1_bacteria_2.jpeg": "person1_bacteria",
        "test/PNEUMONIA/person1_virus_6.jpeg": "person1_virus",
    }
    image = encoded(rgb(0).convert("L"), "JPEG")
    files = {f"chest_xray/{name}": image for name in names}
    files |= {f"chest_xray/chest_xray/{name}": image for name in names}
    files |= {f"chest_xray/__MACOSX/{name.replace('IM-', '._IM-')}": b"x" for name in names}
    files |= {"chest_xray/.DS_Store": b"x", "chest_xray/chest_xray/train/NORMAL/.DS_Store": b"x"}
    settings = reading(params, "chest_xray")
    write_inventory(settings, zipped(tmp_path / "a.zip", files), str(tmp_path / "a.csv"), threads=1)
    table = pd.read_csv(tmp_path / "a.csv", keep_default_na=False).set_index("path")
    assert table["group"].to_dict() == {f"chest_xray/{name}": group for name, group in names.items()}
    assert set(table["original_split"]) == {"train", "val", "test"}
    assert "6 images match no pattern and are not used" in capsys.readouterr().err


def test_stroke_images_are_read_whatever_their_suffix(params, tmp_path):
    folder = "Acute Ischemic Stroke-Control"
    files = {
        f"{folder}/Control/1.JPG": encoded(rgb(0), "JPEG"),
        f"{folder}/Control/2.jpg": encoded(rgb(0), "PNG"),
        f"{folder}/Acute Ischemic Stroke/1.png": encoded(rgb(0).convert("RGBA"), "PNG"),
        f"{folder}/Acute Ischemic Stroke/2.png": encoded(rgb(0).convert("P"), "PNG"),
    }
    write_inventory(reading(params, "mri_stroke"), zipped(tmp_path / "a.zip", files), str(tmp_path / "a.csv"), 1)
    table = pd.read_csv(tmp_path / "a.csv", keep_default_na=False)
    assert table[["label", "format", "mode"]].to_numpy().tolist() == [
        ["Acute Ischemic Stroke", "PNG", "RGBA"],
        ["Acute Ischemic Stroke", "PNG", "P"],
        ["Control", "JPEG", "RGB"],
        ["Control", "PNG", "RGB"],
    ]
