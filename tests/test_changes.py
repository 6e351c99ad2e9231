"""Only what changed: which files each kind of change asks for, and which stages of DVC (docs/versions.md).

Names of files carry all that determines them, so what runs again are the names that are new: a comparison of two
layouts, without a run. `test_repro.py` tries some of these changes with Snakemake and DVC themselves.
"""

import copy
from collections import Counter

import pytest
import yaml
from conftest import ROOT, two_studies

from medgrid.config import load
from medgrid.grid.layout import lay_out
from medgrid.grid.versions import VERSIONS

CLAIMS = {"better": {"text": "x", "tests": [{"kind": "best", "settings": {"lr": 0.1}}]}}
PUBLISHED = [{"source": "x", "by": ["lr"], "metrics": ["test_accuracy"], "rows": [[0.1, 0.9]]}]

GRID, OTHER = {"study@grid"}, {"study@other"}
IMAGES = {"data@brain_tumor_mri", "audit@brain_tumor_mri", "study@grid", "study@other"}

# change of params.yaml, rules that make a new file and how many, stages of DVC
ROWS = {
    "one learning rate changed": ("studies.grid.axes.lr", [0.1, 0.02, 0.001], {"train": 1, "manifest": 1}, GRID),
    "one added": ("studies.grid.axes.lr", [0.1, 0.01, 0.001, 0.02], {"train": 1, "manifest": 1}, GRID),
    "one removed": ("studies.grid.axes.lr", [0.1, 0.01], {"manifest": 1}, GRID),
    "their order": ("studies.grid.axes.lr", [0.01, 0.1, 0.001], {"manifest": 1}, GRID),
    "one changed in a stack": ("studies.grid.extra.0.lr", [0.01, 0.002], {"train": 1, "manifest": 1}, GRID),
    "one added to a stack": ("studies.grid.extra.0.lr", [0.1, 0.01, 0.001], {"train": 1, "manifest": 1}, GRID),
    "one removed from a stack": ("studies.grid.extra.0.lr", [0.01], {"train": 1, "manifest": 1}, GRID),
    "a study's epochs": ("studies.grid.fixed.epochs", 4, {"train": 4, "manifest": 1}, GRID),
    "a study's replicates": ("studies.grid.replicates", 3, {"manifest": 1}, GRID),
    "a study on several splits": (
        "studies.grid.replicates", {"splits": 3, "seeds": 2}, {"split": 2, "train": 8, "manifest": 1}, GRID,
    ),
    "a study's optimizer": ("studies.grid.fixed.optimizer", "sgd", {"train": 4, "manifest": 1}, GRID),
    "a study's title": ("studies.grid.title", "Another", {}, GRID),
    "a study's claims": ("studies.grid.claims", CLAIMS, {"manifest": 1}, GRID),
    "a study's published numbers": ("studies.grid.published", PUBLISHED, {"manifest": 1}, GRID),
    "a study's split": (
        "studies.grid.split.test", 0.25, {"split": 1, "train": 4, "manifest": 1}, GRID,
    ),
    "a study's protocol": (
        "studies.grid.protocol", "published", {"split": 1, "train": 4, "manifest": 1}, GRID,
    ),
    "images of another size": (
        "studies.other.image.size", 24, {"tensors": 1, "train": 1, "manifest": 1}, OTHER,
    ),
    "images of another size, with features": (
        "studies.grid.image.size", 24, {"tensors": 1, "features": 1, "train": 4, "manifest": 1}, GRID,
    ),
    "more images": (
        "datasets.brain_tumor_mri.synthetic.images", 70,
        {
            "fetch": 1, "inventory": 1, "near_duplicates": 1, "split": 1, "tensors": 1, "features": 1, "train": 5,
            "manifest": 2, "audit": 1,
        },
        IMAGES,
    ),
    "where jobs run": ("device", "cuda", {}, set()),
}  # fmt: skip

# new files when the version of a package's code is raised
CODE_ROWS = {
    "data": {
        "fetch": 1, "inventory": 1, "near_duplicates": 1, "split": 1, "tensors": 1, "features": 1, "train": 5,
        "manifest": 2, "audit": 1,
    },
    "near_duplicates": {"near_duplicates": 1, "split": 1, "train": 5, "manifest": 2, "audit": 1},
    "split": {"split": 1, "train": 5, "manifest": 2},
    "models": {"features": 1, "train": 5, "manifest": 2},
    "training": {"train": 5, "manifest": 2},
    "evaluation": {"manifest": 2},
    "explanations": {"manifest": 2},
    "report": {"page": 2},
    "audit": {"audit": 1},
}  # fmt: skip


def files(params: dict) -> set[tuple[str, str]]:
    """Every file of every study: the rule that makes it, and its name."""
    layout = lay_out(load(params))
    steps = {
        "fetch": layout.archives, "inventory": layout.inventories, "near_duplicates": layout.near_duplicates,
        "split": layout.splits,
        "tensors": layout.tensors, "features": layout.features, "train": layout.jobs,
    }  # fmt: skip
    made = {(rule, name) for rule, names in steps.items() for name in names}
    made |= {("manifest", f"{study}/{each.tables_name}") for study, each in layout.manifests.items()}
    pages = {("page", f"{study}/{each.page_name}") for study, each in layout.manifests.items()}
    return made | pages | {("audit", f"{key}/{step.settings['name']}") for key, step in layout.audits.items()}


def at(params: dict, path: str) -> object:
    """The value at a dotted path, None where there is none."""
    for key in path.split("."):
        if not isinstance(params, dict) or key not in params:
            return None
        params = params[key]
    return params


def filled(text: str, key: str, item: dict) -> str:
    return text.replace("${key}", key).replace("${item.dataset}", str(item.get("dataset")))


def stages(params: dict) -> dict[str, dict[str, object]]:
    """What each stage of dvc.yaml takes from the settings."""
    found = {}
    for name, stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].items():
        for key, item in at(params, stage["foreach"].strip("${}")).items():
            paths = [filled(path, key, item) for path in stage["do"]["params"]]
            found[f"{name}@{key}"] = {path: at(params, path) for path in paths}
    return found


@pytest.fixture
def settings(params) -> dict:
    return two_studies(params)


def change(params: dict, path: str, value: object) -> None:
    *way, last = path.split(".")
    for key in way:
        params = params[int(key)] if isinstance(params, list) else params[key]
    params[last] = value


@pytest.mark.parametrize("name", ROWS)
def test_only_what_changed_is_new(settings, name):
    path, value, made, stale = ROWS[name]
    changed = copy.deepcopy(settings)
    change(changed, path, value)
    assert changed != settings
    pages = [stage for stage in stale if stage.startswith("study@")]
    expected = made | ({"page": len(pages)} if pages else {})
    assert Counter(rule for rule, _ in files(changed) - files(settings)) == expected
    before, after = stages(settings), stages(changed)
    assert {stage for stage in after if after[stage] != before[stage]} == stale


@pytest.mark.parametrize("package", CODE_ROWS)
def test_a_raised_version_makes_new_what_the_code_made(settings, package, monkeypatch):
    before = files(settings)
    monkeypatch.setitem(VERSIONS, package, VERSIONS[package] + 1)
    expected = CODE_ROWS[package] | ({"page": 2} if CODE_ROWS[package].get("manifest") else {})
    assert Counter(rule for rule, _ in files(settings) - before) == expected


def test_every_version_is_tried():
    assert set(CODE_ROWS) == set(VERSIONS)


def test_a_raised_version_reaches_stages_that_are_made_by_that_code():
    declared = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    with_code = {
        name for name, stage in declared.items() if "src/medgrid/grid/versions.py" in stage["do"].get("deps", [])
    }
    assert with_code == {"audit", "study"}


def test_what_was_removed_and_comes_back_has_its_old_names(settings):
    changed = copy.deepcopy(settings)
    change(changed, "studies.grid.axes.lr", [0.1])
    assert {rule for rule, _ in files(settings) - files(changed)} == {"train", "manifest", "page"}
    change(changed, "studies.grid.axes.lr", settings["studies"]["grid"]["axes"]["lr"])
    assert files(changed) == files(settings)
