"""Parts of a site, without a browser: claims, steps, settings, downloads."""

import json

import factories
import pandas as pd
import pytest
import torch
import yaml
from factories import CLAIM, COMPARISON

from medgrid.config.training import steps_per_epoch
from medgrid.report.labelled_results import LabelledResults
from medgrid.report.site.assets import write_assets
from medgrid.report.site.claims import claims
from medgrid.report.site.downloads import ROWS, TITLES, excerpt
from medgrid.report.site.index import write_index
from medgrid.report.site.render import render
from medgrid.utils.errors import MedgridError


def write_claims(folder, content) -> None:
    (folder / "tables").mkdir(exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / "tables/claims.json").write_text(text)


def test_no_claims_are_no_section(tmp_path):
    assert claims(tmp_path) is None
    write_claims(tmp_path, {"margin": 0.01, "judgements": 1, "claims": [], "not_judged": []})
    assert claims(tmp_path) is None


def test_shares_are_reported_in_points(tmp_path):
    first = COMPARISON | {"estimate": 0.0123, "low": -0.004, "high": 0.02, "p_support": 0.0004}
    comparisons = [first, first | {"unit": "nats", "p_support": None, "low": None}]
    claim = CLAIM | {"decisive": [0, 1], "comparisons": comparisons}
    left_out = [{"text": "x", "source": "page 1", "reason": "a guess"}]
    write_claims(tmp_path, {"margin": 0.015, "judgements": 1, "claims": [claim], "not_judged": left_out})
    shown = claims(tmp_path)
    assert shown["margin"] == "1.50 percentage points"
    assert shown["not_judged"] == left_out
    assert shown["counts"] == {"supported": 0, "contradicted": 0, "negligible": 0, "open": 1, "not_run": 0}
    assert shown["claims"][0]["reason"].startswith("learning rate 0.1 better than learning rate 0.01: +1.23 points")
    first, second = shown["claims"][0]["comparisons"]
    assert (first["estimate"], first["interval"], first["p_support"]) == (
        "1.23 percentage points", "−0.40 to 2.00", "< 0.001",  # noqa: RUF001
    )  # fmt: skip
    assert (second["estimate"], second["interval"]) == ("0.0123 nats", "")


@pytest.mark.parametrize("content", ["", "{", "{}", "[1]", '{"margin": 0.01, "claims": [{"text": "x"}]}'])
def test_a_broken_file_of_claims_is_named(tmp_path, content):
    write_claims(tmp_path, content)
    with pytest.raises(MedgridError, match=r"claims\.json: not a file of claims"):
        claims(tmp_path)


def test_steps_are_those_of_the_training_loop():
    for images in (1, 2, 20, 31, 32, 33, 64, 65, 97):
        for size in (1, 8, 32, 64):
            taken = seen = 0
            for indices in torch.randperm(images).split(size):
                if len(indices) == 1 < size and seen:
                    continue
                taken, seen = taken + 1, seen + len(indices)
            assert steps_per_epoch(images, size) == taken, (images, size)


def test_settings_and_tables_are_part_of_the_page(tmp_path):
    manifest, _ = factories.finished(tmp_path, factories.small({"lr": [0.1, 0.01]}), figures=False)
    folder = tmp_path / "report/odd"
    settings = yaml.safe_load((folder / "settings.yaml").read_text())
    assert settings["axes"] == {"lr": [0.1, 0.01]}
    assert settings["fixed"]["optimizer"] == "adam"
    assert settings["seeds"] == [0, 1]
    assert "cells" not in settings  # they are the product of the axes
    tables = {file.name: file for file in (tmp_path / "tables").iterdir()}
    tables["networks.csv"] = tmp_path / "networks/networks.csv"
    assert {file.name: file.read_bytes() for file in (folder / "tables").iterdir()} == {
        name: file.read_bytes() for name, file in tables.items()
    }
    # every table has a title, and an unknown one is copied as well
    assert {name.split(".")[0] for name in tables} == set(TITLES) - {"splits"}
    pd.read_csv(tables["published.csv"]).to_csv(tmp_path / "tables/another.csv", index=False)
    # files of earlier pages are removed
    (folder / "stray").touch()
    page = factories.reported(tmp_path, manifest, figures=False)
    assert "tables/another.csv" in page
    assert not (folder / "stray").exists()


def test_a_long_table_is_shown_in_part(tmp_path):
    manifest, _ = factories.settings_of(factories.small({"lr": [0.1]}))
    study = LabelledResults(manifest, tmp_path)
    (tmp_path / "tables").mkdir()
    pd.DataFrame({"first": []}).to_csv(tmp_path / "tables/empty.csv", index=False)
    assert excerpt(study, "empty") is None
    pd.DataFrame({"first": "a", "p": [0.123456789] * (ROWS + 5)}).to_csv(tmp_path / "tables/t.csv", index=False)
    shown = excerpt(study, "t")
    assert (len(shown["rows"]), shown["total"]) == (ROWS, ROWS + 5)
    assert shown["rows"][0] == ["a", "0.1235"]
    assert [column["number"] for column in shown["columns"]] == [False, True]


def test_assets_are_written_once(tmp_path):
    write_assets(tmp_path)
    assets = {path.name: path for path in (tmp_path / "assets").iterdir()}
    assert set(assets) == {"site.css", "site.js", "charts.js"}
    before = {name: path.stat().st_ino for name, path in assets.items()}
    assets["site.css"].write_text("other")
    write_assets(tmp_path)
    after = {name: path.stat().st_ino for name, path in assets.items()}
    assert {name for name in assets if before[name] != after[name]} == {"site.css"}


def test_a_page_without_a_site_is_self_contained():
    page = render("base.html")
    assert "<style>" in page
    assert "<script" not in page
    assert "assets/" not in page


def test_the_index_page_of_a_demo_links_the_real_results(tmp_path):
    results = tmp_path / "results" / "demo"
    summary = {
        "study": "x",
        "title": "X",
        "document": "",
        "dataset": "d",
        "synthetic": True,
        "data": "synthetic images",
    }
    summary |= {"protocol": "clean", "cells": 1, "replicates": 1, "best": None, "select": "validation loss"}
    for page in (results / "report" / "x", tmp_path / "results" / "report"):
        page.mkdir(parents=True)
    (results / "report" / "x" / "index.html").touch()
    (results / "x").mkdir()
    (results / "x" / "summary.json").write_text(json.dumps(summary))
    index = results / "report" / "index.html"
    write_index({"studies": ["x"]}, str(results))
    assert "../../report/index.html" not in index.read_text()  # there are none yet
    (tmp_path / "results" / "report" / "index.html").touch()
    write_index({"studies": ["x"]}, str(results))
    assert 'href="../../report/index.html"' in index.read_text()
    (results / "x" / "summary.json").write_text(json.dumps(summary | {"synthetic": False}))
    write_index({"studies": ["x"]}, str(results))
    assert "../../report/index.html" not in index.read_text()
