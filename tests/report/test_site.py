"""What a site is made of, without a browser: claims, steps, settings, downloads."""

import json

import factories
import pandas as pd
import pytest
import torch
import yaml

from medgrid.config.training import steps_per_epoch
from medgrid.report.site.assets import write_assets
from medgrid.report.site.claims import claims
from medgrid.report.site.downloads import ROWS, as_it_is
from medgrid.report.site.index import write_index
from medgrid.report.site.render import render
from medgrid.utils.errors import MedgridError

PART = {"what": "a above b", "estimate": 0.0123, "low": -0.004, "high": 0.02, "unit": "share", "p": 0.0004}


def written(folder, content) -> None:
    (folder / "claims.json").write_text(content if isinstance(content, str) else json.dumps(content))


def test_no_claims_are_no_section(tmp_path):
    assert claims(tmp_path) is None
    written(tmp_path, {"margin": 0.01, "claims": []})
    assert claims(tmp_path) is None


def test_shares_are_reported_in_points(tmp_path):
    claim = {"text": "x", "verdict": "open", "parts": [PART, PART | {"unit": "seconds", "p": None, "low": None}]}
    written(tmp_path, {"margin": 0.015, "claims": [claim]})
    found = claims(tmp_path)
    assert found["margin"] == "1.50 percentage points"
    assert found["counts"] == {"supported": 0, "contradicted": 0, "open": 1}
    first, second = found["claims"][0]["parts"]
    assert (first["estimate"], first["interval"], first["p"]) == (
        "1.23 percentage points", "−0.40 to 2.00", "< 0.001",  # noqa: RUF001
    )  # fmt: skip
    assert (second["estimate"], second["interval"]) == ("0.0123 seconds", "")


@pytest.mark.parametrize("content", ["", "{", "{}", "[1]", '{"margin": 0.01, "claims": [{"text": "x"}]}'])
def test_a_broken_file_of_claims_is_named(tmp_path, content):
    written(tmp_path, content)
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


def test_settings_and_tables_travel(tmp_path):
    settings, page = factories.finished(tmp_path, factories.small({"lr": [0.1, 0.01]}), figures=False)
    place = tmp_path / "report/odd"
    written = yaml.safe_load((place / "settings.yaml").read_text())
    assert written["axes"] == {"lr": [0.1, 0.01]}
    assert written["fixed"]["optimizer"] == "adam"
    assert written["seeds"] == [0, 1]
    assert "cells" not in written  # the axes' product
    tables = sorted(path.name for path in [*tmp_path.glob("*.csv"), tmp_path / "claims.json"])
    assert sorted(path.name for path in (place / "tables").iterdir()) == tables
    for name in tables:
        assert (place / "tables" / name).read_bytes() == (tmp_path / name).read_bytes()
    # what is no longer there leaves the site, too
    (tmp_path / "published.csv").rename(tmp_path / "another.csv")
    pd.read_csv(tmp_path / "another.csv").to_csv(tmp_path / "published.csv", index=False)
    (place / "stray").touch()
    page = factories.finish(tmp_path, settings, figures=False)
    assert "tables/another.csv" in page
    assert not (place / "stray").exists()


def test_a_long_table_is_cut_and_says_so(tmp_path):
    assert as_it_is(tmp_path / "none.csv") is None
    pd.DataFrame({"first": "a", "p": [0.123456789] * (ROWS + 5)}).to_csv(tmp_path / "t.csv", index=False)
    found = as_it_is(tmp_path / "t.csv")
    assert (len(found["rows"]), found["all"]) == (ROWS, ROWS + 5)
    assert found["rows"][0] == ["a", "0.1235"]
    assert [column["number"] for column in found["columns"]] == [False, True]


def test_assets_are_written_once(tmp_path):
    write_assets(tmp_path)
    assets = {path.name: path for path in (tmp_path / "assets").iterdir()}
    assert set(assets) == {"site.css", "site.js", "charts.js"}
    before = {name: path.stat().st_ino for name, path in assets.items()}
    assets["site.css"].write_text("other")
    write_assets(tmp_path)
    after = {name: path.stat().st_ino for name, path in assets.items()}
    assert {name for name in assets if before[name] != after[name]} == {"site.css"}


def test_a_page_without_a_site_stands_alone():
    page = render("base.html")
    assert "<style>" in page
    assert "<script" not in page
    assert "assets/" not in page


def test_a_demo_s_front_page_leads_to_the_real_results(tmp_path):
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
    front = results / "report" / "index.html"
    write_index({"studies": ["x"]}, str(results))
    assert "../../report/index.html" not in front.read_text()  # there is none yet
    (tmp_path / "results" / "report" / "index.html").touch()
    write_index({"studies": ["x"]}, str(results))
    assert 'href="../../report/index.html"' in front.read_text()
    (results / "x" / "summary.json").write_text(json.dumps(summary | {"synthetic": False}))
    write_index({"studies": ["x"]}, str(results))
    assert "../../report/index.html" not in front.read_text()
