"""Faults planted into synthetic images are detected; benchmarks/README.md has results on real ones."""

import importlib.util
import io
import sys

import numpy as np
import pandas as pd
import PIL.Image
import pytest
from conftest import ROOT

from medgrid.audit.folder import audit_folder
from medgrid.data.synthetic import draw_head

SPEC = importlib.util.spec_from_file_location("planted", ROOT / "benchmarks/planted.py")
benchmark = sys.modules["planted"] = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(benchmark)
SUBJECTS = 200

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def heads() -> list[bytes]:
    """One image of each of many subjects, with independent noise."""
    rng = np.random.default_rng(12)
    contents = []
    for subject in range(SUBJECTS):
        image = draw_head(rng, 160, subject) + rng.normal(0, 0.02, (160, 160))
        buffer = io.BytesIO()
        PIL.Image.fromarray((image * 200).clip(0, 255).astype(np.uint8)).save(buffer, "PNG")
        contents.append(buffer.getvalue())
    return contents


@pytest.fixture(scope="module")
def planted(heads, tmp_path_factory) -> tuple[pd.DataFrame, pd.DataFrame, dict]:
    folder = tmp_path_factory.mktemp("planted")
    table = benchmark.plant(heads, folder / "images", seed=5)
    findings = audit_folder(str(folder / "images"), folder / "out", benchmark.GROUP, 1, benchmark.no_page)
    return table, pd.read_csv(folder / "out/pairs.csv", keep_default_na=False), findings


def test_exact_copies_are_detected_and_nothing_else(planted):
    table, pairs, _ = planted
    recall, counts = benchmark.judge(table, pairs)
    for kind in benchmark.EXACT:
        assert recall.loc[kind, "detected"] == recall.loc[kind, "size"] > 10
    assert counts["exact pairs"] == counts["correct exact pairs"]


def test_altered_copies_are_detected_and_hardly_anything_else(planted):
    table, pairs, _ = planted
    recall, counts = benchmark.judge(table, pairs)
    for kinds, least in ((benchmark.KNOWN, 0.95), (benchmark.UNSEEN, 0.95), (benchmark.TURNED, 0.9)):
        size, hits = recall.loc[list(kinds)].sum()
        assert hits >= least * size
    assert counts["near pairs"] > 100
    assert counts["correct near pairs"] >= 0.99 * counts["near pairs"]


def test_conflicts_patients_and_split_crossings_are_counted(planted):
    table, pairs, findings = planted
    ends = pairs.loc[pairs["kind"] != "rejected", ["first_path", "second_path"]].itertuples(index=False, name=None)
    detected = set(map(frozenset, ends))
    copies = table[[frozenset(pair) in detected for pair in zip(table["copy"], table["source"], strict=True)]]
    assert findings["near_duplicate"]["conflicting"] == copies["conflict"].sum() > 0
    assert findings["near_duplicate"]["across_splits"] == copies["across"].sum() > 0
    assert findings["groups"]["across_splits"] == SUBJECTS // 10
    assert findings["groups"]["images_across_splits"] == 2 * (SUBJECTS // 10)


@pytest.mark.parametrize(("factor", "low", "high"), [(1.0, 0.35, 0.65), (1.05, 0.999, 1.0)])
def test_a_size_that_predicts_the_class_is_reported(heads, tmp_path, factor, low, high):
    benchmark.sizes(heads[:120], tmp_path / "images", 0, factor)
    findings = audit_folder(str(tmp_path / "images"), tmp_path / "out", "", 1, benchmark.no_page)
    assert low <= findings["shortcuts"]["width and height"] <= high
    assert findings["chance"] == 0.5
    assert findings["shortcuts"]["colour mode"] == pytest.approx(0.5, abs=0.05)
    assert low <= findings["shortcuts"]["all of these"] <= high
