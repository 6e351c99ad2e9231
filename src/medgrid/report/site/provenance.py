"""Provenance of a study's numbers: settings, data, weights, machines, code and packages."""

import hashlib
import platform
from importlib.metadata import version
from math import prod
from pathlib import Path
from typing import Any

import yaml

from medgrid.config.training import Model
from medgrid.evaluation.labels import ABSENT
from medgrid.grid.manifest import StudyManifest
from medgrid.report.labelled_results import LabelledResults

# those that shape numbers or figures
PACKAGES = (
    "torch", "torchvision", "numpy", "pandas", "scipy", "scikit-learn", "statsmodels", "pillow",
    "opencv-python-headless", "scikit-image", "matplotlib", "altair", "snakemake",
)  # fmt: skip
SETTINGS = {
    "study", "title", "document", "dataset", "data", "license", "synthetic", "classes", "protocol", "split", "series",
    "image", "select", "models", "weights", "explanations",
}  # fmt: skip


def _without_defaults(model: Model) -> dict[str, Any]:
    """A network without settings that its layers leave out."""
    layers = [
        {
            name: value
            for name, value in layer.model_dump(mode="json").items()
            if value and (name != "kernel" or layer.conv)
        }
        for layer in model.layers
    ]
    return {name: value for name, value in (model.model_dump(mode="json") | {"layers": layers}).items() if value}


def _axis_values(cells: list[dict[str, Any]], axes: list[str]) -> dict[str, list]:
    """Distinct values of each axis; values may be lists, which no set holds."""
    values: dict[str, list] = {axis: [] for axis in axes}
    for cell in cells:
        for axis in axes:
            values[axis] += [cell[axis]] if cell[axis] not in values[axis] else []
    return values


def settings_text(manifest: StudyManifest) -> str:
    """A study's settings as YAML, including defaults: what is fixed, what varies, and the resulting cells."""
    first, *others = [training.model_dump(mode="json") for training in manifest.trainings.values()]
    cells = [{name: value for name, value in cell.items() if name != "id"} for cell in manifest.cells]
    dumped = manifest.model_dump(mode="json", include=SETTINGS)
    settings = {name: dumped[name] for name in StudyManifest.model_fields if name in SETTINGS}
    settings["models"] = {name: _without_defaults(model) for name, model in manifest.models.items()}
    settings["seeds"] = list(range(manifest.replicates))
    if manifest.other_splits:
        settings["splits"] = len(manifest.jobs_of_splits)
    settings["fixed"] = {
        name: value for name, value in first.items() if all(training[name] == value for training in others)
    }
    settings["axes"] = _axis_values(cells, manifest.axes)
    if prod(map(len, settings["axes"].values())) != len(cells):
        settings["cells"] = cells
    return yaml.safe_dump(settings, sort_keys=False, allow_unicode=True, width=100, default_flow_style=None)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def data_digests(manifest: StudyManifest, inventory: Path, split: Path) -> list[tuple[str, str, str]]:
    """Name, sha256 and description of the archive, the inventory and the split."""
    declared = manifest.archive_sha256
    rows = [(manifest.dataset, declared, "content of the archive, as declared")] if declared else []
    return [
        *rows,
        (inventory.name, _sha256(inventory), "inventory: every file, with the digest of its pixels"),
        (split.name, _sha256(split), "split: the part of every image"),
    ]


def machines(study: LabelledResults) -> list[dict[str, Any]]:
    """One row per model and its initial weights: number of jobs, and the machines and versions of these jobs."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for description in (study.description(block) for block in study.blocks):
        backbone, training = description["backbone"], description["training"]
        key = backbone["model"], backbone["weights"]
        note = study.manifest.notes.get(backbone["model"], "") if backbone["sha256"] else ""
        facts = {name: backbone.get(name) for name in ("model", "architecture", "weights", "sha256")}
        row = rows.setdefault(key, facts | {"note": note, "jobs": 0, "distinct": {}})
        row["jobs"] += 1
        values = {"features": backbone.get("device"), "trained": training["device"]}
        values |= {name: training.get(name) for name in ("precision", "torch", "python")}
        for name, value in values.items():
            row["distinct"].setdefault(name, {})[value or ABSENT] = None  # a dict keeps distinct values in order
    return [row | {name: ", ".join(values) for name, values in row.pop("distinct").items()} for row in rows.values()]


def environment() -> dict[str, str]:
    """Python and packages that made tables, figures and this page; job descriptions have those of training."""
    return {"Python": platform.python_version()} | {name: version(name) for name in PACKAGES}
