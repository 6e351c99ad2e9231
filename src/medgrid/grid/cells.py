"""A study's cells: the points of its grid, with settings that fit together."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from medgrid.architectures.keras_layers import last_blocks, last_layers
from medgrid.config import Model, Study, Training
from medgrid.utils.errors import MedgridError

# settings whose values say by themselves what they are
SPEAKING = ("model", "mode", "loss", "optimizer")


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
        given = extra.model_dump(exclude_none=True)
        lists = [value if isinstance(value, list) else [value] for value in given.values()]
        for values in itertools.product(*lists):
            yield constants | dict(zip(given, values, strict=True))


def _id(axes: dict[str, Any]) -> str:
    parts = []
    for name, value in axes.items():
        if value is None:
            continue
        # repr of a float is the shortest text that reads back as the same float, so ids cannot collide
        text = (
            value if isinstance(value, str) else "-".join(map(repr, value if isinstance(value, tuple) else [value]))
        )
        parts.append(text if name in SPEAKING else f"{name}={text}")
    return "_".join(parts)


def cells(study: Study, called: str = "study") -> list[Cell]:
    """All cells of a study; raises MedgridError that names the cell whose settings do not fit together."""
    trainings = []
    for point in _points(study):
        try:
            trainings.append(Training(**point))
        except ValidationError as error:
            missing = error.errors()[0]["loc"][0]
            raise MedgridError(f"studies.{called}.extra: a cell {point} lacks '{missing}'") from None
    varied = [
        name
        for name in Training.model_fields
        if name in study.axis_names or len({getattr(training, name) for training in trainings}) > 1
    ]
    result = []
    for training in trainings:
        axes = {name: getattr(training, name) for name in varied}
        result.append(Cell(_id(axes), axes, training))
        if fault := _fault(training, study.model(training.model), study.image.colour):
            raise MedgridError(f"studies.{called}: cell {result[-1].id}: {fault}")
    alike: dict[Training, Cell] = {}
    for cell in result:
        other = alike.setdefault(_without_idle(cell.training), cell)
        if other is not cell and other.id != cell.id:
            raise MedgridError(
                f"studies.{called}: the cells {other.id} and {cell.id} are the same training: "
                "what they differ in means nothing to it"
            )
    ids = [cell.id for cell in result]
    if twice := {cell_id for cell_id in ids if ids.count(cell_id) > 1}:
        raise MedgridError(f"studies.{called}: the cell {min(twice)} stands there twice")
    return result


def _without_idle(training: Training) -> Training:
    """The training with settings that mean nothing to it at their defaults."""
    idle = set()
    if training.optimizer not in ("sgd", "rmsprop"):
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
    """Why these settings do not go together, if they do not."""
    if model.backbone is None and training.mode != "scratch":
        return f"{training.model} has no backbone with weights, so its mode can only be scratch"
    if model.backbone is not None and colour == "grey":
        return f"{model.backbone} wants colour images; set image.colour to rgb"
    if training.views and (training.augmentation == "none" or not training.frozen):
        return "views are cached features of augmented images: they need an augmentation and a frozen backbone"
    if training.batch_size == 1 and any(layer.batch_norm and layer.dense for layer in model.layers):
        return "BatchNorm has nothing to compare in a batch of one image; raise batch_size"
    if training.scheduler == "step" and training.step_size is None:
        return "scheduler step needs a step_size"
    if training.scheduler == "plateau" and training.step_size is None:
        return "scheduler plateau needs a step_size: the epochs it waits"
    if training.scheduler == "multistep" and not training.milestones:
        return "scheduler multistep needs milestones"
    try:
        if training.mode == "last_layers" and training.unfrozen:
            last_layers(model.backbone, training.unfrozen)
        if training.mode == "last_blocks" and training.unfrozen:
            last_blocks(model.backbone, training.unfrozen)
    except MedgridError as error:
        return str(error)
    return None
