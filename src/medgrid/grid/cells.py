"""A study's cells: the points of its grid, with settings that fit together."""

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from medgrid.architectures.keras_layers import last_blocks, last_layers
from medgrid.config import Model, Params, Study, Training
from medgrid.config.optimizers import OPTIMIZERS
from medgrid.utils.errors import MedgridError

# settings whose values need no name next to them in a cell's id
WITHOUT_NAME = ("model", "mode", "loss", "optimizer")


@dataclass(frozen=True)
class Cell:
    """One point of a study's grid: `axes` is what varies within the study."""

    id: str
    axes: dict[str, Any]
    training: Training


def _points(study: Study) -> Iterator[dict[str, Any]]:
    """Settings of each cell: the product of the axes, then each extra's own product, in the order written down."""
    constants = study.constants.model_dump(exclude_none=True)
    for values in itertools.product(*(getattr(study.axes, name) for name in study.axis_names)):
        yield constants | dict(zip(study.axis_names, values, strict=True))
    for extra in study.extra:
        settings = extra.model_dump(exclude_none=True)
        lists = [value if isinstance(value, list) else [value] for value in settings.values()]
        for values in itertools.product(*lists):
            yield constants | dict(zip(settings, values, strict=True))


def _text(value: Any) -> str:
    # repr of a float is the shortest text that reads back as the same float, so ids cannot collide
    return value if isinstance(value, str) else "-".join(map(repr, value if isinstance(value, tuple) else [value]))


def _id(axes: dict[str, Any]) -> str:
    settings = {name: _text(value) for name, value in axes.items() if value is not None}
    return "_".join(text if name in WITHOUT_NAME else f"{name}={text}" for name, text in settings.items())


def _trainings(study: Study, name: str) -> list[Training]:
    trainings = []
    for point in _points(study):
        try:
            trainings.append(Training(**point))
        except ValidationError as error:
            missing = error.errors()[0]["loc"][0]
            raise MedgridError(f"studies.{name}.extra: the cell {point} has no value for '{missing}'") from None
    return trainings


def expand_grid(study: Study, name: str = "study") -> list[Cell]:
    """All cells of a study; `name` is its key in params.yaml.

    Raises MedgridError that names the cell whose settings do not fit together, or that is listed twice.
    """
    trainings = _trainings(study, name)
    varied = [
        setting
        for setting in Training.model_fields
        if setting in study.axis_names or len({getattr(training, setting) for training in trainings}) > 1
    ]
    cells = []
    for training in trainings:
        axes = {setting: getattr(training, setting) for setting in varied}
        cells.append(Cell(_id(axes), axes, training))
        if fault := _fault(training, study.model(training.model), study.image.colour):
            raise MedgridError(f"studies.{name}: cell {cells[-1].id}: {fault}")
    _check_distinct(cells, name)
    return cells


def _check_distinct(cells: list[Cell], name: str) -> None:
    first_with: dict[Training, Cell] = {}
    for cell in cells:
        other = first_with.setdefault(_without_idle(cell.training), cell)
        if other.id != cell.id:
            raise MedgridError(
                f"studies.{name}: the cells {other.id} and {cell.id} are identical: they differ only in "
                "settings that have no effect"
            )
    cell_id, count = Counter(cell.id for cell in cells).most_common(1)[0]
    if count > 1:
        raise MedgridError(f"studies.{name}: the cell {cell_id} is listed twice")


def _without_idle(training: Training) -> Training:
    """The training, with all settings that have no effect on it set to their defaults."""
    idle = set()
    if "momentum" not in OPTIMIZERS[training.optimizer].takes:
        idle.add("momentum")
    if training.scheduler not in ("step", "plateau"):
        idle.add("step_size")
    if training.scheduler != "multistep":
        idle.add("milestones")
    if training.scheduler in ("none", "cosine"):
        idle.add("gamma")
    if training.mode not in ("last_layers", "last_blocks"):
        idle.add("unfrozen")
    return training.model_copy(update={name: Training.model_fields[name].default for name in idle})


def _fault(training: Training, model: Model, colour: str) -> str | None:
    """Why these settings do not fit together, or None."""
    if model.backbone is None and training.mode != "scratch":
        return f"{training.model} has no backbone with weights; set mode to scratch"
    if model.backbone is not None and colour == "grey":
        return f"{model.backbone} needs colour images; set image.colour to rgb"
    if training.views and (training.augmentation == "none" or not training.frozen):
        return "views are cached features of augmented images: they need an augmentation and a frozen backbone"
    if training.batch_size == 1 and any(layer.batch_norm and layer.dense for layer in model.layers):
        return "BatchNorm cannot normalise a batch of one image; raise batch_size"
    return _scheduler_fault(training) or _unfrozen_fault(training, model)


def _scheduler_fault(training: Training) -> str | None:
    if training.scheduler == "step" and training.step_size is None:
        return "scheduler step needs a step_size"
    if training.scheduler == "plateau" and training.step_size is None:
        return "scheduler plateau needs a step_size: the number of epochs without improvement"
    if training.scheduler == "multistep" and not training.milestones:
        return "scheduler multistep needs milestones"
    return None


def _unfrozen_fault(training: Training, model: Model) -> str | None:
    last = {"last_layers": last_layers, "last_blocks": last_blocks}.get(training.mode)
    if last and training.unfrozen and model.backbone:
        try:
            last(model.backbone, training.unfrozen)
        except MedgridError as error:
            return str(error)
    return None


def check_references(params: Params, name: str, cells: list[Cell]) -> None:
    """Raise MedgridError for a cell whose augmentation does not exist or whose loss does not fit the classes."""
    classes = params.datasets[params.studies[name].dataset].classes
    for cell in cells:
        if cell.training.augmentation not in ("none", *params.augmentations):
            raise MedgridError(f"studies.{name}: there is no augmentation '{cell.training.augmentation}'")
        if cell.training.outputs == 1 and len(classes) != 2:
            raise MedgridError(f"studies.{name}: binary_cross_entropy is for two classes, not {len(classes)}")
