import csv
import io
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import CLASSES
from PIL import Image

from medgrid.config import Dataset, LabelTable, Synthetic
from medgrid.data.inventory import write_inventory
from medgrid.data.synthetic import generate
from medgrid.utils.errors import MedgridError

SMALL = {"images": 24, "size": 32}
LABELS = LabelTable(file="tables/train.csv", id="name", label="kind", values={"0": "a", "1": "b"})


def settings(**changes) -> Synthetic:
    given = {"template": "{split}/{label}/s{subject}_{n}.jpg", "splits": {"a": 0.5, "b": 0.5}}
    return Synthetic(**given | SMALL | changes)


def generated(tmp_path: Path, labels: LabelTable | None = None, **changes) -> zipfile.ZipFile:
    generate(settings(**changes), ["a", "b"], tmp_path / "a.zip", labels)
    return zipfile.ZipFile(tmp_path / "a.zip")


def images(archive: zipfile.ZipFile) -> dict[str, Image.Image]:
    return {name: Image.open(io.BytesIO(archive.read(name))) for name in archive.namelist()}


def test_the_same_settings_give_the_same_images(tmp_path):
    for name in ("one", "two"):
        generate(settings(), CLASSES, tmp_path / f"{name}.zip")
    generate(settings(seed=1), CLASSES, tmp_path / "other.zip")
    one, two, other = ((tmp_path / f"{name}.zip").read_bytes() for name in ("one", "two", "other"))
    assert one == two != other


def test_copies_damage_and_classes_are_as_asked(archive, inventory):
    names = zipfile.ZipFile(archive).namelist()
    assert len(names) == 80
    counts = Counter(name.split("/")[1] for name in names)
    assert set(counts) == set(CLASSES)
    assert max(counts.values()) - min(counts.values()) < 12
    table = pd.read_csv(inventory, keep_default_na=False)
    readable = table[table["error"] == ""]
    assert readable["pixels_sha256"].duplicated().sum() == 8
    assert set(readable["width"].astype(int)) == {48}


def test_formats_take_turns(tmp_path):
    formats = ["jpeg", "png", "rgba", "palette", "tiff", "grey"]
    opened = images(generated(tmp_path, formats=formats, duplicates=0, template="{label}/{n:04d}.JPG"))
    assert list(opened)[:2] == ["a/0000.JPG", "a/0001.JPG"]
    kinds = [(image.format, image.mode) for image in opened.values()]
    expected = [("JPEG", "RGB"), ("PNG", "RGB"), ("PNG", "RGBA"), ("PNG", "P"), ("TIFF", "RGB"), ("JPEG", "L")]
    assert kinds == expected * 4
    for image in list(opened.values())[:5]:
        channels = np.asarray(image.convert("RGB"), int).reshape(-1, 3).mean(0)
        assert np.ptp(channels) > 1


def test_formats_do_not_change_what_is_seen(tmp_path):
    grey, colour = (
        np.stack([image.convert("L") for image in images(generated(tmp_path, formats=[kind])).values()]).astype(float)
        for kind in ("grey", "tiff")
    )
    assert np.corrcoef(grey.ravel(), colour.ravel())[0, 1] > 0.98


def test_a_template_for_each_class(tmp_path):
    template = {"a": "x/{n}.jpg", "b": "y/person{subject}_{n}.jpg"}
    names = generated(tmp_path, template=template).namelist()
    assert Counter(name[0] for name in names) == {"x": 12, "y": 12}
    with pytest.raises(MedgridError, match="synthetic.template has no entry for class b"):
        generated(tmp_path, template={"a": "x/{n}.jpg"})


@pytest.mark.parametrize("kind", ["jpeg", "rgba", "palette", "tiff", "grey"])
def test_ids_are_the_digest_of_the_pixels_and_damage_does_not_decode(tmp_path, kind):
    generated(tmp_path, template="{label}/{id}.img", formats=[kind], duplicates=0, undecodable=2)
    reading = {
        "dataset": "phantoms", "images": r"^(?P<label>.)/(?P<id>[0-9a-f]{40})\.img$", "group": None, "labels": None,
        "classes": ["a", "b"], "ids": "sha1", "unlabelled": None, "max_undecodable": 1,
    }  # fmt: skip
    write_inventory(reading, str(tmp_path / "a.zip"), str(tmp_path / "a.csv"), threads=1)
    table = pd.read_csv(tmp_path / "a.csv", keep_default_na=False)
    assert len(table) == 24
    assert (table["error"] != "").sum() == 2
    assert set(table["id_matches"][table["error"] == ""]) == {"yes"}


def test_two_images_of_one_name_are_refused(tmp_path):
    with pytest.raises(MedgridError, match="two images would have the path ./.*set duplicates to 0"):
        generated(tmp_path, template="{label}/{id}.jpg", duplicates=0.2)


def test_unlabelled_images_change_nothing_else(tmp_path):
    plain = {name: generated(tmp_path).read(name) for name in generated(tmp_path).namelist()}
    archive = generated(tmp_path, unlabelled=5, unlabelled_template="test/{n:03d}_{id}.jpg")
    added = [name for name in archive.namelist() if name not in plain]
    assert {name: archive.read(name) for name in plain} == plain
    assert [name[:8] for name in added] == [f"test/00{i}" for i in range(5)]
    assert not {archive.read(name) for name in added} & set(plain.values())


def test_the_table_names_every_class(tmp_path):
    archive = generated(tmp_path, LABELS, template="train/{label}{n}.jpg", unlabelled=3, undecodable=1)
    table = pd.read_csv(archive.open("tables/train.csv"), dtype=str)
    assert list(table) == ["name", "kind"]
    assert len(table) == 24
    assert (table["kind"] == table["name"].str[0].map({"a": "0", "b": "1"})).all()
    assert {f"train/{name}.jpg" for name in table["name"]} <= set(archive.namelist())
    sample = list(csv.reader(io.TextIOWrapper(archive.open("tables/sample_submission.csv"))))
    tested = sorted(Path(name).stem for name in archive.namelist() if name.startswith("test/"))
    assert sample[0] == ["name", "kind"]
    assert sorted(row[0] for row in sample[1:]) == tested
    assert len(tested) == 3


def test_litter_is_what_a_mac_leaves(tmp_path):
    names = generated(tmp_path, litter=True, template="deep/{label}/{n}.jpg").namelist()
    assert [name for name in names if not name.endswith(tuple("0123456789.jpg"))] == ["deep/a/.DS_Store"]
    assert [name for name in names if "/._" in name] == ["__MACOSX/deep/a/._0.jpg"]
    assert len(names) == 26


@pytest.mark.parametrize(
    "key", ["brain_tumor_mri", "histopathologic_cancer", "mri_stroke", "chest_xray", "chest_xray_224"]
)
def test_every_data_set_s_phantoms_are_read_as_the_real_images_are(params, key, tmp_path, capsys):
    dataset = Dataset.model_validate(params["datasets"][key])
    synthetic = dataset.synthetic.model_copy(update={"images": 40, "size": 32})
    generate(synthetic, dataset.classes, tmp_path / "a.zip", dataset.labels)
    write_inventory(dataset.model_dump() | {"dataset": key}, str(tmp_path / "a.zip"), str(tmp_path / "a.csv"), 1)
    assert "left out" not in capsys.readouterr().err
    table = pd.read_csv(tmp_path / "a.csv", keep_default_na=False)
    assert len(table) == 40 + synthetic.unlabelled
    assert table["label"].value_counts()[dataset.classes].min() >= 8
    assert (table["label"] == "").sum() == synthetic.unlabelled
    assert set(table["error"]) == {""}
    assert set(table["id_matches"]) == {"yes" if dataset.ids else ""}
    if dataset.group:
        # two images of a subject, and copies, each a group
        assert (table["group"] != "").all()
        assert table["group"].value_counts().value_counts().to_dict() == {2: 19, 1: 2}
