"""CONTRIBUTING.md does what it says: its five additions are made to a copy of the code, and a study uses them.

The sentence before a block says where the block goes: a file, and `after` an element of a table, a class, a union or
an import (or of the file, where none of these is named), `at the end`, or as a `new module`.
"""

import ast
import copy
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from conftest import GRID, ROOT, Project

PAGE = (ROOT / "CONTRIBUTING.md").read_text().split("\n## Five additions\n")[1]
SECTIONS = dict(re.findall(r"^### An? (.+?)\n(.*?)(?=^### |\Z)", PAGE, re.M | re.S))
# files below src/ that each addition touches, beside the version that it may raise
FILES = {"optimizer": 1, "metric": 2, "figure": 1, "kind of claim": 2, "augmentation": 2}
BLOCK = re.compile(r"((?:^[^\n]+\n)+)\n```python\n(.*?)^```$", re.M | re.S)
VERSIONS = "src/medgrid/grid/versions.py"


def names(node: ast.AST) -> list[str]:
    """What a statement binds, or the module from which it imports."""
    match node:
        case ast.ClassDef() | ast.FunctionDef():
            return [node.name]
        case ast.Assign():
            return [target.id for target in node.targets if isinstance(target, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case ast.ImportFrom():
            return [str(node.module)]
    return []


def mentions(node: ast.AST, name: str) -> bool:
    """Whether a node is this name or text, an imported name, or a field of a class."""
    match node:
        case ast.Name():
            return node.id == name
        case ast.Constant():
            return node.value == name
        case ast.alias():
            return node.name == name
    return name in names(node)


def inserted(source: str, sentence: str, block: str) -> str:
    """The source with a block where the sentence says."""
    if "at the end" in sentence:
        return f"{source}\n\n{block}"
    (after,) = re.findall(r"after\s+`(\w+)`", sentence)
    parent = re.search(r"(?:table|class|union|import\s+from)\s+`([\w.]+)`", sentence)
    statements = ast.parse(source).body
    if parent:
        (statement,) = [each for each in statements if parent[1] in names(each)]
        ends = [node.end_lineno for node in ast.walk(statement) if mentions(node, after)]
    else:
        ends = [each.end_lineno for each in statements if after in names(each)]
        block = f"\n\n{block}"
    assert ends, f"CONTRIBUTING.md names `{after}`, which the file lacks"
    lines = source.splitlines(keepends=True)
    return "".join([*lines[: max(ends)], block, *lines[max(ends) :]])


def apply(section: str, root: Path) -> None:
    """Do what a section says, to the code in `root`."""
    file = None
    for sentence, block in BLOCK.findall(section):
        path = re.search(r"`(src/medgrid/\S+\.py)`", sentence)
        file = root / path[1] if path else file
        assert file is not None, f"CONTRIBUTING.md names no file: {sentence}"
        if "new module" in sentence:
            assert not file.exists()
            file.write_text(block)
        else:
            file.write_text(inserted(file.read_text(), sentence, block))
    for name in re.findall(r"[Rr]aise the\s+version\s+of\s+`(\w+)`", section):
        versions = root / VERSIONS
        raised = re.subn(
            rf'(?<="{name}": )\d+', lambda number: str(int(number[0]) + 1), versions.read_text(), count=1
        )
        assert raised[1] == 1
        versions.write_text(raised[0])


def sources(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text() for path in (root / "src").rglob("*.py")}


def with_code_of(root: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(root / "src")}


@pytest.fixture(scope="module")
def scratch(tmp_path_factory) -> tuple[Path, dict[str, set[str]]]:
    """A copy of the code with all additions, and the files that each of them touched."""
    root = tmp_path_factory.mktemp("scratch")
    shutil.copytree(ROOT / "src", root / "src")  # with compiled modules, which saves time
    touched = {}
    for name, section in SECTIONS.items():
        before = sources(root)
        apply(section, root)
        after = sources(root)
        touched[name] = {path for path in after if before.get(path) != after[path]}
    return root, touched


def test_an_addition_touches_few_files(scratch):
    _, touched = scratch
    assert {name: len(files - {VERSIONS}) for name, files in touched.items()} == FILES
    assert {name for name, files in touched.items() if VERSIONS in files} == {"metric", "figure"}


def test_the_code_with_all_additions_has_the_project_s_style(scratch):
    root, touched = scratch
    files = sorted(root / path for path in set().union(*touched.values()))
    for command in (["check"], ["format", "--check", "--diff"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--config", str(ROOT / "pyproject.toml"), *map(str, files)]
        result = subprocess.run(ruff, capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr


LAYOUT = """
import json, sys, yaml
from medgrid.config import load, schema
from medgrid.grid.layout import lay_out
layout = lay_out(load(yaml.safe_load(open("params.yaml"))))
kinds = ("archives", "inventories", "near_duplicates", "splits", "audits", "tensors", "weights", "features", "jobs")
names = {kind: sorted(getattr(layout, kind)) for kind in kinds}
print(json.dumps({"names": names, "schema": schema()}))
"""


def laid_out(env: dict[str, str]) -> dict:
    """Names of all files but manifests by params.yaml, and its schema."""
    command = [sys.executable, "-c", LAYOUT]
    return json.loads(subprocess.run(command, cwd=ROOT, env=env, capture_output=True, check=True).stdout)


def test_finished_trainings_keep_their_names(scratch):
    before, after = laid_out(with_code_of(ROOT)), laid_out(with_code_of(scratch[0]))
    assert len(before["names"]["jobs"]) > 50
    assert after["names"] == before["names"]
    for setting in ('"nadam"', '"contrast"', '"reaches"'):
        assert setting not in before["schema"]
        assert setting in after["schema"]


STUDY = "additions"
# whole networks, in one job; more than ten cells, below which the figure does not apply
PARAMS = {
    "source": "synthetic", "run": [STUDY], "device": "cpu", "weights": {},
    "augmentations": {"contrast": {"contrast": 0.9}},
    "studies": {
        STUDY: {
            "title": "Additions", "dataset": "brain_tumor_mri", "image": {"size": 32},
            "split": {"test": 0.3, "validation": 0.2},
            "models": GRID["studies"]["grid"]["models"],
            "fixed": {"model": "plain", "mode": "scratch", "batch_size": 16, "epochs": 2},
            "axes": {"optimizer": ["adam", "nadam"], "augmentation": ["none", "contrast"], "lr": [0.1, 0.03, 0.01]},
            "replicates": 2, "one_job_per": "model", "explanations": {"networks": 1, "perturbations": 10},
            "claims": {
                "some": {
                    "text": "NAdam reaches a tenth.",
                    "tests": [
                        {
                            "kind": "reaches", "settings": {"optimizer": "nadam"}, "of": {"augmentation": "none"},
                            "metric": "test_accuracy", "value": 0.1,
                        }
                    ],
                },
            },
        },
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def study(scratch, params, tmp_path_factory) -> Path:
    """Folder of a project in which a study with all additions has run."""
    folder = tmp_path_factory.mktemp("project")
    project = Project(folder, {})
    dataset = copy.deepcopy(params["datasets"]["brain_tumor_mri"])
    dataset["synthetic"] |= {"images": 80, "size": 32}
    (folder / "params.yaml").write_text(yaml.safe_dump(PARAMS | {"datasets": {"brain_tumor_mri": dataset}}))
    command = [*project.command()[:-1], STUDY]
    result = subprocess.run(
        command, cwd=folder, env=with_code_of(scratch[0]), capture_output=True, text=True, timeout=500
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return folder / "results"


@pytest.fixture(scope="module")
def cells(study) -> pd.DataFrame:
    """The table of cells at the best epoch."""
    table = pd.read_csv(study / STUDY / "tables/cells.csv", keep_default_na=False, na_values=[""])
    return table[table["checkpoint"] == "best"]


@pytest.fixture(scope="module")
def page(study) -> str:
    return (study / f"report/{STUDY}/index.html").read_text()


@pytest.mark.pipeline
def test_the_optimizer_and_the_augmentation_train(cells):
    assert len(cells) == 2 * 2 * 3
    assert set(cells["optimizer"]) == {"adam", "nadam"}
    assert set(cells["augmentation"]) == {"none", "contrast"}
    # each makes a difference at each learning rate
    assert cells["validation_loss_mean"].is_unique


@pytest.mark.pipeline
def test_the_metric_is_in_the_table_and_on_the_page_and_the_card(study, cells, page):
    assert cells["test_mcc_mean"].between(-1, 1).all()
    assert (cells["test_mcc_mean"] != 0).any()
    assert "MCC %</" in re.sub(r"\s+", " ", page)
    (card,) = (study / STUDY / "cards").glob("*.md")
    assert "Matthews correlation" in card.read_text()


@pytest.mark.pipeline
def test_the_figure_is_drawn_and_on_the_page(study, page):
    assert (study / STUDY / "figures/accuracy_histogram.png").stat().st_size > 5000
    (caption,) = re.findall(r'caption="(.+?)"', SECTIONS["figure"])
    shown = re.search(r"<figure(?:(?!</figure>).)*figures/accuracy_histogram\.png.*?</figure>", page, re.S)
    assert caption in shown[0]


@pytest.mark.pipeline
def test_the_claim_has_a_verdict_and_is_on_the_page(study, cells, page):
    (claim,) = json.loads((study / STUDY / "tables/claims.json").read_text())["claims"]
    (comparison,) = claim["comparisons"]
    of_claim = cells[(cells["optimizer"] == "nadam") & (cells["augmentation"] == "none")]
    assert comparison["relation"] == "reaches"
    assert comparison["estimate"] == pytest.approx(of_claim["test_accuracy_mean"].mean(), abs=1e-5)
    assert comparison["holds"] == [0.1, None]
    assert comparison["verdict"] == claim["verdict"]
    assert "NAdam reaches a tenth." in page
    assert "nadam reaches 10 points (augmentation none)" in page
