"""`medgrid audit` of folders and zips."""

import json
import os
import re
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

from medgrid.audit.folder import classes_and_splits
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
def test_classes_and_splits_come_from_the_names_of_folders(path, expected):
    others = ["train/ill/x.png", "train/well/x.png"]
    assert classes_and_splits([*others, path])[-1] == expected


def test_folders_that_all_images_share_are_no_classes():
    paths = ["archive/scans/ill/1.png", "archive/scans/well/patient7/2.png"]
    assert classes_and_splits(paths) == [("ill", ""), ("well", "")]
    assert classes_and_splits(["scans/1.png", "scans/2.png"]) == [("", ""), ("", "")]
    assert classes_and_splits(["chest/train/A/1.png", "chest/test/A/1.png"]) == [("", "train"), ("", "test")]


ALL_CONDITIONS = "exact,near,conflicts,across-splits,unreadable"


def blot(seed: int) -> PIL.Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 255, (12, 12)).astype(np.uint8)
    return PIL.Image.fromarray(coarse).resize((120, 120), PIL.Image.Resampling.BICUBIC)


@pytest.fixture
def folder(tmp_path) -> Path:
    """Twelve different images in two classes and two splits."""
    for seed in range(12):
        target = tmp_path / "scans" / ("train" if seed < 8 else "test") / ("ill" if seed % 2 else "well")
        target.mkdir(parents=True, exist_ok=True)
        blot(seed).save(target / f"p{seed // 2}_{seed}.png")
    return tmp_path / "scans"


class Result(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def audit(tmp_path, monkeypatch, capfd):
    """Run the command in this process: importing its modules takes longer than its work."""
    monkeypatch.chdir(tmp_path)

    def call(folder: Path, *options: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["medgrid", "audit", str(folder), "--threads", "1", *options])
        message, code = "", 0
        try:
            main()
        except SystemExit as error:  # its code is the error message
            message, code = f"{error.code}\n", 1
        out, err = capfd.readouterr()
        return Result(code, out, err + message)

    return call


def test_a_folder_without_faults_passes(folder, audit):
    result = audit(folder, "--fail-on", ALL_CONDITIONS)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "audit-scans/index.html\n"
    findings = json.loads((folder.parent / "audit-scans/audit.json").read_text())
    assert findings["images"] == 12
    assert findings["classes"] == {"ill": 6, "well": 6}
    assert findings["original_splits"] == {"test": 4, "train": 8}
    assert findings["near_duplicate"]["surplus"] == 0
    assert sorted(path.name for path in (folder.parent / "audit-scans").iterdir()) == [
        "audit.json", "index.html", "pairs.csv",
    ]  # fmt: skip


def test_faults_fail_an_audit_with_one_line(folder, audit):
    (folder / "train/ill/copy.png").write_bytes((folder / "train/well/p0_0.png").read_bytes())
    blot(3).save(folder / "test/ill/again.jpg", quality=60)
    (folder / "train/ill/broken.png").write_bytes(b"no image")
    result = audit(
        folder, "--fail-on", "exact,near,conflicts,across-splits,unreadable", "--out", "here", "--group", "(p\\d+)_"
    )
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == (
        "medgrid: audit failed: 1 images are copies of others (exact); 2 images are copies or near-duplicates of "
        "others (near); 1 clusters of near-duplicates have conflicting labels (conflicts); 1 clusters or groups are "
        "in several of the original splits (across-splits); 1 images cannot be decoded (unreadable)"
    )
    pairs = pd.read_csv(folder.parent / "here/pairs.csv", keep_default_na=False)
    detected = {(row.kind, row.first_path, row.second_path) for row in pairs.itertuples() if row.kind != "rejected"}
    assert detected == {
        ("file", "train/ill/copy.png", "train/well/p0_0.png"),
        ("near_duplicate", "test/ill/again.jpg", "train/ill/p1_3.png"),
    }
    assert audit(folder, "--fail-on", "").returncode == 0


def test_the_summary_has_the_file_order_if_numbers_tell_anything(folder, audit, monkeypatch):
    assert "file order" not in audit(folder).stderr
    monkeypatch.setattr("medgrid.audit.file_order.MIN_IMAGES", 2)
    assert re.search(
        r"file order: for \d+\.\d% of images, the most similar .* at most 5 positions away", audit(folder).stderr
    )


def test_groups_in_both_splits_are_detected(folder, audit):
    (folder / "train/well/p0_0.png").rename(folder / "test/well/p0_0.png")
    result = audit(folder, "--fail-on", "across-splits", "--group", "(p\\d+)_")
    assert result.returncode == 1
    assert "1 clusters or groups" in result.stderr


def test_a_flat_folder_without_classes_is_audited(tmp_path, audit):
    (tmp_path / "flat").mkdir()
    for seed in (0, 1, 2, 1):
        blot(seed).save(tmp_path / "flat" / f"{len(list((tmp_path / 'flat').iterdir()))}.png")
    result = audit(tmp_path / "flat", "--fail-on", "exact")
    assert result.returncode == 1
    findings = json.loads((tmp_path / "audit-flat/audit.json").read_text())
    assert findings["shortcuts"] == findings["classes"] == {}
    assert "1 images are copies of others" in result.stderr


def test_two_encodings_of_one_image_are_near_duplicates(tmp_path, audit):
    for label, quality in (("ill", 60), ("well", 95)):
        (tmp_path / "two" / label).mkdir(parents=True)
        blot(1).save(tmp_path / "two" / label / "a.jpg", quality=quality)
    result = audit(tmp_path / "two", "--fail-on", "near,conflicts")
    assert result.returncode == 1
    assert (
        "1 images are copies or near-duplicates of others (near); 1 clusters of near-duplicates have conflicting"
        in result.stderr
    )


def test_images_in_other_folders_are_in_no_split(folder, audit):
    (folder / "extra/ill").mkdir(parents=True)
    shutil.copy(folder / "train/ill/p1_3.png", folder / "extra/ill/copy.png")
    assert audit(folder, "--fail-on", "across-splits").returncode == 0
    assert audit(folder, "--fail-on", "exact").returncode == 1


def test_unusual_files_are_reported(folder, audit):
    PIL.Image.new("LAB", (30, 30)).save(folder / "train/ill/lab.tif")
    PIL.Image.fromarray(np.zeros((30, 30), np.float32)).save(folder / "train/ill/deep.tif")
    (folder / "linked").symlink_to(folder / "train")
    result = audit(folder, "--fail-on", "unreadable", "--group", "nothing", "--threads", "999")
    assert result.returncode == 1
    assert "1 images cannot be decoded" in result.stderr
    assert "linked is a link to a folder and is not followed" in result.stderr
    assert "--group does not match any path" in result.stderr


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
    ("make", "options", "message"),
    [
        (lambda folder: None, [], "does not exist"),
        (lambda folder: folder.mkdir(), [], "contains 0 images"),
        (lambda folder: folder.write_text("words"), [], "neither a folder nor a zip"),
        (lambda folder: folder.mkdir(), ["--fail-on", "everything"], "--fail-on accepts exact, near"),
        (lambda folder: folder.mkdir(), ["--group", "("], "--group is not a regular expression"),
        (lambda folder: folder.mkdir(), ["--out", "scans.txt/here"], "--out scans.txt/here: Not a directory"),
        (lambda folder: broken_zip(folder), [], "neither a folder nor a zip: "),
        (lambda folder: unnamed(folder), [], "is not UTF-8; rename the file"),
    ],
)
def test_sources_that_cannot_be_audited_are_errors(tmp_path, audit, make, options, message):
    make(tmp_path / "scans")
    (tmp_path / "scans.txt").touch()
    result = audit(tmp_path / "scans", *options)
    assert result.returncode == 1
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_no_more_threads_than_cores(folder, audit):
    audit(folder, "--threads", "999")
    assert torch.get_num_threads() <= len(os.sched_getaffinity(0))
