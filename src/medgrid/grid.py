"""From settings to work: which cells a study has, which packs train them, and where each file lies.

Pure and cheap: no file is read or written here. Every name ends in a fingerprint of all that determines the
content, so two studies that need the same tensors or features share one file, and a changed setting asks for
a new path instead of trusting an old one.
"""

import itertools
from dataclasses import dataclass, field
from typing import Any

from medgrid.config import Params, Study, Training, Weights
from medgrid.errors import MedgridError
from medgrid.fingerprint import VERSIONS, fingerprint


@dataclass(frozen=True)
class Cell:
    """One point of a study's grid."""

    id: str
    axes: dict[str, Any]
    training: Training


@dataclass(frozen=True)
class Step:
    """What a rule needs to make one file: its settings (JSON) and the names of what it is made from."""

    settings: dict[str, Any]
    inputs: dict[str, str] = field(default_factory=dict)


@dataclass
class Plan:
    """Every file of every study, by name (path without folder and suffix)."""

    archives: dict[str, Step] = field(default_factory=dict)
    inventories: dict[str, Step] = field(default_factory=dict)
    splits: dict[str, Step] = field(default_factory=dict)
    tensors: dict[str, Step] = field(default_factory=dict)
    weights: dict[str, Step] = field(default_factory=dict)
    features: dict[str, Step] = field(default_factory=dict)
    packs: dict[str, Step] = field(default_factory=dict)
    studies: dict[str, Step] = field(default_factory=dict)
    packs_of: dict[str, list[str]] = field(default_factory=dict)
    manifest_of: dict[str, str] = field(default_factory=dict)


def cells(study: Study) -> list[Cell]:
    """The product of the study's axes, in the order in which they are written down."""
    names = study.axis_names
    fixed = study.fixed.model_dump(exclude_none=True)
    result = []
    for point in itertools.product(*(getattr(study.axes, name) for name in names)):
        axes = dict(zip(names, point, strict=True))
        # repr of a float is the shortest text that reads back as the same float, so ids cannot collide
        cell_id = "_".join(value if isinstance(value, str) else f"{axis}={value!r}" for axis, value in axes.items())
        result.append(Cell(cell_id, axes, Training(**fixed, **axes)))
    if len({cell.id for cell in result}) != len(result):
        raise MedgridError("two cells of one study have the same id; name their axes' values apart")
    return result


def _weights_name(weights: Weights | str) -> str:
    if isinstance(weights, str):
        return weights
    stem = weights.file.rsplit("/", 1)[-1].removesuffix(".pth")
    return f"{stem}.pth" if weights.sha256 is None else f"{stem}-{weights.sha256[:8]}.pth"


def _name_of_data(params: Params, study: Study) -> str:
    """How files made from a study's data set begin: what is synthetic says so in its name."""
    return f"{study.dataset}-synthetic" if params.source == "synthetic" else study.dataset


def _add_dataset(plan: Plan, params: Params, study: Study) -> tuple[str, str]:
    """Archive and inventory of a study's data set; returns the inventory's name and what its data are."""
    key, dataset = study.dataset, params.datasets[study.dataset]
    synthetic = dataset.synthetic if params.source == "synthetic" else None
    if synthetic:
        made_from = synthetic.model_dump(mode="json")
        origin = fingerprint(made_from, dataset.classes, VERSIONS["data"])
        label = "synthetic images"
    else:
        made_from, origin = None, dataset.sha256[:12]
        label = f"{dataset.title} ({dataset.kaggle.handle})"
    archive = f"{_name_of_data(params, study)}-{origin}"
    plan.archives[archive] = Step(
        {
            "dataset": key,
            "kaggle": dataset.kaggle.model_dump(mode="json"),
            "sha256": dataset.sha256,
            "synthetic": made_from,
        }
        | ({"classes": dataset.classes} if synthetic else {})
    )
    reading = {"images": dataset.images, "group": dataset.group, "classes": dataset.classes}
    inventory = f"{_name_of_data(params, study)}-{fingerprint(origin, reading, VERSIONS['data'])}"
    plan.inventories[inventory] = Step(
        reading | {"dataset": key, "max_undecodable": dataset.max_undecodable}, {"archive": archive}
    )
    return inventory, label


def _add_features(plan: Plan, params: Params, key: str, model: str, tensors: str) -> str:
    study, weights = params.studies[key], params.weights_of(key, model)
    name = _weights_name(weights)
    inputs = {"tensors": tensors}
    if isinstance(weights, Weights):
        plan.weights[name] = Step(weights.model_dump(mode="json", exclude={"note"}))
        inputs["weights"] = name
    settings = {"model": model, "normalisation": study.normalisation, "weights": name}
    identity = weights if isinstance(weights, str) else weights.sha256 or weights.file
    made_from = (tensors, model, study.normalisation, identity, VERSIONS["models"])
    features = f"{_name_of_data(params, study)}-{model}-{fingerprint(*made_from)}"
    plan.features[features] = Step(settings, inputs)
    return features


def _add_study(plan: Plan, params: Params, key: str) -> None:
    study = params.studies[key]
    dataset = params.datasets[study.dataset]
    data = _name_of_data(params, study)
    inventory, label = _add_dataset(plan, params, study)

    parting = {"protocol": study.protocol, **study.split.model_dump(mode="json")}
    split = f"{data}-{study.protocol}-{fingerprint(inventory, parting, VERSIONS['data'])}"
    plan.splits[split] = Step(parting, {"inventory": inventory})

    image = study.image.model_dump(mode="json")
    tensors = f"{data}-{study.image.size}px-{fingerprint(inventory, image, VERSIONS['data'])}"
    plan.tensors[tensors] = Step(
        image, {"inventory": inventory, "archive": plan.inventories[inventory].inputs["archive"]}
    )

    grid = cells(study)
    plan.packs_of[key] = []
    # replicates that share a backbone's features train in one job
    for model in study.models:
        features = _add_features(plan, params, key, model, tensors)
        settings = {
            "cells": [
                {"id": cell.id, "training": cell.training.model_dump(mode="json")}
                for cell in grid
                if cell.training.model == model
            ],
            "seeds": list(range(study.replicates)),
            "select": study.select,
            "classes": dataset.classes,
        }
        pack = f"{model}-{fingerprint(features, split, settings, VERSIONS['training'])}"
        plan.packs[f"{key}/{pack}"] = Step(settings, {"features": features, "split": split})
        plan.packs_of[key].append(pack)
    plan.studies[key] = Step(
        {
            "study": key,
            "title": study.title,
            "document": study.document,
            "protocol": study.protocol,
            "axes": study.axis_names,
            "cells": [{"id": cell.id, **cell.axes} for cell in grid],
            "classes": dataset.classes,
            "select": study.select,
            "synthetic": params.source == "synthetic",
            "data": label,
            "license": dataset.license,
            # synthetic images belong to nobody
            "show_images": dataset.show_images or params.source == "synthetic",
            "packs": plan.packs_of[key],
            "notes": {model: getattr(params.weights_of(key, model), "note", "") for model in study.models},
        },
        {"inventory": inventory, "split": split, "tensors": tensors},
    )
    plan.manifest_of[key] = fingerprint(plan.studies[key].settings, VERSIONS["evaluation"], VERSIONS["report"])


def plan(params: Params) -> Plan:
    """Lay out all studies of the settings."""
    result = Plan()
    for key in params.studies:
        _add_study(result, params, key)
    return result
