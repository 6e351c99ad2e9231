"""Dependencies between files: the training jobs of each study, and every file that they need.

No file is read or written here. Each name ends in a hash of all that determines the content
(`medgrid.grid.versions`), so two studies that need the same tensors or features share one file, and a changed setting
gives a new path.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from medgrid.config import GroupTable, Model, Params, Study, Training, Weights
from medgrid.grid.cells import Cell, check_references, expand_grid
from medgrid.grid.manifest import OtherSplit, StudyManifest
from medgrid.grid.study_manifest import study_manifest
from medgrid.grid.versions import VERSIONS, fingerprint, non_default

SEEDS = re.compile(r"seeds-(\d+)(?:-(\d+))?")


@dataclass(frozen=True)
class Step:
    """What a rule needs to make one file: settings (JSON types) and the names of its inputs."""

    settings: dict[str, Any]
    inputs: dict[str, str] = field(default_factory=dict)


@dataclass
class Layout:
    """Every file of every study, by name (path without folder and suffix); training jobs by `STUDY/NAME`."""

    archives: dict[str, Step] = field(default_factory=dict)
    inventories: dict[str, Step] = field(default_factory=dict)
    near_duplicates: dict[str, Step] = field(default_factory=dict)
    splits: dict[str, Step] = field(default_factory=dict)
    audits: dict[str, Step] = field(default_factory=dict)
    tensors: dict[str, Step] = field(default_factory=dict)
    weights: dict[str, Step] = field(default_factory=dict)
    features: dict[str, Step] = field(default_factory=dict)
    jobs: dict[str, Step] = field(default_factory=dict)
    profiles: dict[str, Step] = field(default_factory=dict)
    manifests: dict[str, StudyManifest] = field(default_factory=dict)
    inputs_of: dict[str, dict[str, str]] = field(default_factory=dict)  # inventory, split, tensors, weights_MODEL
    one_job_per: dict[str, str] = field(default_factory=dict)

    def blocks_of(self, study: str, job: str, existing: Iterable[str]) -> list[str]:
        """Blocks of seeds of a training job, of which the folders `existing` exist; see `seed_blocks`."""
        whole_networks = self.jobs[f"{study}/{job}"].settings["source"] == "images"
        one_each = whole_networks and self.one_job_per[study] == "replicate"
        names = [name for name in existing if SEEDS.fullmatch(name)]
        return seed_blocks(names, self.manifests[study].seeds_of(job), one_each)


@dataclass(frozen=True)
class Images:
    """Names of the files made from a study's images, and the data set in words."""

    archive: str
    inventory: str
    near_duplicates: str
    splits: list[str]  # the first is that of figures, explanations and cards
    tensors: str
    label: str


def seed_blocks(existing: Iterable[str], seeds: Iterable[int], one_each: bool = False) -> list[str]:
    """Folders that together hold the `seeds` of a training job, in order.

    First, those folders of `existing` (such as `seeds-0-4` or `seeds-3`) that contain a wanted seed which no earlier
    one contains. Then one new folder for each range of missing seeds, or with `one_each` for each missing seed.
    Finished seeds are therefore not trained again when `replicates` is raised or lowered.
    """
    blocks = []
    missing = set(seeds)
    for first, last in sorted((_seed_range(name) for name in existing), key=lambda block: (block[0], -block[1])):
        if missing.intersection(range(first, last + 1)):
            missing -= set(range(first, last + 1))
            blocks.append((first, last))
    for seed in sorted(missing):
        if one_each or not blocks or blocks[-1][1] != seed - 1 or seed - 1 not in missing:
            blocks.append((seed, seed))
        else:
            blocks[-1] = (blocks[-1][0], seed)
    return [f"seeds-{first}" if first == last else f"seeds-{first}-{last}" for first, last in sorted(blocks)]


def _seed_range(name: str) -> tuple[int, int]:
    match = SEEDS.fullmatch(name)
    if match is None:
        raise ValueError(f"{name} is not the name of a block of seeds")
    return int(match[1]), int(match[2] or match[1])


def seeds_of(block: str) -> list[int]:
    """Seeds of a folder such as `seeds-0-4`."""
    first, last = _seed_range(block)
    return list(range(first, last + 1))


def _weights_name(weights: Weights | str) -> str:
    if isinstance(weights, str):
        return weights
    stem = weights.file.rsplit("/", 1)[-1].removesuffix(".pth")
    return f"{stem}.pth" if weights.sha256 is None else f"{stem}-{weights.sha256[:8]}.pth"


def _weights_identity(weights: Weights | str) -> str:
    return weights if isinstance(weights, str) else weights.sha256 or PurePath(weights.file).name


def _initial_weights(params: Params, key: str, training: Training) -> Weights | str:
    """What a training's backbone starts from."""
    return "random" if training.mode == "scratch" else params.weights_of(key, training.model)


def _add_weights(layout: Layout, weights: Weights | str) -> dict[str, str]:
    """A weight file as inputs of a Step; none for random weights."""
    if isinstance(weights, str):
        return {}
    name = _weights_name(weights)
    layout.weights[name] = Step(weights.model_dump(mode="json", exclude={"note"}))
    return {"weights": name}


def _add_archive(layout: Layout, params: Params, key: str) -> tuple[str, str]:
    """Add a data set's archive; returns its name and the data set in words."""
    dataset = params.datasets[key]
    synthetic = dataset.synthetic if params.source == "synthetic" else None
    settings: dict[str, Any] = {"dataset": key, "kaggle": None, "sha256": dataset.sha256, "synthetic": None}
    if dataset.kaggle:
        settings["kaggle"] = dataset.kaggle.model_dump(mode="json")
    if synthetic:
        labels = dataset.labels.model_dump(mode="json") if dataset.labels else None
        settings |= {"synthetic": synthetic.model_dump(mode="json"), "classes": dataset.classes, "labels": labels}
        origin = fingerprint(non_default(synthetic), dataset.classes, labels, VERSIONS["data"])
        name, label = f"{key}-synthetic-{origin}", "synthetic images"
    else:
        source = dataset.kaggle.handle if dataset.kaggle else PurePath(dataset.folder or "").name
        # Kaggle's pinned versions do not change; what is declared by its digest is what the digest says
        name = f"{key}-{dataset.sha256[:12] if dataset.sha256 else fingerprint(source)}"
        label = f"{dataset.title} ({source}{f'; {dataset.note}' if dataset.note else ''})"
    layout.archives[name] = Step(settings)
    return name, label


def _add_inventory(layout: Layout, params: Params, key: str, prefix: str, archive: str) -> str:
    dataset = params.datasets[key]
    if params.source == "synthetic" and isinstance(dataset.group, GroupTable):
        dataset = dataset.model_copy(update={"group": None})  # the table names the real images
    names = {"images", "group", "classes", "labels", "ids", "unlabelled"}
    # a table on this machine is what its digest says, and may move
    moving = {"group": {"file"}} if isinstance(dataset.group, GroupTable) and dataset.group.sha256 else None
    identity = dataset.model_dump(mode="json", include=names, exclude=moving, exclude_defaults=True)
    settings = dataset.model_dump(mode="json", include=names | {"max_undecodable"}) | {"dataset": key}
    inventory = f"{prefix}-{fingerprint(archive, identity, VERSIONS['data'])}"
    layout.inventories[inventory] = Step(settings, {"archive": archive})
    return inventory


def _add_images(layout: Layout, params: Params, study: Study) -> Images:
    """Add everything that is made from a study's images before a network sees them."""
    prefix = f"{study.dataset}-synthetic" if params.source == "synthetic" else study.dataset
    archive, label = _add_archive(layout, params, study.dataset)
    inventory = _add_inventory(layout, params, study.dataset, prefix, archive)
    images = {"inventory": inventory, "archive": archive}

    near_duplicates = f"{prefix}-{fingerprint(inventory, VERSIONS['near_duplicates'])}"
    layout.near_duplicates[near_duplicates] = Step({}, images)

    series = params.datasets[study.dataset].model_dump(mode="json", include={"series"})
    splits = []
    for parts in study.splits:
        identity = [inventory, near_duplicates, study.protocol, non_default(parts), VERSIONS["split"]]
        identity += [series] if series["series"] else []
        splits.append(f"{prefix}-{study.protocol}-{fingerprint(*identity)}")
        settings = {"protocol": study.protocol, **parts.model_dump(mode="json"), **series}
        layout.splits[splits[-1]] = Step(settings, {"inventory": inventory, "near_duplicates": near_duplicates})

    tensors = f"{prefix}-{study.image.size}px-{fingerprint(inventory, non_default(study.image), VERSIONS['data'])}"
    layout.tensors[tensors] = Step(study.image.model_dump(mode="json"), images)
    _add_audit(layout, params, study.dataset, {"inventory": inventory, "near_duplicates": near_duplicates}, label)
    return Images(archive, inventory, near_duplicates, splits, tensors, label)


def _add_audit(layout: Layout, params: Params, key: str, inputs: dict[str, str], label: str) -> None:
    dataset, synthetic = params.datasets[key], params.source == "synthetic"
    settings = {
        "data": f"{dataset.title}: {label}" if synthetic else label,
        "license": dataset.license,
        "synthetic": synthetic,
        "show_images": dataset.show_images or synthetic,
        **dataset.model_dump(mode="json", include={"series"}),
    }
    # the folder of an audit has a fixed name, so its content says what it was made from
    name = fingerprint(settings, inputs, VERSIONS["audit"])
    layout.audits[key] = Step(settings | {"name": name}, inputs)


def _feature_level(model: Model) -> str:
    """Where a frozen backbone ends: before its output layer, or at its last feature map, averaged or whole."""
    if not model.layers:
        return "output"
    return "pooled" if model.layers[0].pool == "global_average" else "map"


def _add_features(layout: Layout, params: Params, key: str, training: Training, images: Images) -> str:
    model, weights = params.studies[key].model(training.model), _initial_weights(params, key, training)
    augmentation = params.augmentations[training.augmentation] if training.views else None
    settings: dict[str, Any] = {
        "model": model.backbone,
        "normalisation": training.normalisation,
        "weights": _weights_name(weights),
        "feature_level": _feature_level(model),
        "views": training.views,
    }
    identity = settings | {"weights": _weights_identity(weights)}
    identity["augmentation"] = non_default(augmentation) if augmentation else None
    settings["augmentation"] = augmentation.model_dump() if augmentation else None
    prefix = images.tensors.rsplit("-", 2)[0]
    name = f"{prefix}-{model.backbone}-{fingerprint(images.tensors, identity, VERSIONS['models'])}"
    layout.features[name] = Step(settings, {"tensors": images.tensors} | _add_weights(layout, weights))
    return name


def _shared(study: Study, cell: Cell) -> tuple:
    """What the cells of one training job have in common; first of it what they train on.

    Dense networks train on features or pixels, in stacks. Other networks train on maps or images, one by one.
    """
    training, model = cell.training, study.model(cell.training.model)
    same_images = training.augmentation == "none" or training.views > 0
    if model.backbone is not None and training.frozen and same_images:
        source = "features" if model.dense else "maps"
        return source, training.model, training.augmentation, training.views, training.normalisation
    if model.backbone is None and model.dense and same_images:
        # dense networks that see the same batches of pixels
        return "pixels", training.model, training.normalisation, training.batch_size, training.loss
    if study.one_job_per == "model":
        return "images", training.model, training.mode == "scratch"
    return "images", cell.id


def _add_jobs(layout: Layout, params: Params, key: str, grid: list[Cell], images: Images, split: str) -> list[str]:
    """Add a study's training jobs on a split; returns their names. Seeds are no part of a name: see `seed_blocks`."""
    study = params.studies[key]
    groups: dict[tuple, list[Cell]] = {}
    for cell in grid:
        groups.setdefault(_shared(study, cell), []).append(cell)
    names = []
    for (source, *_), members in groups.items():
        first = members[0].training
        weights = _initial_weights(params, key, first)
        if source in ("features", "maps"):
            inputs = {"features": _add_features(layout, params, key, first, images)}
        else:
            inputs = {"tensors": images.tensors} | _add_weights(layout, weights)
        settings, identity = _job_settings(params, study, members, source)
        settings["weights"] = _weights_name(weights)
        hashed = fingerprint(
            identity, inputs, _weights_identity(weights), split, VERSIONS["models"], VERSIONS["training"]
        )
        name = f"{members[0].id if len(members) == 1 else first.model}-{hashed}"
        layout.jobs[f"{key}/{name}"] = Step(settings, inputs | {"split": split})
        names.append(name)
    return names


def _job_settings(params: Params, study: Study, members: list[Cell], source: str) -> tuple[dict, dict]:
    """Settings of a training job, and those of them that enter its name."""
    model = study.model(members[0].training.model)
    used = dict.fromkeys(cell.training.augmentation for cell in members)
    augmentations = {name: params.augmentations[name] for name in used if name != "none"}
    settings = {
        "cells": [{"id": cell.id, "training": cell.training.model_dump(mode="json")} for cell in members],
        "source": source,
        "select": study.select,
        "classes": params.datasets[study.dataset].classes,
        "model": model.model_dump(mode="json"),
        "augmentations": {name: each.model_dump() for name, each in augmentations.items()},
        "keep_weights": study.keep_weights,
    }
    identity = {
        "cells": [{"id": cell.id, "training": non_default(cell.training)} for cell in members],
        "source": source,
        "classes": settings["classes"],
        "model": non_default(model),
        "augmentations": {name: non_default(each) for name, each in augmentations.items()},
        **study.model_dump(include={"select", "keep_weights"}, exclude_defaults=True),
    }
    return settings, identity


def _expected_images(params: Params, study: Study) -> dict[str, int] | None:
    """About how many images each part will have, where that is known before anything is fetched."""
    dataset, split = params.datasets[study.dataset], study.split_settings
    if params.source == "synthetic" and dataset.synthetic:
        count, unlabelled = dataset.synthetic.images, dataset.synthetic.unlabelled
    else:
        count, unlabelled = dataset.count, dataset.count_unlabelled
    if count is None or split.test is None:
        return None

    def amount(wanted: float, of: int) -> int:
        return wanted if isinstance(wanted, int) else round(wanted * of)

    used = amount(split.use, count) if split.use else count
    test = amount(split.test, used)
    test_validates = split.validation == "test"
    validation = test if split.validation == "test" else amount(split.validation, used)
    train = max(1, used - test - (0 if test_validates else validation))
    return {"train": train, "validation": validation, "test": test, "unlabelled": unlabelled}


def _add_profile(layout: Layout, params: Params, key: str, jobs: list[str], split: str) -> None:
    """Add what `medgrid plan` measures of a study, see `medgrid.training.profile`."""
    study, settings_of_jobs, features = params.studies[key], {}, {}
    for name in jobs:
        step = layout.jobs[f"{key}/{name}"]
        settings_of_jobs[name] = step.settings | {"seeds": list(range(study.seeds))}
        if source := step.inputs.get("features"):
            features[source] = layout.features[source].settings
            settings_of_jobs[name] |= {"feature_level": features[source]["feature_level"]}
    settings = {
        "image": study.image.model_dump(mode="json"),
        "declared": _expected_images(params, study),
        "jobs": settings_of_jobs,
        "features": features,
    }
    layout.profiles[key] = Step(settings, {"split": split})


def _add_study(layout: Layout, params: Params, key: str) -> None:
    study = params.studies[key]
    grid = expand_grid(study, key)
    check_references(params, key, grid)
    images = _add_images(layout, params, study)
    jobs, *other_jobs = (_add_jobs(layout, params, key, grid, images, split) for split in images.splits)
    stacked = [
        cell["id"]
        for name in jobs
        if layout.jobs[f"{key}/{name}"].settings["source"] in ("features", "pixels")
        for cell in layout.jobs[f"{key}/{name}"].settings["cells"]
    ]
    weights = {name: _weights_name(params.weights_of(key, name)) for name in study.model_names}
    other_splits = [
        OtherSplit(split=split, jobs=names) for split, names in zip(images.splits[1:], other_jobs, strict=True)
    ]
    layout.manifests[key] = study_manifest(params, key, grid, jobs, other_splits, stacked, weights, images.label)
    layout.inputs_of[key] = {"inventory": images.inventory, "near_duplicates": images.near_duplicates}
    layout.inputs_of[key] |= {"split": images.splits[0], "tensors": images.tensors}
    for cell in grid:
        if file := _add_weights(layout, _initial_weights(params, key, cell.training)):
            layout.inputs_of[key][f"weights_{cell.training.model}"] = file["weights"]
    layout.one_job_per[key] = study.one_job_per
    _add_profile(layout, params, key, layout.manifests[key].all_jobs, images.splits[0])


def lay_out(params: Params) -> Layout:
    """All files of the studies in `params`. Raises MedgridError that names a cell whose settings do not fit."""
    layout = Layout()
    for key, study in params.studies.items():
        # a user's own images have no synthetic stand-ins, and need none
        if params.source == "real" or params.datasets[study.dataset].synthetic:
            _add_study(layout, params, key)
    return layout
