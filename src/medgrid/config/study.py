"""Settings of studies, and the whole of `params.yaml`."""

import difflib
import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PositiveInt, ValidationInfo, field_validator, model_validator

from medgrid.config.base import Key, Settings, torchvision_name, unique
from medgrid.config.claims import Claim, Criterion, NotJudged
from medgrid.config.dataset import Dataset, Image, Split
from medgrid.config.metrics import MEASURED, PER_CLASS, SIZES
from medgrid.config.training import Augmentation, Axes, Extra, Fixed, Model, Training, Weights


def _hint(name: str, known: Iterable[str]) -> str:
    similar = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {similar[0]}?" if similar else ""


def _number(value: Any) -> Any:
    """Text that looks like a number, as a number: YAML reads 1e-2 as text."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


class AsPublished(Settings):
    """Settings of the published protocol that differ, flaws included."""

    split: Split | None = None
    fixed: Fixed = Fixed()


class Published(Settings):
    """Published numbers, which are listed next to ours."""

    source: str = Field(description="table, figure or page of the publication")
    runs: PositiveInt = Field(1, description="number of trainings whose mean each number is")
    test_images: PositiveInt | None = Field(
        None, description="size of the publication's test set; by default taken to be that of ours"
    )
    by: list[str] = Field(
        min_length=1, description="settings (or class) that select the cell: the first fields of a row"
    )
    metrics: list[str] = Field(
        min_length=1, description="columns of our tables: the other fields of a row, between 0 and 1"
    )
    rows: list[list[float | int | str | None]] = Field(min_length=1)

    @field_validator("rows")
    @classmethod
    def _typed(cls, rows: list[list], info: ValidationInfo) -> list[list]:
        by = info.data.get("by", [])
        # classes are text, even if they look like numbers
        place = by.index("class") if "class" in by else None
        return [[str(value) if i == place else _number(value) for i, value in enumerate(row)] for row in rows]

    @model_validator(mode="after")
    def _rectangular(self):
        width = len(self.by) + len(self.metrics)
        for i, row in enumerate(self.rows):
            if len(row) != width:
                raise ValueError(f"rows[{i}] has {len(row)} fields; by and metrics name {width}")
        for name in self.by:
            if name != "class" and name not in Training.model_fields:
                raise ValueError(f"by: there is no setting '{name}'{_hint(name, ['class', *Training.model_fields])}")
        for i, row in enumerate(self.rows):
            for name, value in zip(self.metrics, row[len(self.by) :], strict=True):
                if isinstance(value, str):
                    raise ValueError(f"rows[{i}]: {name} is not a number: '{value}'")
        known = PER_CLASS if "class" in self.by else (*MEASURED, *SIZES)
        for name in self.metrics:
            if name not in known:
                raise ValueError(
                    f"metrics: there is no metric{' per class' * ('class' in self.by)} named '{name}'"
                    f"{_hint(name, known)}"
                )
        return self


class Splits(Settings):
    """Trainings on several random splits: what if other images of the same kind had been collected, as many?"""

    splits: Annotated[int, Field(ge=2, le=100)] = Field(
        description="number of splits; the first is the study's own, the others have the split seeds 1, 2, 3, …"
    )
    seeds: Annotated[int, Field(ge=1, le=1000)] = Field(1, description="trainings of each cell on each split")


class Explanations(Settings):
    """How many networks LIME and Grad-CAM explain, and how many samples LIME takes."""

    networks: PositiveInt = Field(
        12, description="at most; if there are more pairs of model and mode, the best by validation"
    )
    perturbations: Annotated[int, Field(ge=10)] = Field(
        200, description="perturbed images per network to which LIME fits its linear model"
    )


class Study(Settings):
    """Dataset, protocol, grid and fixed settings of one published study."""

    title: str
    document: str = Field("", description="publication that is re-run: authors, title, venue")
    dataset: Key
    protocol: Literal["clean", "published"] = "clean"
    split: Split
    as_published: AsPublished = AsPublished()
    image: Image = Image()
    models: dict[Key, Model] = Field({}, description="networks of this study besides torchvision's classifiers")
    fixed: Fixed
    axes: Axes = Field(description="settings that vary, at least one")
    extra: list[Extra] = Field([], description="cells in addition to the product of the axes")
    replicates: Annotated[int, Field(ge=1, le=1000)] | Splits = Field(
        5, description="a number: seeds 0, 1, 2, … on one split; or numbers of splits and of seeds per split"
    )
    select: Literal["validation_loss", "validation_accuracy"] = Field(
        "validation_loss", description="selects the best epoch of a training; the loss includes L1 and L2 penalties"
    )
    weights: dict[Key, Weights | Literal["random", "random_calibrated"]] = Field(
        {}, description="per model, instead of the weights named at the top"
    )
    one_job_per: Literal["replicate", "cell", "model"] = Field(
        "cell", description="what one job trains, if whole networks are trained"
    )
    keep_weights: Literal["first", "all", "none"] = Field(
        "first", description="replicates whose trained weights are kept with the predictions"
    )
    explanations: Explanations = Explanations()
    published: list[Published] = Field([], description="published numbers, listed next to ours")
    criterion: Criterion = Criterion()
    claims: dict[Key, Claim] = Field({}, description="conclusions of the publication, tested with our replicates")
    not_judged: list[NotJudged] = Field([], description="assertions of the publication that no claim tests")

    @model_validator(mode="after")
    def _each_setting_once(self):
        if not self.axis_names:
            raise ValueError("axes is empty: add at least one setting, with one or more values")
        if len(self.splits) > 1 and self.split_settings.by == "archive":
            raise ValueError("replicates.splits: the archive has one split of its own (split.by); set one of them")
        for name, field in Training.model_fields.items():
            fixed, axis = getattr(self.constants, name), getattr(self.axes, name)
            if fixed is None and axis is None and field.is_required():
                raise ValueError(f"'{name}' is neither in fixed nor in axes")
            if fixed is not None and axis is not None:
                raise ValueError(f"'{name}' is both in fixed and in axes")
        for name in [*self.model_names, *self.published_values("model")]:
            torchvision_name(name, self.models)
        return self

    @property
    def constants(self) -> Fixed:
        """Settings that are the same in every cell, under the chosen protocol."""
        if self.protocol == "clean":
            return self.fixed
        return self.fixed.model_copy(update=self.as_published.fixed.model_dump(exclude_none=True))

    @property
    def split_settings(self) -> Split:
        """Sizes of the parts under the chosen protocol."""
        return (self.protocol == "published" and self.as_published.split) or self.split

    @property
    def seeds(self) -> int:
        """Number of trainings of each cell on each split."""
        return self.replicates if isinstance(self.replicates, int) else self.replicates.seeds

    @property
    def splits(self) -> list[Split]:
        """Settings of each split; those of the first are the study's own."""
        own = self.split_settings
        if isinstance(self.replicates, int):
            return [own]
        seeds = [seed for seed in range(1, self.replicates.splits + 1) if seed != own.seed]
        return [own, *(own.model_copy(update={"seed": seed}) for seed in seeds[: self.replicates.splits - 1])]

    @property
    def axis_names(self) -> list[str]:
        return [name for name in Training.model_fields if getattr(self.axes, name) is not None]

    @property
    def model_names(self) -> list[str]:
        """Names of the networks, in order of appearance."""
        names = list(self.axes.model or [self.constants.model])
        for extra in self.extra:
            if extra.model is not None:
                names += extra.model if isinstance(extra.model, list) else [extra.model]
        return list(dict.fromkeys(names))

    def published_values(self, name: str) -> list[str]:
        """Values of a setting, or of the class, in published rows."""
        return [str(row[each.by.index(name)]) for each in self.published if name in each.by for row in each.rows]

    def model(self, name: str) -> Model:
        """The network of this name."""
        return self.models.get(name) or Model(backbone=name)


class Params(Settings):
    """The whole of `params.yaml`."""

    source: Literal["real", "synthetic"] = "real"
    mirror: str | None = Field(None, description="folder with all files that would be downloaded")
    device: Literal["auto", "cpu", "cuda"] = "auto"
    gpu_slots: PositiveInt = Field(1, description="jobs that share each GPU of a workstation")
    gres: Annotated[str, Field(pattern=r"^\w+(:[\w.]+)?(:\d+)?$")] | None = Field(
        None, description="request for a GPU in SLURM, such as gpu:h100:1; by default --gpus=1"
    )
    results: str = Field("results", min_length=1, description="folder of the outputs")
    data: str = Field(
        "data", min_length=1, description="folder of downloads, tensors, features, checkpoints and logs"
    )
    run: Annotated[list[Key], Field(min_length=1), AfterValidator(unique)] = Field(
        description="studies that a run without a named target builds"
    )
    weights: dict[Key, Weights | Literal["random", "random_calibrated"]] = Field(
        description="per torchvision model, for every study; random: as torchvision initialises them; "
        "random_calibrated: random, with BatchNorm statistics measured on noise"
    )
    augmentations: dict[Key, Augmentation] = Field({}, description="by name, for every study")
    datasets: dict[Key, Dataset]
    studies: dict[Key, Study]

    @model_validator(mode="after")
    def _references(self):
        if "none" in self.augmentations:
            raise ValueError("augmentations.none: the name none is reserved for no augmentation; choose another")
        for key in self.run:
            if key not in self.studies:
                raise ValueError(f"run: there is no study '{key}'")
        for key, study in self.studies.items():
            if study.dataset not in self.datasets:
                raise ValueError(f"studies.{key}.dataset: there is no data set '{study.dataset}'")
            if self.source == "synthetic" and key in self.run and self.datasets[study.dataset].synthetic is None:
                raise ValueError(f"datasets.{study.dataset}: source is synthetic, but it has no synthetic block")
            by_archive = [s for s in (study.split, study.as_published.split) if s and s.by == "archive"]
            if by_archive and "split" not in re.compile(self.datasets[study.dataset].images).groupindex:
                raise ValueError(
                    f"studies.{key}.split.by: datasets.{study.dataset}.images has no group (?P<split>…), so the "
                    "archive's own split is not known"
                )
            classes = self.datasets[study.dataset].classes
            for value in study.published_values("class"):
                if value not in classes:
                    raise ValueError(f"studies.{key}.published: there is no class '{value}'{_hint(value, classes)}")
            for name in study.model_names:
                backbone = study.model(name).backbone
                if backbone is not None and {name, backbone}.isdisjoint({*self.weights, *study.weights}):
                    raise ValueError(f"studies.{key}: there are no weights for {backbone}; add weights.{backbone}")
            backbones = {study.model(name).backbone for name in study.model_names}
            for name in study.weights:
                if name not in (*study.model_names, *study.models, *backbones):
                    hint = _hint(name, [*study.model_names, *filter(None, backbones)])
                    raise ValueError(f"studies.{key}.weights: the study has no model or backbone '{name}'{hint}")
        return self

    def weights_of(self, study: str, model: str) -> Weights | str:
        """Weight file of a model's backbone, `random` or `random_calibrated`; `random` without a backbone."""
        backbone = self.studies[study].model(model).backbone
        if backbone is None:
            return "random"
        own = self.studies[study].weights
        return own.get(model) or own.get(backbone) or self.weights.get(model) or self.weights[backbone]
