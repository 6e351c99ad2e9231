"""docs/adding.md does what it says: its blocks are merged into params.yaml, and its images are read."""

import copy
import re
import subprocess
from pathlib import Path

import pandas as pd
import pytest
import yaml
from conftest import ROOT, Project, medgrid, merged
from PIL import Image
from snakemake.utils import update_config

from medgrid.config import load
from medgrid.data.fetch import fetch
from medgrid.data.inventory import write_inventory
from medgrid.grid.cells import expand_grid
from medgrid.grid.layout import lay_out
from medgrid.utils.errors import MedgridError

PAGE = (ROOT / "docs/adding.md").read_text()
BLOCKS = [yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.M | re.S)]


@pytest.fixture
def added(params) -> dict:
    """params.yaml with all blocks of the page."""
    changed = copy.deepcopy(params)
    for block in copy.deepcopy(BLOCKS):
        update_config(changed, block)
    return changed


def test_the_blocks_are_new_and_accepted(params, added):
    indices = [(place, key) for block in BLOCKS for place, entries in block.items() for key in entries]
    assert indices == [
        ("datasets", "my_scans"), ("datasets", "my_slides"), ("studies", "my_study"), ("weights", "resnet18"),
    ]  # fmt: skip
    assert not any(key in params[place] for place, key in indices)
    assert len(load(added).studies) == len(params["studies"]) + 1


def test_the_study_has_the_cells_that_the_page_counts(added):
    study = load(added).studies["my_study"]
    grid = expand_grid(study, "my_study")
    counted = re.search(r"here (\d) x (\d) = (\d) cells, each trained with (\d) seeds", PAGE)
    assert [int(number) for number in counted.groups()] == [2, 3, len(grid), study.replicates]
    assert {(cell.training.batch_size, cell.training.lr) for cell in grid} == {
        (size, rate) for size in (16, 32) for rate in (0.01, 0.001, 0.0001)
    }
    layout = lay_out(load(added))
    manifest = layout.manifests["my_study"]
    jobs = [layout.jobs[f"my_study/{job}"] for job in manifest.jobs]
    assert sum(len(job.settings["cells"]) for job in jobs) * manifest.replicates == 6 * 3


def test_the_demo_runs_beside_them(added):
    """One's own images have no synthetic stand-ins, and the demo does without."""
    demo = yaml.safe_load((ROOT / "workflow/profiles/demo/params.yaml").read_text())
    layout = lay_out(load(merged(added, demo)))
    assert set(demo["run"]) <= set(layout.manifests)
    assert "my_study" not in layout.manifests


def test_one_more_value_is_one_more_row_of_cells(added):
    added["studies"]["my_study"]["axes"]["lr"].append(0.1)
    assert len(expand_grid(load(added).studies["my_study"])) == 8


def names(config: dict) -> set[str]:
    layout = lay_out(load(config))
    made = (layout.archives, layout.inventories, layout.splits, layout.tensors, layout.features, layout.jobs)
    return {name for files in made for name in files} | {layout.manifests["my_study"].page_name}


def test_a_folder_may_move_but_its_content_may_not_change(added):
    moved, other = copy.deepcopy(added), copy.deepcopy(added)
    moved["datasets"]["my_scans"]["folder"] = "/another/disk/scans"
    other["datasets"]["my_scans"]["sha256"] = "0" * 64
    assert names(moved) == names(added)
    lost = names(added) - names(other)
    assert any(name.startswith("my_scans-9f86d081884c") for name in lost)
    assert any(name.startswith("my_study/") for name in lost)
    assert "disk" not in str(lay_out(load(moved)))


def test_a_folder_without_a_digest_says_how_to_get_one(added):
    del added["datasets"]["my_scans"]["sha256"]
    with pytest.raises(MedgridError, match="datasets.my_scans: a folder needs its sha256.*medgrid digest ~/scans"):
        load(added)


def image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.effect_noise((16, 16), 50).save(path)


def as_read(added: dict, key: str, folder: Path) -> pd.DataFrame:
    """Inventory of a folder by the settings of the page, the digest as the command prints it."""
    digest = medgrid("digest", str(folder)).stdout.strip()
    added["datasets"][key] |= {"folder": str(folder), "sha256": digest}
    added["studies"]["my_study"]["dataset"] = key
    layout = lay_out(load(added))
    (name,) = [name for name in layout.inventories if name.startswith(key)]
    inventory = layout.inventories[name]
    archive, table = folder.with_name("a.zip"), folder.with_name("a.csv")
    fetch(layout.archives[inventory.inputs["archive"]].settings, str(archive), folder=str(folder))
    write_inventory(inventory.settings, str(archive), str(table), threads=1)
    return pd.read_csv(table, keep_default_na=False)


def test_folders_are_classes_and_names_tell_patients(added, tmp_path):
    tree = re.findall(r"^  (\w+/\S+\.png)$", PAGE, re.M)
    assert len(tree) == 3
    for name in tree:
        image(tmp_path / "scans" / name)
    table = as_read(added, "my_scans", tmp_path / "scans")
    assert table[["path", "label", "group"]].to_numpy().tolist() == [
        ["ill/p01_1.png", "ill", "p01"],
        ["ill/p01_2.png", "ill", "p01"],
        ["well/p02_1.png", "well", "p02"],
    ]


def test_a_table_may_name_the_classes(added, tmp_path):
    for name in ("one", "two"):
        image(tmp_path / f"slides/images/{name}.tif")
    (tmp_path / "slides/labels.csv").write_text("slide,result\none,1\ntwo,0\n")
    table = as_read(added, "my_slides", tmp_path / "slides")
    assert table[["id", "label"]].to_numpy().tolist() == [["one", "malignant"], ["two", "benign"]]


@pytest.mark.pipeline
def test_the_study_runs_to_its_page(tmp_path):
    """From a folder of class folders to a page, by the page's own blocks; only made small."""
    for i in range(60):
        kind, side = ("ill", "well")[i % 2], 20 + i
        path = tmp_path / f"scans/{kind}/p{i // 2:02d}_{i % 2}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((side, side), 30).point(lambda v, i=i: v // 2 + 100 * (i % 2)).save(path)
    overrides: dict = {"weights": {"mobilenet_v2": "random_calibrated"}}
    for block in copy.deepcopy(BLOCKS):
        update_config(overrides, block)
    digest = medgrid("digest", str(tmp_path / "scans")).stdout.strip()
    overrides["datasets"]["my_scans"] |= {"folder": str(tmp_path / "scans"), "sha256": digest}
    update_config(overrides, {"studies": {"my_study": {"image": {"size": 48}, "fixed": {"epochs": 3}}}})
    (tmp_path / "project").mkdir()
    project = Project(tmp_path / "project", overrides)
    command = [*project.command()[:-1], "my_study"]
    result = subprocess.run(command, cwd=project.folder, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    results = project.folder / "results/my_study"
    assert len(pd.read_csv(results / "tables/replicates.csv")) == 6 * 3 * 2
    page = (results.parent / "report/my_study/index.html").read_text()
    assert "Batch size and learning rate on my scans" in page
    assert str(tmp_path) not in page
