"""The shape of the house: data flows one way, and a study is data."""

import ast
import re
from pathlib import Path

import yaml
from conftest import ROOT

SOURCE = ROOT / "src/medgrid"
# left to right; nothing imports from a package to its right
ROOMS = ["data", "audit", "models", "training", "evaluation", "report"]
GROUND = {
    "cells", "config", "errors", "files", "fingerprint", "grid", "network", "retry", "threads", "torchvision_names",
}  # fmt: skip


def imports(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("medgrid.")}
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("medgrid"):
            parts = node.module.split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
    return found


def test_nothing_imports_from_the_right():
    for place, room in enumerate(ROOMS):
        for file in (SOURCE / room).glob("*.py"):
            assert not imports(file) & set(ROOMS[place + 1 :]), file
    for name in GROUND:
        files = [SOURCE / f"{name}.py", *(SOURCE / name).glob("*.py")]
        assert not any(imports(file) & set(ROOMS) for file in files if file.exists()), name


def test_no_study_and_no_data_set_is_named_in_the_code(params):
    names = {*params["studies"], *params["datasets"]}
    looks = [file for kind in ("html", "md", "js") for file in SOURCE.rglob(f"*.{kind}")]
    for file in [*SOURCE.rglob("*.py"), *looks, *(ROOT / "workflow/rules").glob("*.smk")]:
        assert not [name for name in names if name in file.read_text()], file


def test_the_picture_shows_the_rules():
    """docs/rules.svg, drawn by `make dag`."""
    drawn = set(re.findall(r">(\w+)</text>", (ROOT / "docs/rules.svg").read_text()))
    code = "\n".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    rules = set(re.findall(r"^rule (\w+):", code, re.M))
    aside = {"settings", "plan_settings", "profile", "redraw", "reaudit"}  # of long lines, plans, exceptions
    assert drawn == rules - aside | {"histopathology_batch", "stroke_transfer", "audit_mri_stroke"}


def test_dvc_leaves_no_output_out():
    """Every file of a study that a run promises is recorded, but what is made from jobs without being shown."""
    stage = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["study"]["do"]
    entries = {name for kind in ("outs", "metrics", "plots") for entry in stage[kind] for name in entry}
    assert "results/report/${key}" in entries  # the page
    recorded = {name.split("/", 2)[2] for name in entries - {"results/report/${key}"}}
    code = (ROOT / "workflow/rules/evaluation.smk").read_text() + (ROOT / "workflow/rules/report.smk").read_text()
    tables = set(re.findall(r"\"(\w+\.(?:csv|json))\"", code.split("def pack_files")[0]))
    tables |= set(re.findall(r"/(\w+\.(?:csv|html|json))\"", code)) - {"audit.json"}  # of a data set
    assert tables <= recorded
    assert recorded - tables == {"jobs", "manifest", "explanations", "models", "figures", "cards"}
