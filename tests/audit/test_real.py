"""Audits of real archives that lie in results/audits: they hang together, and short scripts of other ways agree.

The archives themselves are in data/archives, or in the folder that MEDGRID_MIRROR names; where they are not, what
needs them is skipped.
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
KINDS = {"file": {"file"}, "pixels": {"file", "pixels"}, "near": {"file", "pixels", "near_duplicate"}}


def archive_of(name: str) -> Path:
    dataset = yaml.safe_load((ROOT / "params.yaml").read_text())["datasets"][name]
    slug = dataset["kaggle"]["handle"].split("/")[1]
    indices = [
        *(ROOT / "data/archives" / name).glob("*.zip"),
        Path(os.environ.get("MEDGRID_MIRROR", "."), f"{slug}.zip"),
    ]
    found = next((place for place in indices if place.exists()), None)
    if found is None:
        pytest.skip(f"the archive of {name} is not here")
    return found


@pytest.fixture(params=AUDITS, ids=lambda path: path.parent.name)
def audited(request) -> tuple[str, dict, list[dict]]:
    with request.param.with_name("pairs.csv").open(newline="", encoding="utf-8") as handle:
        pairs = list(csv.DictReader(handle))
    return request.param.parent.name, json.loads(request.param.read_text(encoding="utf-8")), pairs


def test_there_are_audits_of_real_archives():
    assert {"brain_tumor_mri", "chest_xray_224"} <= {path.parent.name for path in AUDITS}


def told(path: str) -> tuple[str, str]:
    """Label and split of an image, as its folders say."""
    split, label = Path(path).parts[-3:-1]
    return label, split


def clustered(pairs: list[dict]) -> dict[str, set[str]]:
    """By joining sets, one pair after the other."""
    of: dict[str, set] = {}
    for pair in pairs:
        one, other = (of.get(pair[side], {pair[side]}) for side in ("first_path", "second_path"))
        of |= dict.fromkeys(one | other, one | other)
    return of


@pytest.mark.parametrize("kind", KINDS)
def test_counts_follow_from_the_pairs(audited, kind):
    _, found, pairs = audited
    of = clustered([pair for pair in pairs if pair["kind"] in KINDS[kind]])
    pictures = {id(each): each for each in of.values()}.values()
    assert found[kind] == {
        "images": sum(map(len, pictures)),
        "clusters": len(pictures),
        "surplus": sum(len(each) - 1 for each in pictures),
        "largest": max(map(len, pictures)),
        "conflicting": sum(len({told(path)[0] for path in each}) > 1 for each in pictures),
        "across_splits": sum(len({told(path)[1] for path in each}) > 1 for each in pictures),
    }


def test_the_rest_hangs_together(audited):
    _, found, pairs = audited
    assert sum(found["classes"].values()) == sum(found["original_splits"].values()) == found["images"]
    assert found["pairs"] == {
        kind: sum(pair["kind"] == kind for pair in pairs) for kind in ("file", "pixels", "near_duplicate")
    }
    strong = [
        (float(pair["correlation"]), float(pair["detail"])) for pair in pairs if pair["kind"] == "near_duplicate"
    ]
    assert all(
        r >= found["search"]["correlation"] - 1e-4 and d >= found["search"]["detail"] - 1e-4 for r, d in strong
    )
    for pair in pairs:
        assert told(pair["first_path"]) == (pair["first_label"], pair["first_split"])
    clean = [split for split in found["splits"] if split["protocol"] == "clean"]
    assert clean
    for split in clean:
        assert split["copies_in_training"] == split["near_duplicates_in_training"] == split["groups_in_training"] == 0
    assert any(split["near_duplicates_in_training"] for split in found["splits"] if split["protocol"] == "published")


def test_copies_are_those_of_a_dictionary_of_bytes(audited):
    """Files by hashlib, pixels by PIL and bytes."""
    name, found, pairs = audited
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
        assert found[kind]["clusters"] == len(repeated)
        assert found[kind]["images"] == sum(map(len, repeated))
        assert found[kind]["largest"] == max(map(len, repeated))
        assert found[kind]["across_splits"] == sum(len({told(path)[1] for path in paths}) > 1 for paths in repeated)
        assert found[kind]["conflicting"] == sum(len({told(path)[0] for path in paths}) > 1 for paths in repeated)
        ends = {frozenset((p["first_path"], p["second_path"])) for p in pairs if p["kind"] in KINDS[kind]}
        assert all(any(ends_ <= paths for paths in repeated) for ends_ in ends)
    assert Counter(told(path)[0] for paths in files.values() for path in paths) == found["classes"]


def test_near_duplicates_are_those_of_other_methods(audited):
    """Some near-duplicates by OpenCV's own alignment (ECC, affine); of a part of the images all pairs, by plain correlation."""
    name, _, pairs = audited
    rng = np.random.default_rng(0)
    repeated = [pair for pair in pairs if pair["kind"] != "rejected"]
    near_duplicates = [pair for pair in repeated if pair["kind"] == "near_duplicate"]
    chosen = [
        near_duplicates[i] for i in rng.choice(len(near_duplicates), min(len(near_duplicates), 40), replace=False)
    ]
    with zipfile.ZipFile(archive_of(name)) as archive:

        def picture(path: str) -> np.ndarray:
            image = PIL.Image.open(io.BytesIO(archive.read(path))).convert("L")
            return cv2.GaussianBlur(np.asarray(image.resize((128, 128), PIL.Image.Resampling.BOX)), (5, 5), 0)

        def ecc(pair: dict) -> float:
            one, other = picture(pair["first_path"]), picture(pair["second_path"])
            start, stop = np.eye(2, 3, dtype=np.float32), (cv2.TERM_CRITERIA_COUNT, 60, 0)
            return cv2.findTransformECC(one, other, start, cv2.MOTION_AFFINE, stop, None, 3)[0]

        assert np.mean([ecc(pair) > 0.97 for pair in chosen]) > 0.97
        paths = [path for path in archive.namelist() if path.lower().endswith((".jpg", ".jpeg"))]
        some = [paths[i] for i in rng.choice(len(paths), 200, replace=False)]
        some += [repeated[i][side] for i in rng.choice(len(repeated), 20) for side in ("first_path", "second_path")]
        some = list(dict.fromkeys(some))
        table = np.corrcoef(np.stack([picture(path).ravel() for path in some]).astype(np.float32))
    alike = [(some[i], some[j]) for i, j in np.argwhere(np.triu(table > 0.995, 1))]
    of = clustered(repeated)
    assert len(alike) >= 10
    missed = [pair for pair in alike if pair[1] not in of.get(pair[0], ())]
    assert len(missed) <= 0.05 * len(alike), missed
