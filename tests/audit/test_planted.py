"""Planted truths on procedural images; benchmarks/README.md has those on real ones."""

import importlib.util
import io
import sys

import numpy as np
import pandas as pd
import PIL.Image
import pytest
from conftest import ROOT

from medgrid.audit.folder import audit_folder
from medgrid.data.synthetic import _head

SPEC = importlib.util.spec_from_file_location("planted", ROOT / "benchmarks/planted.py")
benchmark = sys.modules["planted"] = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(benchmark)
SUBJECTS = 200


@pytest.fixture(scope="module")
def heads() -> list[bytes]:
    """One picture each of many subjects, with noise of their own."""
    rng = np.random.default_rng(11)
    contents = []
    for subject in range(SUBJECTS):
        image = _head(rng, 160, subject) + rng.normal(0, 0.02, (160, 160))
        buffer = io.BytesIO()
        PIL.Image.fromarray((image * 200).clip(0, 255).astype(np.uint8)).save(buffer, "PNG")
        contents.append(buffer.getvalue())
    return contents


@pytest.fixture(scope="module")
def planted(heads, tmp_path_factory) -> tuple[pd.DataFrame, pd.DataFrame, dict]:
    folder = tmp_path_factory.mktemp("planted")
    truth = benchmark.plant(heads, folder / "images", seed=5)
    found = audit_folder(str(folder / "images"), folder / "out", benchmark.GROUP, 1, lambda *_: None)
    return truth, pd.read_csv(folder / "out/pairs.csv", keep_default_na=False), found


def test_every_exact_copy_is_found_and_nothing_else(planted):
    truth, pairs, _ = planted
    recall, told = benchmark.judge(truth, pairs)
    for kind in benchmark.EXACT:
        assert recall.loc[kind, "sum"] == recall.loc[kind, "size"] > 10
    assert told["exact pairs"] == told["right exact pairs"]


def test_altered_copies_are_found_and_hardly_anything_else(planted):
    truth, pairs, _ = planted
    recall, told = benchmark.judge(truth, pairs)
    for kinds in (benchmark.KNOWN, benchmark.UNSEEN):
        size, hits = recall.loc[list(kinds)].sum()
        assert hits >= 0.95 * size
    assert told["near pairs"] > 100
    assert told["right near pairs"] >= 0.99 * told["near pairs"]


def test_conflicts_patients_and_split_crossings_are_counted(planted):
    truth, pairs, found = planted
    ends = pairs.loc[pairs["kind"] != "rejected", ["first_path", "second_path"]].itertuples(index=False, name=None)
    told = set(map(frozenset, ends))
    seen = truth[[frozenset(pair) in told for pair in zip(truth["copy"], truth["source"], strict=True)]]
    assert found["near"]["conflicting"] == seen["conflict"].sum() > 0
    assert found["near"]["across_splits"] == seen["across"].sum() > 0
    assert found["groups"]["across_splits"] == SUBJECTS // 10
    assert found["groups"]["images_across_splits"] == 2 * (SUBJECTS // 10)


@pytest.mark.parametrize(("factor", "low", "high"), [(1.0, 0.35, 0.65), (1.05, 0.999, 1.0)])
def test_a_size_that_tells_the_class_is_reported(heads, tmp_path, factor, low, high):
    benchmark.sizes(heads[:120], tmp_path / "images", 0, factor)
    found = audit_folder(str(tmp_path / "images"), tmp_path / "out", "", 1, lambda *_: None)
    assert low <= found["shortcuts"]["width and height"] <= high
    assert found["chance"] == 0.5
    assert found["shortcuts"]["colour mode"] == pytest.approx(0.5, abs=0.05)
    assert low <= found["shortcuts"]["all of these"] <= high
