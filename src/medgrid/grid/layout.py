"""From settings to work: which jobs train a study's cells, and where each file lies.

Pure and cheap: no file is read or written here. Every name ends in a fingerprint of all that determines the
content, so two studies that need the same tensors or features share one file, and a changed setting asks for
a new path instead of trusting an old one.
"""

from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from medgrid.config import Model, Params, Study, Training, Weights
from medgrid.grid.cells import Cell, cells
from medgrid.grid.versions import VERSIONS, fingerprint, manifest_name
from medgrid.utils.errors import MedgridError


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
    near_duplicates: dict[str, Step] = field(default_factory=dict)
    splits: dict[str, Step] = field(default_factory=dict)
    audits: dict[str, Step] = field(default_factory=dict)
    tensors: dict[str, Step] = field(default_factory=dict)
    weights: dict[str, Step] = field(default_factory=dict)
    features: dict[str, Step] = field(default_factory=dict)
    jobs: dict[str, Step] = field(default_factory=dict)
    studies: dict[str, Step] = field(default_factory=dict)
    jobs_of: dict[str, list[str]] = field(default_factory=dict)
    manifest_of: dict[str, str] = field(default_factory=dict)
    costs_of: dict[str, Step] = field(default_factory=dict)


def _weights_name(weights: Weights | str) -> str:
    if isinstance(weights, str):
        return weights
    stem = weights.file.rsplit("/", 1)[-1].removesuffix(".pth")
    return f"{stem}.pth" if weights.sha256 is None else f"{stem}-{weights.sha256[:8]}.pth"


def _identity(weights: Weights | str) -> str:
    return weights if isinstance(weights, str) else weights.sha256 or PurePath(weights.file).name


def _name_of_data(params: Params, study: Study) -> str:
    """How files made from a study's data set begin: what is synthetic says so in its name."""
    return f"{study.dataset}-synthetic" if params.source == "synthetic" else study.dataset


def _add_dataset(plan: Plan, params: Params, study: Study) -> tuple[str, str]:
    """Archive and inventory of a study's data set; returns the inventory's name and what its data are."""
    key, dataset = study.dataset, params.datasets[study.dataset]
    synthetic = dataset.synthetic if params.source == "synthetic" else None
    reading = dataset.model_dump(mode="json", include={"images", "group", "classes", "labels", "ids", "unlabelled"})
    if synthetic:
        made_from = synthetic.model_dump(mode="json")
        origin = fingerprint(made_from, dataset.classes, reading["labels"], VERSIONS["data"])
        label = "synthetic images"
    else:
        made_from = None
        source = dataset.kaggle.handle if dataset.kaggle else PurePath(dataset.folder).name
        # Kaggle's pinned versions do not change; what is declared by its digest is what the digest says
        origin = dataset.sha256[:12] if dataset.sha256 else fingerprint(source)
        label = f"{dataset.title} ({source}{f'; {dataset.note}' if dataset.note else ''})"
    archive = f"{_name_of_data(params, study)}-{origin}"
    plan.archives[archive] = Step(
        {
            "dataset": key,
            "kaggle": dataset.kaggle.model_dump(mode="json") if dataset.kaggle else None,
            "sha256": dataset.sha256,
            "synthetic": made_from,
        }
        | ({"classes": dataset.classes, "labels": reading["labels"]} if synthetic else {})
    )
    inventory = f"{_name_of_data(params, study)}-{fingerprint(origin, reading, VERSIONS['data'])}"
    plan.inventories[inventory] = Step(
        reading | {"dataset": key, "max_undecodable": dataset.max_undecodable}, {"archive": archive}
    )
    return inventory, label


def _start(params: Params, key: str, training: Training) -> Weights | str:
    """What a training's backbone starts from."""
    return "random" if training.mode == "scratch" else params.weights_of(key, training.model)


def _add_weights(plan: Plan, weights: Weights | str) -> dict[str, str]:
    """A weight file as a Step's inputs."""
    if isinstance(weights, str):
        return {}
    name = _weights_name(weights)
    plan.weights[name] = Step(weights.model_dump(mode="json", exclude={"note"}))
    return {"weights": name}


def _feature_level(model: Model) -> str:
    """Where a frozen backbone ends: before its output layer, or at its last feature map, averaged or whole."""
    if not model.layers:
        return "output"
    return "pooled" if model.layers[0].pool == "global_average" else "map"


def _add_features(plan: Plan, params: Params, key: str, training: Training, tensors: str) -> str:
    study, model = params.studies[key], params.studies[key].model(training.model)
    weights = _start(params, key, training)
    augmentation = params.augmentations[training.augmentation].model_dump() if training.views else None
    settings = {
        "model": model.backbone,
        "normalisation": training.normalisation,
        "weights": _weights_name(weights),
        "feature_level": _feature_level(model),
        "augmentation": augmentation,
        "views": training.views,
    }
    made_from = (tensors, settings | {"weights": _identity(weights)}, VERSIONS["models"])
    features = f"{_name_of_data(params, study)}-{model.backbone}-{fingerprint(*made_from)}"
    plan.features[features] = Step(settings, {"tensors": tensors} | _add_weights(plan, weights))
    return features


def _groups(study: Study, grid: list[Cell]) -> dict[tuple, tuple[list[Cell], list[int]]]:
    """Cells and seeds of each job, by what they share; the first of it is what they train on.

    features and pixels: dense networks in stacks; maps and images: networks one by one.
    """
    seeds = list(range(study.replicates))
    groups: dict[tuple, tuple[list[Cell], list[int]]] = {}
    for cell in grid:
        training, model = cell.training, study.model(cell.training.model)
        same_images = training.augmentation == "none" or training.views > 0
        if model.backbone is not None and training.frozen and same_images:
            # heads on what one frozen backbone makes of the images
            source = "features" if model.dense else "maps"
            shared = (source, training.model, training.augmentation, training.views, training.normalisation)
        elif model.backbone is None and model.dense and same_images:
            # dense networks that see the same batches of pixels
            shared = ("pixels", training.model, training.normalisation, training.batch_size, training.loss)
        elif study.one_job_per == "model":
            shared = ("images", training.model, training.mode == "scratch")
        else:
            shared = ("images", cell.id)
        if shared[0] == "images" and study.one_job_per == "replicate":
            for seed in seeds:
                groups[*shared, seed] = ([cell], [seed])
        else:
            groups.setdefault(shared, ([], seeds))[0].append(cell)
    return groups


def _add_jobs(plan: Plan, params: Params, key: str, grid: list[Cell], tensors: str, split: str) -> None:
    study = params.studies[key]
    plan.jobs_of[key] = []
    for shared, (members, seeds) in _groups(study, grid).items():
        first = members[0].training
        model = study.model(first.model)
        weights = _start(params, key, first)
        settings = {
            "cells": [{"id": cell.id, "training": cell.training.model_dump(mode="json")} for cell in members],
            "seeds": seeds,
            "source": shared[0],
            "select": study.select,
            "classes": params.datasets[study.dataset].classes,
            "model": model.model_dump(mode="json"),
            "weights": _weights_name(weights),
            "augmentations": {
                cell.training.augmentation: params.augmentations[cell.training.augmentation].model_dump()
                for cell in members
                if cell.training.augmentation != "none"
            },
            "keep_weights": study.keep_weights,
        }
        if shared[0] in ("features", "maps"):
            source = {"features": _add_features(plan, params, key, first, tensors)}
        else:
            source = {"tensors": tensors} | _add_weights(plan, weights)
        identity = {"weights": _identity(weights)}
        made_from = (source | identity, split, settings, VERSIONS["models"], VERSIONS["training"])
        name = members[0].id if len(members) == 1 else first.model
        name += f"_seed={seeds[0]}" if len(seeds) < study.replicates else ""
        job = f"{name}-{fingerprint(*made_from)}"
        plan.jobs[f"{key}/{job}"] = Step(settings, source | {"split": split})
        plan.jobs_of[key].append(job)


def _expected(params: Params, study: Study) -> dict[str, int] | None:
    """About how many images each part will have, where that can be known before anything is fetched."""
    dataset, split = params.datasets[study.dataset], study.split_settings
    if params.source == "synthetic":
        count, unlabelled = dataset.synthetic.images, dataset.synthetic.unlabelled
    else:
        count, unlabelled = dataset.count, dataset.count_unlabelled
    if count is None:
        return None

    def amount(wanted: float, of: int) -> int:
        return wanted if isinstance(wanted, int) else round(wanted * of)

    used = amount(split.use, count) if split.use else count
    test = amount(split.test, used)
    same = split.validation == "test"
    validation = test if same else amount(split.validation, used)
    train = max(1, used - test - (0 if same else validation))
    return {"train": train, "validation": validation, "test": test, "unlabelled": unlabelled}


def _plan_of(plan: Plan, params: Params, key: str) -> dict[str, Any]:
    """What a calibration needs to know of a study, see `medgrid.training.profile`."""
    jobs, features = {}, {}
    for name in plan.jobs_of[key]:
        step = plan.jobs[f"{key}/{name}"]
        jobs[name] = step.settings
        if made_from := step.inputs.get("features"):
            features[made_from] = plan.features[made_from].settings
            jobs[name] = step.settings | {"feature_level": features[made_from]["feature_level"]}
    study = params.studies[key]
    image = study.image.model_dump(mode="json")
    return {"image": image, "declared": _expected(params, study), "jobs": jobs, "features": features}


def _add_audit(plan: Plan, params: Params, key: str, inputs: dict[str, str], label: str) -> None:
    """A data set's audit covers the splits of all its studies, under either protocol."""
    study = params.studies[key]
    dataset, synthetic = params.datasets[study.dataset], params.source == "synthetic"
    settings = {
        "data": f"{dataset.title}: {label}" if synthetic else label,
        "license": dataset.license,
        "synthetic": synthetic,
        "show_images": dataset.show_images or synthetic,
        "split_settings_list": [],
    }
    split_settings_list = plan.audits.setdefault(study.dataset, Step(settings, inputs)).settings[
        "split_settings_list"
    ]
    for protocol in ("published", "clean"):
        sizes = study.model_copy(update={"protocol": protocol}).split_settings.model_dump(mode="json")
        split_settings = {"protocol": protocol} | sizes
        alike = [known for known in split_settings_list if known == split_settings | {"studies": known["studies"]}]
        for known in alike:
            known["studies"].append(key)
        if not alike:
            split_settings_list.append({"studies": [key]} | split_settings)


def audit_name(step: Step) -> str:
    """Changes with everything that an audit shows."""
    return fingerprint(step.settings, step.inputs, VERSIONS["audit"])


def _add_study(plan: Plan, params: Params, key: str) -> None:
    study = params.studies[key]
    dataset = params.datasets[study.dataset]
    data = _name_of_data(params, study)
    inventory, label = _add_dataset(plan, params, study)

    split_settings = {"protocol": study.protocol, **study.split_settings.model_dump(mode="json")}
    near_duplicates = f"{data}-{fingerprint(inventory, VERSIONS['audit'])}"
    plan.near_duplicates[near_duplicates] = Step(
        {}, {"inventory": inventory, "archive": plan.inventories[inventory].inputs["archive"]}
    )
    split = f"{data}-{study.protocol}-{fingerprint(inventory, near_duplicates, split_settings, VERSIONS['audit'])}"
    plan.splits[split] = Step(split_settings, {"inventory": inventory, "near_duplicates": near_duplicates})
    _add_audit(plan, params, key, {"inventory": inventory, "near_duplicates": near_duplicates}, label)

    image = study.image.model_dump(mode="json")
    tensors = f"{data}-{study.image.size}px-{fingerprint(inventory, image, VERSIONS['data'])}"
    plan.tensors[tensors] = Step(
        image, {"inventory": inventory, "archive": plan.inventories[inventory].inputs["archive"]}
    )

    grid = cells(study, key)
    for cell in grid:
        if cell.training.augmentation not in ("none", *params.augmentations):
            raise MedgridError(f"studies.{key}: no augmentation is named '{cell.training.augmentation}'")
        if cell.training.outputs == 1 and len(dataset.classes) != 2:
            raise MedgridError(f"studies.{key}: binary_cross_entropy is for two classes, not {len(dataset.classes)}")
    _add_jobs(plan, params, key, grid, tensors, split)
    plan.studies[key] = Step(
        {
            "study": key,
            "title": study.title,
            "document": study.document,
            "dataset": study.dataset,
            "archive_sha256": None if params.source == "synthetic" else dataset.sha256,
            "protocol": study.protocol,
            "split": study.split_settings.model_dump(mode="json"),
            "axes": list(grid[0].axes),
            "cells": [{"id": cell.id, **cell.axes} for cell in grid],
            "trainings": {cell.id: cell.training.model_dump(mode="json") for cell in grid},
            "models": {name: study.model(name).model_dump(mode="json") for name in study.model_names},
            "weights": {name: _weights_name(params.weights_of(key, name)) for name in study.model_names},
            "notes": {name: getattr(params.weights_of(key, name), "note", "") for name in study.model_names},
            "classes": dataset.classes,
            "image": image,
            "select": study.select,
            "explanations": study.explanations.model_dump(mode="json"),
            "published": [each.model_dump(mode="json") for each in study.published],
            "criterion": study.criterion.model_dump(mode="json"),
            "claims": {
                name: claim.model_dump(mode="json", exclude_none=True) for name, claim in study.claims.items()
            },
            # cells that trained beside others have no time of their own
            "stacked": [
                cell["id"]
                for job in plan.jobs_of[key]
                if plan.jobs[f"{key}/{job}"].settings["source"] in ("features", "pixels")
                for cell in plan.jobs[f"{key}/{job}"].settings["cells"]
            ],
            "synthetic": params.source == "synthetic",
            "data": label,
            "sha256": None if params.source == "synthetic" else dataset.sha256,
            "license": dataset.license,
            "competition": dataset.kaggle.slug if dataset.kaggle and dataset.kaggle.competition else None,
            "submission": {
                "ids": dataset.unlabelled,
                "columns": [dataset.labels.id, dataset.labels.label] if dataset.labels else ["id", "label"],
            }
            if dataset.unlabelled
            else None,
            # synthetic images belong to nobody
            "show_images": dataset.show_images or params.source == "synthetic",
            "jobs": plan.jobs_of[key],
        },
        {"inventory": inventory, "split": split, "tensors": tensors}
        | {
            f"weights_{cell.training.model}": file["weights"]
            for cell in grid
            if (file := _add_weights(plan, _start(params, key, cell.training)))
        },
    )
    plan.costs_of[key] = Step(_plan_of(plan, params, key), {"split": split})
    plan.manifest_of[key] = manifest_name(plan.studies[key].settings)


def plan(params: Params) -> Plan:
    """Lay out all studies of the settings."""
    result = Plan()
    for key, study in params.studies.items():
        # a user's own images have no stand-ins, and need none
        if params.source == "real" or params.datasets[study.dataset].synthetic:
            _add_study(result, params, key)
    return result
