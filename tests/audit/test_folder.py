"""`medgrid audit` of folders as people have them."""

import json
import os
import shutil
import sys
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import PIL.Image
import pytest
import torch

from medgrid.audit.folder import levels
from medgrid.cli import main


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("train/ill/1.png", ("ill", "train")),
        ("Testing/well/a/2.png", ("well", "Testing")),
        ("ill/validation/3.png", ("ill", "validation")),
        ("well/4.png", ("well", "")),
        ("5.png", ("", "")),
        ("training-set/6.png", ("", "training-set")),
        ("Test Set/ill/7.png", ("ill", "Test Set")),
    ],
)
def test_classes_and_splits_are_read_off_folders(path, expected):
    others = ["train/ill/x.png", "train/well/x.png"]
    assert levels([*others, path])[-1] == expected


def test_what_all_images_share_is_no_class():
    paths = ["archive/scans/ill/1.png", "archive/scans/well/patient7/2.png"]
    assert levels(paths) == [("ill", ""), ("well", "")]
    assert levels(["scans/1.png", "scans/2.png"]) == [("", ""), ("", "")]
    assert levels(["chest/train/A/1.png", "chest/test/A/1.png"]) == [("", "train"), ("", "test")]


EVERYTHING = "exact,near,conflicts,across-splits,unreadable"


def blot(seed: int) -> PIL.Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 255, (12, 12)).astype(np.uint8)
    return PIL.Image.fromarray(coarse).resize((120, 120), PIL.Image.Resampling.BICUBIC)


@pytest.fixture
def folder(tmp_path) -> Path:
    """Twelve pictures; a copy under another class, and a re-encoded one across the splits."""
    for seed in range(12):
        target = tmp_path / "scans" / ("train" if seed < 8 else "test") / ("ill" if seed % 2 else "well")
        target.mkdir(parents=True, exist_ok=True)
        blot(seed).save(target / f"p{seed // 2}_{seed}.png")
    return tmp_path / "scans"


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def audit(tmp_path, monkeypatch, capfd):
    """The command, in this process: its imports take longer than its work here."""
    monkeypatch.chdir(tmp_path)

    def call(folder: Path, *options: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["medgrid", "audit", str(folder), "--threads", "1", *options])
        said, code = "", 0
        try:
            main()
        except SystemExit as end:  # words are an error's, as Python has it
            said, code = f"{end.code}\n", 1
        out, err = capfd.readouterr()
        return Done(code, out, err + said)

    return call


def test_a_sound_folder_passes(folder, audit):
    done = audit(folder, "--fail-on", EVERYTHING)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "audit-scans/index.html\n"
    found = json.loads((folder.parent / "audit-scans/audit.json").read_text())
    assert found["images"] == 12
    assert found["classes"] == {"ill": 6, "well": 6}
    assert found["original_splits"] == {"test": 4, "train": 8}
    assert found["near"]["surplus"] == 0
    assert sorted(path.name for path in (folder.parent / "audit-scans").iterdir()) == [
        "audit.json", "index.html", "pairs.csv",
    ]  # fmt: skip


def test_faults_fail_it_in_one_line(folder, audit):
    (folder / "train/ill/copy.png").write_bytes((folder / "train/well/p0_0.png").read_bytes())
    blot(3).save(folder / "test/ill/again.jpg", quality=60)
    (folder / "train/ill/broken.png").write_bytes(b"no picture")
    done = audit(
        folder, "--fail-on", "exact,near,conflicts,across-splits,unreadable", "--out", "here", "--group", "(p\\d+)_"
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "medgrid: audit failed: 1 images are copies of others (exact); 2 images show the same picture as others "
        "(near); 1 pictures have several labels (conflicts); 1 pictures or groups lie in several of the original "
        "splits (across-splits); 1 images do not decode (unreadable)"
    )
    pairs = pd.read_csv(folder.parent / "here/pairs.csv", keep_default_na=False)
    told = {(row.kind, row.first_path, row.second_path) for row in pairs.itertuples() if row.kind != "rejected"}
    assert told == {
        ("file", "train/ill/copy.png", "train/well/p0_0.png"),
        ("near_duplicate", "test/ill/again.jpg", "train/ill/p1_3.png"),
    }
    assert audit(folder, "--fail-on", "").returncode == 0


def test_groups_on_both_sides_of_a_split_are_found(folder, audit):
    (folder / "train/well/p0_0.png").rename(folder / "test/well/p0_0.png")
    done = audit(folder, "--fail-on", "across-splits", "--group", "(p\\d+)_")
    assert done.returncode == 1
    assert "1 pictures or groups" in done.stderr


def test_a_flat_folder_without_classes_is_audited(tmp_path, audit):
    (tmp_path / "flat").mkdir()
    for seed in (0, 1, 2, 1):
        blot(seed).save(tmp_path / "flat" / f"{len(list((tmp_path / 'flat').iterdir()))}.png")
    done = audit(tmp_path / "flat", "--fail-on", "exact")
    assert done.returncode == 1
    found = json.loads((tmp_path / "audit-flat/audit.json").read_text())
    assert found["shortcuts"] == found["classes"] == {}
    assert "1 are copies of others" in done.stderr


def test_two_encodings_are_a_data_set_of_near_duplicates(tmp_path, audit):
    for label, quality in (("ill", 60), ("well", 95)):
        (tmp_path / "two" / label).mkdir(parents=True)
        blot(1).save(tmp_path / "two" / label / "a.jpg", quality=quality)
    done = audit(tmp_path / "two", "--fail-on", "near,conflicts")
    assert done.returncode == 1
    assert "1 images show the same picture as others (near); 1 pictures have several labels" in done.stderr


def test_images_outside_of_splits_are_in_none(folder, audit):
    (folder / "extra/ill").mkdir(parents=True)
    shutil.copy(folder / "train/ill/p1_3.png", folder / "extra/ill/copy.png")
    assert audit(folder, "--fail-on", "across-splits").returncode == 0
    assert audit(folder, "--fail-on", "exact").returncode == 1


def test_odd_files_are_reported_and_stop_nothing(folder, audit):
    PIL.Image.new("LAB", (30, 30)).save(folder / "train/ill/lab.tif")
    PIL.Image.fromarray(np.zeros((30, 30), np.float32)).save(folder / "train/ill/deep.tif")
    (folder / "linked").symlink_to(folder / "train")
    done = audit(folder, "--fail-on", "unreadable", "--group", "nothing", "--threads", "999")
    assert done.returncode == 1
    assert "1 images do not decode" in done.stderr
    assert "linked is a link to a folder, which is not followed" in done.stderr
    assert "--group finds nothing in any path" in done.stderr


def broken_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.png", b"x")
    content = path.read_bytes()
    path.write_bytes(content.replace(b"PK\x01\x02", b"PK\x01\x09"))


def unnamed(path: Path) -> None:
    path.mkdir()
    for name in ("caf\udce9.png", "a.png"):
        (path / name).write_bytes(b"")


@pytest.mark.parametrize(
    ("make", "options", "said"),
    [
        (lambda folder: None, [], "does not exist"),
        (lambda folder: folder.mkdir(), [], "holds 0 images"),
        (lambda folder: folder.write_text("words"), [], "neither a folder nor a zip"),
        (lambda folder: folder.mkdir(), ["--fail-on", "everything"], "--fail-on knows exact, near"),
        (lambda folder: folder.mkdir(), ["--group", "("], "--group is no regular expression"),
        (lambda folder: folder.mkdir(), ["--out", "scans.txt/here"], "--out scans.txt/here: Not a directory"),
        (lambda folder: broken_zip(folder), [], "neither a folder nor a zip: "),
        (lambda folder: unnamed(folder), [], "is not UTF-8; rename the file"),
    ],
)
def test_what_cannot_be_audited_says_why(tmp_path, audit, make, options, said):
    make(tmp_path / "scans")
    (tmp_path / "scans.txt").touch()
    done = audit(tmp_path / "scans", *options)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_no_more_threads_than_cores(folder, audit):
    audit(folder, "--threads", "999")
    assert torch.get_num_threads() <= len(os.sched_getaffinity(0))
