"""`params.yaml` as typed settings, checked once, before any rule exists.

Everything here is cheap to import: every Snakemake process and every cluster job parses it again.
"""

import difflib
import json
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    ValidationError,
    create_model,
    model_validator,
)
from pydantic.fields import FieldInfo

from medgrid.errors import MedgridError
from medgrid.torchvision_names import TORCHVISION

T = TypeVar("T", bound=Hashable)


def _unique(values: list[T]) -> list[T]:
    twice = sorted({str(value) for value in values if values.count(value) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)} stands here twice")
    return values


def _amount(value: int | float) -> int | float:
    if not (value >= 1 if isinstance(value, int) else 0 < value < 1):
        raise ValueError("expected a count of images (a whole number from 1) or a share of them (between 0 and 1)")
    return value


def _torchvision_name(name: str) -> str:
    if name not in TORCHVISION:
        near = difflib.get_close_matches(name, TORCHVISION, n=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise ValueError(f"torchvision has no classifier named '{name}'{hint}")
    return name


def _regex_with(*groups: str):
    def check(pattern: str) -> str:
        try:
            compiled = re.compile(pattern)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
        missing = [group for group in groups if group not in compiled.groupindex]
        if missing:
            raise ValueError(f"lacks the named group (?P<{missing[0]}>…)")
        return pattern

    return AfterValidator(check)


Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Key = Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")]
Amount = Annotated[int | float, AfterValidator(_amount)]


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False)


class Kaggle(Settings):
    """Where Kaggle keeps a data set. A mirror folder holds the same as `<slug>.zip`."""

    handle: Annotated[str, Field(pattern=r"^([\w-]+/[\w-]+/versions/\d+|[\w-]+)$")] = Field(
        description="owner/name/versions/N for a data set (always pinned), or a competition's name"
    )

    @property
    def competition(self) -> bool:
        return "/" not in self.handle

    @property
    def slug(self) -> str:
        return self.handle if self.competition else self.handle.split("/")[1]


class Synthetic(Settings):
    """Procedural stand-in images in the layout of the real archive (see `medgrid.data.synthetic`)."""

    template: str = Field(description="member path with {split}, {label}, {subject} and {n}")
    splits: dict[str, Annotated[float, Field(gt=0, le=1)]] = Field(
        min_length=1, description="name of each original split and its share of the images"
    )
    images: Annotated[int, Field(ge=20)] = 240
    size: Annotated[int, Field(ge=32)] = Field(96, description="side in pixels")
    duplicates: Annotated[float, Field(ge=0, lt=0.5)] = Field(0.05, description="share of exact copies")
    per_subject: PositiveInt = Field(2, description="images of one subject")
    undecodable: Annotated[int, Field(ge=0)] = Field(0, description="damaged files among them")
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _whole(self):
        if abs(sum(self.splits.values()) - 1) > 1e-6:
            raise ValueError(f"the shares in splits add up to {sum(self.splits.values()):g}, not 1")
        try:
            self.template.format(split="", label="", subject="", n=0)
        except (AttributeError, KeyError, IndexError, ValueError):
            raise ValueError("template may use {split}, {label}, {subject} and {n} only") from None
        return self


class Dataset(Settings):
    """Images with labels and, where known, groups."""

    title: str
    kaggle: Kaggle
    sha256: Sha256 = Field(description="digest of the archive's content, as `medgrid digest` prints it")
    license: str
    show_images: bool = Field(False, description="the licence allows sample images in reports")
    classes: Annotated[list[str], Field(min_length=2), AfterValidator(_unique)]
    images: Annotated[str, _regex_with("label")] = Field(
        description="regular expression for image paths, with named groups label and, optionally, split"
    )
    group: Annotated[str, _regex_with("group")] | None = Field(
        None, description="regular expression whose group `group` names the patient or series of a path"
    )
    max_undecodable: Annotated[float, Field(ge=0, le=1)] = Field(
        0.01, description="share of images that may fail to decode before the run stops"
    )
    synthetic: Synthetic | None = None


class Split(Settings):
    """Sizes of the held-out parts, as counts or shares; the rest trains."""

    test: Amount
    validation: Amount
    seed: Annotated[int, Field(ge=0)] = 42

    @model_validator(mode="after")
    def _leaves_some(self):
        shares = [amount for amount in (self.test, self.validation) if isinstance(amount, float)]
        if sum(shares) >= 1:
            raise ValueError("test and validation leave nothing to train on")
        return self


class Image(Settings):
    """How an image becomes a tensor."""

    size: Annotated[int, Field(ge=32, le=1024)] = Field(224, description="side in pixels")
    interpolation: Literal["nearest", "bilinear", "bicubic", "box", "lanczos"] = "bilinear"


class Weights(Settings):
    """A state-dict file: torchvision's own by name, or the user's with its sha256. Headless files are fine."""

    file: str = Field(description="file name (looked up in the mirror, else fetched) or a path")
    sha256: Sha256 | None = Field(None, description="may be left out for torchvision's own files")
    url: str | None = Field(None, description="where to fetch it; torchvision's own place by default")
    note: str = Field("", description="what these weights are, shown wherever results are")

    @model_validator(mode="after")
    def _verifiable(self):
        if self.sha256 is None and not re.search(r"-[0-9a-f]{8}\.pth$", self.file):
            raise ValueError("needs a sha256 (only torchvision's own files carry theirs in the name)")
        return self


ModelName = Annotated[str, AfterValidator(_torchvision_name)]


class Training(Settings):
    """Everything that shapes one training, but for data, weights and seed: a point of the grid.

    The order of the fields is the order of the axes in tables and figures.
    """

    model: ModelName
    mode: Literal["head_only"]
    loss: Literal["cross_entropy"]
    optimizer: Literal["adamw", "adam", "sgd", "rmsprop"]
    weight_decay: Annotated[float, Field(ge=0)]
    momentum: Annotated[float, Field(ge=0, lt=1)]
    epochs: PositiveInt
    batch_size: PositiveInt
    lr: Annotated[float, Field(gt=0)]


def _one(field: FieldInfo) -> Any:
    return Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation


def _many(field: FieldInfo) -> Any:
    return Annotated[list[_one(field)], Field(min_length=1), AfterValidator(_unique)]


Fixed = create_model(
    "Fixed",
    __base__=Settings,
    __doc__="Settings of `Training` that stay the same in every cell.",
    **{name: (_one(field) | None, None) for name, field in Training.model_fields.items()},
)
Axes = create_model(
    "Axes",
    __base__=Settings,
    __doc__="Settings of `Training` that vary: the grid is the product of the lists.",
    **{name: (_many(field) | None, None) for name, field in Training.model_fields.items()},
)


class Study(Settings):
    """Dataset, protocol, grid and fixed settings of one published study."""

    title: str
    document: str = Field(description="what is being re-run: authors, title, place")
    dataset: Key
    protocol: Literal["clean", "published"] = "clean"
    split: Split
    image: Image = Image()
    normalisation: Literal["imagenet", "none"] = "imagenet"
    fixed: Fixed
    axes: Axes = Field(description="at least one")
    replicates: Annotated[int, Field(ge=1, le=1000)] = Field(5, description="seeds 0, 1, 2, …")
    select: Literal["validation_loss", "validation_accuracy"] = Field(
        "validation_loss", description="what picks the best epoch of a training"
    )
    weights: dict[ModelName, Weights | Literal["random"]] = Field(
        {}, description="in place of the weights named at the top, per model"
    )

    @model_validator(mode="after")
    def _each_setting_once(self):
        if not self.axis_names:
            raise ValueError("axes is empty: a study varies something, if only one value of it")
        for name in Training.model_fields:
            fixed, axis = getattr(self.fixed, name), getattr(self.axes, name)
            if fixed is None and axis is None:
                raise ValueError(f"'{name}' stands neither in fixed nor in axes")
            if fixed is not None and axis is not None:
                raise ValueError(f"'{name}' stands both in fixed and in axes")
        return self

    @property
    def axis_names(self) -> list[str]:
        return [name for name in Training.model_fields if getattr(self.axes, name) is not None]

    @property
    def models(self) -> list[str]:
        return self.axes.model or [self.fixed.model]


class Params(Settings):
    """The whole of `params.yaml`."""

    source: Literal["real", "synthetic"] = "real"
    mirror: str | None = Field(None, description="folder that stands in for every download")
    device: Literal["auto", "cpu", "cuda"] = "auto"
    results: str = Field("results", min_length=1, description="folder of the outputs")
    data: str = Field(
        "data", min_length=1, description="folder of downloads, tensors, features, checkpoints and logs"
    )
    run: Annotated[list[Key], Field(min_length=1), AfterValidator(_unique)] = Field(
        description="studies that a run without a named target builds"
    )
    weights: dict[ModelName, Weights | Literal["random"]] = Field(description="per model, for every study")
    datasets: dict[Key, Dataset]
    studies: dict[Key, Study]

    @model_validator(mode="after")
    def _references(self):
        for key in self.run:
            if key not in self.studies:
                raise ValueError(f"run: no study is named '{key}'")
        for key, study in self.studies.items():
            if study.dataset not in self.datasets:
                raise ValueError(f"studies.{key}.dataset: no data set is named '{study.dataset}'")
            if self.source == "synthetic" and self.datasets[study.dataset].synthetic is None:
                raise ValueError(f"datasets.{study.dataset}: source is synthetic, but it has no synthetic block")
            for name in study.models:
                if name not in self.weights and name not in study.weights:
                    raise ValueError(f"studies.{key}: no weights are named for {name}; add weights.{name}")
        return self

    def weights_of(self, study: str, model: str) -> Weights | Literal["random"]:
        return self.studies[study].weights.get(model) or self.weights[model]


def _place(location: tuple) -> str:
    # pydantic puts the name of a union's branch or a validator into the location; keys and indices remain
    parts = [part for part in location if isinstance(part, int) or re.fullmatch(r"[\w.-]+", part)]
    branches = {"int", "float", "Weights"}
    text = ""
    for part in parts:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part not in branches:
            text += f".{part}" if text else part
    return text


def _message(error: dict) -> str:
    text = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        text = "unknown key"
        fields = {name for model in Settings.__subclasses__() for name in model.model_fields}
        near = difflib.get_close_matches(str(error["loc"][-1]), fields, n=1)
        text += f"; did you mean '{near[0]}'?" if near else ""
    elif error["type"] == "missing":
        text = "this key is missing"
    elif isinstance(error["input"], str | int | float | bool | None):
        text += f" (it is {error['input']!r})"
    return text


def load(config: dict) -> Params:
    """Check a configuration as Snakemake merged it.

    Raises MedgridError that names the place of every fault, such as `studies.stroke.axes.lr[1]`.
    """
    try:
        return Params.model_validate(config)
    except ValidationError as error:
        lines: dict[str, None] = {}
        for fault in error.errors():
            # where a word or a block may stand, both branches complain; the block's complaint is the useful one
            branch = str(fault["loc"][-1]) if fault["loc"] else ""
            if branch.startswith("literal[") and isinstance(fault["input"], dict):
                continue
            place = _place(fault["loc"])
            lines[f"  {place}: {_message(fault)}" if place else f"  {_message(fault)}"] = None
        found = "a fault" if len(lines) == 1 else f"{len(lines)} faults"
        raise MedgridError(f"params.yaml, with its overrides, has {found}:\n" + "\n".join(lines)) from None


def read_yaml(path: str | Path) -> dict:
    """Read a YAML mapping; raises MedgridError with file, line and column where it is broken."""
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MedgridError(f"{path} does not exist; run from the project's folder") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}, column {mark.column + 1}" if mark else str(path)
        raise MedgridError(f"{where}: not YAML: {getattr(error, 'problem', None) or error}") from None
    if not isinstance(content, dict):
        raise MedgridError(f"{path}: expected keys and values, found {type(content).__name__}")
    return content


def schema() -> str:
    """JSON schema of `params.yaml`, for editors; kept in `workflow/schemas/`, in sync by a test."""
    return json.dumps(Params.model_json_schema(), indent=2, ensure_ascii=False) + "\n"
