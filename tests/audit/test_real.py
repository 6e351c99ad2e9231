"""Audits of real archives, in results/audits: their numbers are consistent, and equal those of other methods.

The archives are in data/archives or in the folder of the variable MEDGRID_MIRROR; tests that need them are skipped
where they are not.
"""

import csv
import hashlib
import io
import json
import os
import zipfile
from collections import Counter, defaultdict
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest
import yaml
from conftest import ROOT

AUDITS = sorted((ROOT / "results/audits").glob("*/audit.json"))
KINDS = {"file": {"file"}, "pixels": {"file", "pixels"}, "near_duplicate": {"file", "pixels", "near_duplicate"}}


def archive_of(name: str) -> Path:
    dataset = yaml.safe_load((ROOT / "params.yaml").read_text())["datasets"][name]
    slug = dataset["kaggle"]["handle"].split("/")[1]
    candidates = [
        *(ROOT / "data/archives" / name).glob("*.zip"),
        Path(os.environ.get("MEDGRID_MIRROR", "."), f"{slug}.zip"),
    ]
    archive = next((path for path in candidates if path.exists()), None)
    if archive is None:
        pytest.skip(f"no archive of {name}")
    return archive


@pytest.fixture(params=AUDITS, ids=lambda path: path.parent.name)
def audited(request) -> tuple[str, dict, list[dict]]:
    with request.param.with_name("pairs.csv").open(newline="", encoding="utf-8") as handle:
        pairs = list(csv.DictReader(handle))
    return request.param.parent.name, json.loads(request.param.read_text(encoding="utf-8")), pairs


def test_there_are_audits_of_real_archives():
    assert {"brain_tumor_mri", "chest_xray_224"} <= {path.parent.name for path in AUDITS}


def label_and_split(path: str) -> tuple[str, str]:
    """Label and original split of an image, from the names of its folders."""
    split, label = Path(path).parts[-3:-1]
    return label, split


def clusters_of(pairs: list[dict]) -> dict[str, set[str]]:
    """The cluster of each path, by uniting sets, one pair after the other."""
    clusters: dict[str, set] = {}
    for pair in pairs:
        one, other = (clusters.get(pair[side], {pair[side]}) for side in ("first_path", "second_path"))
        clusters |= dict.fromkeys(one | other, one | other)
    return clusters


@pytest.mark.parametrize("kind", KINDS)
def test_counts_follow_from_the_pairs(audited, kind):
    _, findings, pairs = audited
    by_path = clusters_of([pair for pair in pairs if pair["kind"] in KINDS[kind]])
    clusters = {id(cluster): cluster for cluster in by_path.values()}.values()
    assert findings[kind] == {
        "images": sum(map(len, clusters)),
        "clusters": len(clusters),
        "surplus": sum(len(cluster) - 1 for cluster in clusters),
        "largest": max(map(len, clusters)),
        "conflicting": sum(len({label_and_split(path)[0] for path in cluster}) > 1 for cluster in clusters),
        "across_splits": sum(len({label_and_split(path)[1] for path in cluster}) > 1 for cluster in clusters),
    }


def test_other_counts_are_consistent(audited):
    _, findings, pairs = audited
    assert sum(findings["classes"].values()) == sum(findings["original_splits"].values()) == findings["images"]
    assert findings["pairs"] == {
        kind: sum(pair["kind"] == kind for pair in pairs) for kind in ("file", "pixels", "near_duplicate")
    }
    strong = [
        (float(pair["correlation"]), float(pair["detail"])) for pair in pairs if pair["kind"] == "near_duplicate"
    ]
    assert all(
        r >= findings["search"]["correlation"] - 1e-4 and d >= findings["search"]["detail"] - 1e-4 for r, d in strong
    )
    for pair in pairs:
        assert label_and_split(pair["first_path"]) == (pair["first_label"], pair["first_split"])
    for split in findings["splits"]:
        assert split["train_images"] == findings["original_splits"][split["train"]]
        assert split["test_images"] == findings["original_splits"][split["test"]]
        assert split["copies_in_training"] <= split["near_duplicates_in_training"] <= split["test_images"]


def test_copies_equal_those_of_a_dictionary_of_bytes(audited):
    """Files by hashlib, pixels by PIL and bytes."""
    name, findings, pairs = audited
    files, pixels = defaultdict(set), defaultdict(set)
    with zipfile.ZipFile(archive_of(name)) as archive:
        for path in archive.namelist():
            if path.lower().endswith((".jpg", ".jpeg", ".png")):
                content = archive.read(path)
                image = PIL.Image.open(io.BytesIO(content))
                files[hashlib.md5(content, usedforsecurity=False).digest()].add(path)
                key = hashlib.blake2b(image.tobytes()).digest()
                pixels[image.mode, image.size, key].add(path)
    for kind, kinds in (("file", files), ("pixels", pixels)):
        repeated = [paths for paths in kinds.values() if len(paths) > 1]
        assert findings[kind]["clusters"] == len(repeated)
        assert findings[kind]["images"] == sum(map(len, repeated))
        assert findings[kind]["largest"] == max(map(len, repeated))
        assert findings[kind]["across_splits"] == sum(
            len({label_and_split(path)[1] for path in paths}) > 1 for paths in repeated
        )
        assert findings[kind]["conflicting"] == sum(
            len({label_and_split(path)[0] for path in paths}) > 1 for paths in repeated
        )
        ends = {frozenset((p["first_path"], p["second_path"])) for p in pairs if p["kind"] in KINDS[kind]}
        assert all(any(ends_ <= paths for paths in repeated) for ends_ in ends)
    assert Counter(label_and_split(path)[0] for paths in files.values() for path in paths) == findings["classes"]


def test_near_duplicates_equal_those_of_other_methods(audited):
    """Some pairs align by OpenCV (ECC, affine); of some images all pairs are compared, by correlation."""
    name, _, pairs = audited
    rng = np.random.default_rng(0)
    repeated = [pair for pair in pairs if pair["kind"] != "rejected"]
    upright = [pair for pair in repeated if not pair.get("orientation")]
    near_duplicates = [pair for pair in upright if pair["kind"] == "near_duplicate"]
    chosen = [
        near_duplicates[i] for i in rng.choice(len(near_duplicates), min(len(near_duplicates), 40), replace=False)
    ]
    with zipfile.ZipFile(archive_of(name)) as archive:

        def read_image(path: str) -> np.ndarray:
            image = PIL.Image.open(io.BytesIO(archive.read(path))).convert("L")
            return cv2.GaussianBlur(np.asarray(image.resize((128, 128), PIL.Image.Resampling.BOX)), (5, 5), 0)

        def ecc(pair: dict) -> float:
            one, other = read_image(pair["first_path"]), read_image(pair["second_path"])
            start, stop = np.eye(2, 3, dtype=np.float32), (cv2.TERM_CRITERIA_COUNT, 60, 0)
            return cv2.findTransformECC(one, other, start, cv2.MOTION_AFFINE, stop, None, 3)[0]

        assert np.mean([ecc(pair) > 0.97 for pair in chosen]) > 0.97
        paths = [path for path in archive.namelist() if path.lower().endswith((".jpg", ".jpeg"))]
        some = [paths[i] for i in rng.choice(len(paths), 200, replace=False)]
        some += [repeated[i][side] for i in rng.choice(len(repeated), 20) for side in ("first_path", "second_path")]
        some = list(dict.fromkeys(some))
        table = np.corrcoef(np.stack([read_image(path).ravel() for path in some]).astype(np.float32))
    similar = [(some[i], some[j]) for i, j in np.argwhere(np.triu(table > 0.995, 1))]
    clusters = clusters_of(repeated)
    assert len(similar) >= 10
    missed = [pair for pair in similar if pair[1] not in clusters.get(pair[0], ())]
    assert len(missed) <= 0.05 * len(similar), missed
