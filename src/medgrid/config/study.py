"""Settings of studies, and the whole of `params.yaml`."""

import difflib
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PositiveInt, ValidationInfo, field_validator, model_validator

from medgrid.config.base import Key, Settings, torchvision_name, unique
from medgrid.config.claims import Claim, Criterion
from medgrid.config.dataset import Dataset, Image, Split
from medgrid.config.metrics import MEASURED, PER_CLASS, SIZES
from medgrid.config.training import Augmentation, Axes, Extra, Fixed, Model, Training, Weights


def _near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _number(value: Any) -> Any:
    """What is written like a number as one: YAML takes 1e-2 for a word."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


class AsPublished(Settings):
    """What the published protocol does otherwise, flaws included."""

    split: Split | None = None
    fixed: Fixed = Fixed()


class Published(Settings):
    """Figures that a document prints, to stand beside ours."""

    source: str = Field(description="table, figure or page of the document")
    by: list[str] = Field(min_length=1, description="settings (or class) that pick the cell: a row's first fields")
    metrics: list[str] = Field(min_length=1, description="columns of our tables: a row's other fields, as shares")
    rows: list[list[float | int | str | None]] = Field(min_length=1)

    @field_validator("rows")
    @classmethod
    def _typed(cls, rows: list[list], info: ValidationInfo) -> list[list]:
        by = info.data.get("by", [])
        # a class is a word, whatever it looks like
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
                raise ValueError(f"by names no setting '{name}'{_near(name, ['class', *Training.model_fields])}")
        for i, row in enumerate(self.rows):
            for name, value in zip(self.metrics, row[len(self.by) :], strict=True):
                if isinstance(value, str):
                    raise ValueError(f"rows[{i}]: {name} is no number: '{value}'")
        known = PER_CLASS if "class" in self.by else (*MEASURED, *SIZES)
        for name in self.metrics:
            if name not in known:
                raise ValueError(
                    f"metrics names nothing that is measured{' per class' * ('class' in self.by)}: '{name}'"
                    f"{_near(name, known)}"
                )
        return self


class Explanations(Settings):
    """How many networks LIME and Grad-CAM explain, and how well LIME samples."""

    networks: PositiveInt = Field(12, description="at most; of more pairs of model and mode, the best by validation")
    perturbations: Annotated[int, Field(ge=10)] = Field(
        200, description="perturbed images per network that LIME learns from"
    )


class Study(Settings):
    """Dataset, protocol, grid and fixed settings of one published study."""

    title: str
    document: str = Field("", description="what is being re-run: authors, title, place")
    dataset: Key
    protocol: Literal["clean", "published"] = "clean"
    split: Split
    as_published: AsPublished = AsPublished()
    image: Image = Image()
    models: dict[Key, Model] = Field({}, description="networks of this study beside torchvision's own classifiers")
    fixed: Fixed
    axes: Axes = Field(description="at least one")
    extra: list[Extra] = Field([], description="cells beside the product of the axes")
    replicates: Annotated[int, Field(ge=1, le=1000)] = Field(5, description="seeds 0, 1, 2, …")
    select: Literal["validation_loss", "validation_accuracy"] = Field(
        "validation_loss", description="what picks the best epoch of a training; the loss with its L1 and L2 penalty"
    )
    weights: dict[Key, Weights | Literal["random", "random_calibrated"]] = Field(
        {}, description="in place of the weights named at the top, per model"
    )
    one_job_per: Literal["replicate", "cell", "model"] = Field(
        "cell", description="what one job trains, where whole networks are trained"
    )
    keep_weights: Literal["first", "all", "none"] = Field(
        "first", description="of which replicates the trained weights are kept beside the predictions"
    )
    explanations: Explanations = Explanations()
    published: list[Published] = Field([], description="numbers that the document prints, to stand beside ours")
    criterion: Criterion = Criterion()
    claims: dict[Key, Claim] = Field({}, description="what the document concludes, to be judged by our replicates")

    @model_validator(mode="after")
    def _each_setting_once(self):
        if not self.axis_names:
            raise ValueError("axes is empty: a study varies something, if only one value of it")
        for name, field in Training.model_fields.items():
            fixed, axis = getattr(self.constants, name), getattr(self.axes, name)
            if fixed is None and axis is None and field.is_required():
                raise ValueError(f"'{name}' stands neither in fixed nor in axes")
            if fixed is not None and axis is not None:
                raise ValueError(f"'{name}' stands both in fixed and in axes")
        for name in [*self.model_names, *self.published_values("model")]:
            torchvision_name(name, self.models)
        return self

    @property
    def constants(self) -> Settings:
        """What is fixed under the protocol that is chosen."""
        if self.protocol == "clean":
            return self.fixed
        return self.fixed.model_copy(update=self.as_published.fixed.model_dump(exclude_none=True))

    @property
    def split_settings(self) -> Split:
        """The split under the protocol that is chosen."""
        return (self.protocol == "published" and self.as_published.split) or self.split

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
        """What published rows have for a setting, or for the class."""
        return [str(row[each.by.index(name)]) for each in self.published if name in each.by for row in each.rows]

    def model(self, name: str) -> Model:
        """What a name stands for."""
        return self.models.get(name) or Model(backbone=name)


class Params(Settings):
    """The whole of `params.yaml`."""

    source: Literal["real", "synthetic"] = "real"
    mirror: str | None = Field(None, description="folder that stands in for every download")
    device: Literal["auto", "cpu", "cuda"] = "auto"
    gpu_slots: PositiveInt = Field(1, description="jobs that share each GPU of a workstation")
    gres: Annotated[str, Field(pattern=r"^\w+(:[\w.]+)?(:\d+)?$")] | None = Field(
        None, description="what a SLURM job asks for to get a GPU, such as gpu:h100:1; by default --gpus=1"
    )
    results: str = Field("results", min_length=1, description="folder of the outputs")
    data: str = Field(
        "data", min_length=1, description="folder of downloads, tensors, features, checkpoints and logs"
    )
    run: Annotated[list[Key], Field(min_length=1), AfterValidator(unique)] = Field(
        description="studies that a run without a named target builds"
    )
    weights: dict[Key, Weights | Literal["random", "random_calibrated"]] = Field(
        description="per torchvision model, for every study; random: as torchvision initialises, random_calibrated: made usable"
    )
    augmentations: dict[Key, Augmentation] = Field({}, description="by name, for every study")
    datasets: dict[Key, Dataset]
    studies: dict[Key, Study]

    @model_validator(mode="after")
    def _references(self):
        if "none" in self.augmentations:
            raise ValueError("augmentations.none: this name means that there is none; take another")
        for key in self.run:
            if key not in self.studies:
                raise ValueError(f"run: no study is named '{key}'")
        for key, study in self.studies.items():
            if study.dataset not in self.datasets:
                raise ValueError(f"studies.{key}.dataset: no data set is named '{study.dataset}'")
            if self.source == "synthetic" and key in self.run and self.datasets[study.dataset].synthetic is None:
                raise ValueError(f"datasets.{study.dataset}: source is synthetic, but it has no synthetic block")
            classes = self.datasets[study.dataset].classes
            for value in study.published_values("class"):
                if value not in classes:
                    raise ValueError(f"studies.{key}.published: no class is named '{value}'{_near(value, classes)}")
            for name in study.model_names:
                backbone = study.model(name).backbone
                if backbone is not None and {name, backbone}.isdisjoint({*self.weights, *study.weights}):
                    raise ValueError(f"studies.{key}: no weights are named for {backbone}; add weights.{backbone}")
            backbones = {study.model(name).backbone for name in study.model_names}
            for name in study.weights:
                if name not in (*study.model_names, *study.models, *backbones):
                    hint = _near(name, [*study.model_names, *filter(None, backbones)])
                    raise ValueError(f"studies.{key}.weights: the study has no model or backbone '{name}'{hint}")
        return self

    def weights_of(self, study: str, model: str) -> Weights | str:
        """Weight file of a model's backbone, `random` or `random_calibrated`; what has no backbone is random."""
        backbone = self.studies[study].model(model).backbone
        if backbone is None:
            return "random"
        own = self.studies[study].weights
        return own.get(model) or own.get(backbone) or self.weights.get(model) or self.weights[backbone]
