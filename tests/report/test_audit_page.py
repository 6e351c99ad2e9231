"""An audit's page, from findings to what a browser would show."""

import json
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from conftest import READING

from medgrid.audit.findings import write_findings
from medgrid.data.near_duplicates import write_near_duplicates
from medgrid.report.site.audit import SHOWN, write_audit_page

SIZES = {"studies": ["one"], "test": 0.3, "validation": 0.2, "use": None, "balanced": False, "seed": 1}
SPLITS = [{"protocol": protocol} | SIZES for protocol in ("published", "clean")]


@pytest.fixture(scope="module")
def made(archive, inventory, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("audit")
    write_near_duplicates(
        {}, str(archive), str(inventory), str(folder / "near_duplicates.csv"), str(folder / "near_duplicates.npz"), 1
    )
    return folder


def page(made: Path, inventory: Path, folder: Path, **settings) -> str:
    near_duplicates, thumbnails, audit = (
        str(made / "near_duplicates.csv"),
        str(made / "near_duplicates.npz"),
        str(folder / "audit.json"),
    )
    settings = {
        "data": READING["dataset"],
        "license": "CC0",
        "synthetic": True,
        "split_settings_list": SPLITS,
    } | settings
    write_findings(settings, str(inventory), near_duplicates, thumbnails, audit, str(folder / "pairs.csv"))
    write_audit_page(
        {}, audit, str(folder / "pairs.csv"), str(inventory), near_duplicates, thumbnails, str(folder / "index.html")
    )
    return (folder / "index.html").read_text()


class Seen(HTMLParser):
    def __init__(self, text: str):
        super().__init__()
        self.images, self.cells = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag == "img":
            self.images.append(dict(attributes))

    def handle_data(self, data):
        if data.strip():
            self.cells.append(data.strip())


def test_the_page_tells_what_the_findings_hold(made, inventory, tmp_path):
    seen = Seen(page(made, inventory, tmp_path, show_images=True))
    found = json.loads((tmp_path / "audit.json").read_text())
    pairs = pd.read_csv(tmp_path / "pairs.csv")
    near = found["near"]
    row = seen.cells.index("the same picture (near-duplicates, and all above)")
    told = [str(near[name]) for name in ("clusters", "images", "surplus", "largest", "conflicting", "across_splits")]
    assert seen.cells[row + 1 : row + 7] == told
    assert near["surplus"] > 0
    assert "clean: one" in seen.cells
    assert 0 < len(seen.images) <= 4 * SHOWN
    assert len(seen.images) <= len(pairs)
    for image in seen.images:
        assert image["src"].startswith("data:image/webp;base64,")
        assert image["alt"].split(" beside ")[0] in set(pairs["first_path"])


def test_where_the_licence_forbids_it_no_image_is_shown(made, inventory, tmp_path):
    text = page(made, inventory, tmp_path, show_images=False)
    assert Seen(text).images == []
    assert "data:image" not in text
    assert "No image is shown here" in text
    # but the pairs are named, the weakest first
    pairs = pd.read_csv(tmp_path / "pairs.csv").query("kind == 'near_duplicate'")
    assert pairs["first_path"][(pairs["correlation"] + pairs["detail"]).idxmin()] in text


def test_findings_count_by_brute_force(made, inventory, tmp_path):
    """Original splits, groups and copies of the phantoms, from the inventory alone."""
    page(made, inventory, tmp_path, show_images=False)
    found = json.loads((tmp_path / "audit.json").read_text())
    every = pd.read_csv(inventory, keep_default_na=False)
    images = every[every["error"] == ""]
    assert found["unreadable"] == len(every) - len(images) == 2
    same = images.groupby("pixels_sha256").agg(count=("path", "size"), splits=("original_split", "nunique"))
    assert found["pixels"]["surplus"] == (same["count"] - 1).sum() > 0
    assert found["pixels"]["across_splits"] == (same["splits"] > 1).sum()
    groups = images.groupby("group").agg(count=("path", "size"), splits=("original_split", "nunique"))
    assert found["groups"]["across_splits"] == (groups["splits"] > 1).sum() > 0
    assert found["groups"]["images_across_splits"] == groups.loc[groups["splits"] > 1, "count"].sum()
    own = next(split for split in found["splits"] if split["protocol"] == "own")
    assert (own["train"], own["test"]) == ("Training", "Testing")
    train, test = (images[images["original_split"] == own[part]] for part in ("train", "test"))
    assert own["copies_in_training"] == test["pixels_sha256"].isin(train["pixels_sha256"]).sum()
    assert own["groups_in_training"] == test["group"].isin(train["group"]).sum()
    assert own["test_images"] == len(test)
