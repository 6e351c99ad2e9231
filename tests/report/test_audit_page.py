"""The page of an audit has the numbers and images of the findings."""

import base64
import io
import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import PIL.Image
import pytest
from conftest import READING

from medgrid.audit.findings import LARGEST, write_findings
from medgrid.data.clusters import read_images
from medgrid.data.near_duplicates import write_near_duplicates
from medgrid.report.site.audit import SHOWN, galleries, write_audit, write_audit_page


@pytest.fixture(scope="module")
def images(archive, inventory, tmp_path_factory) -> tuple[str, str, str]:
    """Inventory, CSV of near-duplicates and .npz of thumbnails."""
    folder = tmp_path_factory.mktemp("audit")
    near_duplicates, thumbnails = str(folder / "near_duplicates.csv"), str(folder / "near_duplicates.npz")
    write_near_duplicates({}, str(archive), str(inventory), near_duplicates, thumbnails, 1)
    return str(inventory), near_duplicates, thumbnails


def write_page(images: tuple[str, str, str], folder: Path, show_images: bool) -> str:
    """Write audit.json, pairs.csv and index.html into `folder`; returns the page."""
    folder.mkdir(exist_ok=True)
    settings = {"data": READING["dataset"], "license": "CC0", "synthetic": True, "show_images": show_images}
    settings["series"] = None
    audit, pairs, page = (str(folder / name) for name in ("audit.json", "pairs.csv", "index.html"))
    write_findings(settings, *images, audit, pairs)
    write_audit_page({}, audit, pairs, *images, page)
    return (folder / "index.html").read_text()


class Page(HTMLParser):
    def __init__(self, text: str):
        super().__init__()
        self.images, self.texts = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag == "img":
            self.images.append(dict(attributes))

    def handle_data(self, data):
        if data.strip():
            self.texts.append(data.strip())


def test_the_page_has_the_numbers_of_the_findings(images, tmp_path):
    page = Page(write_page(images, tmp_path, show_images=True))
    findings = json.loads((tmp_path / "audit.json").read_text())
    pairs = pd.read_csv(tmp_path / "pairs.csv")
    clusters = findings["near_duplicate"]
    row = page.texts.index("Near-duplicates (including the above)")
    columns = ("clusters", "images", "surplus", "largest", "conflicting", "across_splits")
    assert page.texts[row + 1 : row + 7] == [str(clusters[name]) for name in columns]
    assert clusters["surplus"] > 0
    row = page.texts.index("Training → Testing")
    (split,) = findings["splits"]
    assert page.texts[row + 1 : row + 4] == [
        str(split[name]) for name in ("train_images", "test_images", "copies_in_training")
    ]
    assert 0 < len(page.images) <= 4 * SHOWN
    assert len(page.images) <= len(pairs)
    for image in page.images:
        assert image["src"].startswith("data:image/webp;base64,")
        assert image["alt"].split(" and ")[0] in set(pairs["first_path"])


def test_without_permission_no_image_is_shown(images, tmp_path):
    text = write_page(images, tmp_path, show_images=False)
    assert Page(text).images == []
    assert "data:image" not in text
    assert "No images are shown" in text
    # the paths of pairs are listed, the least similar first
    pairs = pd.read_csv(tmp_path / "pairs.csv").query("kind == 'near_duplicate'")
    assert pairs["first_path"][(pairs["correlation"] + pairs["detail"]).idxmin()] in text


def test_a_mirrored_copy_is_shown_in_the_orientation_of_the_other_image(images, tmp_path):
    inventory, near_duplicates, thumbnails = images
    with np.load(thumbnails) as arrays:
        content = dict(arrays)
    pairs = pd.read_csv(near_duplicates, keep_default_na=False).query("kind == 'near_duplicate'")
    first, second = pairs.iloc[0][["first", "second"]]
    content["thumbnails"][first] = content["thumbnails"][second][:, ::-1]
    pairs = pairs.iloc[:1].assign(orientation="mirrored")
    (gallery,) = galleries(read_images(inventory), pairs, content["thumbnails"])[:1]
    (entry,) = gallery["pairs"]
    assert entry["kind"] == "near-duplicate, mirrored"
    shown = np.asarray(PIL.Image.open(io.BytesIO(base64.b64decode(entry["source"].split(",")[1]))).convert("L"))
    one, other = shown[:, :64].astype(float), shown[:, -64:].astype(float)
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.99
    files = [str(tmp_path / name) for name in ("pairs.csv", "thumbnails.npz")]
    pairs.to_csv(files[0], index=False)
    np.savez(files[1], **content)
    text = write_page((inventory, *files), tmp_path / "page", show_images=False)
    assert "mirrored in 1 of the 1 pairs" in " ".join(text.split())


def test_the_largest_clusters_have_a_weakest_link(images, tmp_path):
    text = write_page(images, tmp_path, show_images=False)
    findings = json.loads((tmp_path / "audit.json").read_text())
    sizes = [cluster["images"] for cluster in findings["largest_clusters"]]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == findings["near_duplicate"]["largest"]
    assert len(sizes) == min(LARGEST, findings["near_duplicate"]["clusters"])
    paths = set(pd.read_csv(images[0])["path"])
    for cluster in findings["largest_clusters"]:
        assert {cluster["first_path"], cluster["second_path"]} <= paths
        assert cluster["first_path"] in text


def test_the_page_of_a_site_has_the_findings_next_to_it(images, tmp_path):
    results, site = tmp_path / "results", tmp_path / "report/audits/phantoms"
    site.mkdir(parents=True)
    settings = {"data": "phantoms", "license": "", "synthetic": True, "show_images": False}
    settings["series"] = "chains"
    audit, pairs = results / "audit.json", results / "pairs.csv"
    write_audit(settings, *images, str(audit), str(pairs), str(site / "index.html"))
    for file in (audit, pairs):
        assert (site / file.name).read_bytes() == file.read_bytes()
    assert (tmp_path / "report/assets").is_dir()


def test_the_page_shows_file_order_where_stems_are_large_enough(images, tmp_path, monkeypatch):
    assert "File order" not in Page(write_page(images, tmp_path, show_images=False)).texts
    assert json.loads((tmp_path / "audit.json").read_text())["file_order"] is None
    monkeypatch.setattr("medgrid.audit.file_order.MIN_IMAGES", 8)
    page = Page(write_page(images, tmp_path, show_images=False))
    order = json.loads((tmp_path / "audit.json").read_text())["file_order"]
    assert f"{100 * order['observed']:.1f} %" in page.texts
    start = page.texts.index("Close number, %")
    for name, row in {**order["classes"], "all": order}.items():
        place = page.texts.index(name, start)
        shares = [f"{100 * row['observed']:.1f}", f"{100 * row['shuffled']:.1f}", f"{row['p']:.3f}"]
        assert page.texts[place + 1 : place + 5] == [str(row["images"]), *shares]


def test_findings_equal_counts_by_brute_force(images, tmp_path):
    """Original splits, groups and copies of the phantoms, from the inventory alone."""
    write_page(images, tmp_path, show_images=False)
    findings = json.loads((tmp_path / "audit.json").read_text())
    every = pd.read_csv(images[0], keep_default_na=False)
    readable = every[every["error"] == ""]
    assert findings["unreadable"] == len(every) - len(readable) == 2
    copies = readable.groupby("pixels_sha256").agg(count=("path", "size"), splits=("original_split", "nunique"))
    assert findings["pixels"]["surplus"] == (copies["count"] - 1).sum() > 0
    assert findings["pixels"]["across_splits"] == (copies["splits"] > 1).sum()
    groups = readable.groupby("group").agg(count=("path", "size"), splits=("original_split", "nunique"))
    assert findings["groups"]["across_splits"] == (groups["splits"] > 1).sum() > 0
    assert findings["groups"]["images_across_splits"] == groups.loc[groups["splits"] > 1, "count"].sum()
    (split,) = findings["splits"]
    assert (split["train"], split["test"]) == ("Training", "Testing")
    train, test = (readable[readable["original_split"] == split[part]] for part in ("train", "test"))
    assert split["copies_in_training"] == test["pixels_sha256"].isin(train["pixels_sha256"]).sum()
    assert split["groups_in_training"] == test["group"].isin(train["group"]).sum()
    assert split["test_images"] == len(test)
