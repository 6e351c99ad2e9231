"""What made a study's numbers: settings, data, code, environment."""

import hashlib
import platform
from importlib.metadata import version
from math import prod
from pathlib import Path

import yaml

from medgrid.report.study import Study

# those that shape numbers or pictures
PACKAGES = (
    "torch", "torchvision", "numpy", "pandas", "scipy", "scikit-learn", "statsmodels", "pillow",
    "opencv-python-headless", "scikit-image", "matplotlib", "altair", "snakemake",
)  # fmt: skip
SHOWN = (
    "study", "title", "document", "dataset", "data", "license", "synthetic", "classes", "protocol", "split",
    "image", "select", "models", "weights", "explanations",
)  # fmt: skip


def _without_defaults(model: dict) -> dict:
    """A network without what its layers leave out."""
    layers = [
        {name: value for name, value in layer.items() if value and (name != "kernel" or layer["conv"])}
        for layer in model["layers"]
    ]
    return {name: value for name, value in (model | {"layers": layers}).items() if value}


def settings_text(study: Study) -> str:
    """A study's settings as YAML, all defaults filled in: what is fixed, what varies, and the cells it makes."""
    settings, trainings = study.settings, list(study.settings["trainings"].values())
    found = {name: settings[name] for name in SHOWN}
    found["models"] = {name: _without_defaults(model) for name, model in settings["models"].items()}
    found["seeds"] = sorted(study.replicates["seed"].unique().tolist())
    found["fixed"] = {
        name: value for name, value in trainings[0].items() if all(each[name] == value for each in trainings)
    }
    cells = [{name: value for name, value in cell.items() if name != "id"} for cell in settings["cells"]]
    # values may be lists, which no set holds
    found["axes"] = {axis: [] for axis in study.axes}
    for cell in cells:
        for axis, values in found["axes"].items():
            values += [cell[axis]] if cell[axis] not in values else []
    if prod(map(len, found["axes"].values())) != len(cells):
        found["cells"] = cells
    return yaml.safe_dump(found, sort_keys=False, allow_unicode=True, width=100, default_flow_style=None)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def data_digests(settings: dict, inventory: Path, split: Path) -> list[tuple[str, str, str]]:
    """Name, digest and meaning of what the images were read from and how they were dealt out."""
    declared = settings["archive_sha256"]
    rows = [(settings["dataset"], declared, "content of the archive, as declared")] if declared else []
    return [
        *rows,
        (inventory.name, _sha256(inventory), "inventory: every file, with the digest of its pixels"),
        (split.name, _sha256(split), "split: the part of every image"),
    ]


def environment() -> dict[str, str]:
    """Python and packages that made tables, figures and this page; jobs say which ones trained."""
    return {"Python": platform.python_version()} | {name: version(name) for name in PACKAGES}
