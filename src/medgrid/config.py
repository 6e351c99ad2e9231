"""`params.yaml` as typed settings, checked once, before any rule exists.

Everything here is cheap to import: every Snakemake process and every cluster job parses it again.
"""

import difflib
import json
import re
from collections.abc import Hashable, Iterable
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


def _torchvision_name(name: str, others: Iterable[str] = ()) -> str:
    if name not in TORCHVISION and name not in others:
        near = difflib.get_close_matches(name, [*TORCHVISION, *others], n=3)
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

    template: str | dict[str, str] = Field(
        description="member path with {split}, {label}, {subject}, {n} and {id}; or one for each class"
    )
    splits: dict[str, Annotated[float, Field(gt=0, le=1)]] = Field(
        {"": 1.0}, min_length=1, description="name of each original split and its share of the images"
    )
    formats: list[Literal["jpeg", "png", "rgba", "palette", "tiff", "grey"]] = Field(
        ["grey"],
        min_length=1,
        description="files in turn: jpeg and grey are JPEG in colour and grey, tiff is colour, the rest PNG",
    )
    litter: bool = Field(False, description="add what archivers leave behind: .DS_Store, __MACOSX")
    unlabelled: Annotated[int, Field(ge=0)] = Field(0, description="further images without a label")
    unlabelled_template: str = Field("test/{id}.tif", description="member path of those, with {n} and {id}")
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
        templates = self.template.values() if isinstance(self.template, dict) else [self.template]
        try:
            for template in templates:
                template.format(split="", label="", subject="", n=0, id="")
            self.unlabelled_template.format(n=0, id="")
        except (AttributeError, KeyError, IndexError, ValueError):
            raise ValueError("template may use {split}, {label}, {subject}, {n} and {id} only") from None
        return self


class LabelTable(Settings):
    """A CSV inside the archive that names the class of each image."""

    file: str
    id: str = Field("id", description="column that holds what the group `id` of `images` matches")
    label: str = Field("label", description="column of the class")
    values: dict[str, str] = Field({}, description="class that a value of this column stands for, if not itself")


class Dataset(Settings):
    """Images with labels and, where known, groups."""

    title: str
    kaggle: Kaggle | None = None
    folder: str | None = Field(None, description="a folder or zip of one's own, in place of Kaggle")
    sha256: Sha256 | None = Field(
        None, description="digest of the archive's content, as `medgrid digest` prints it; may be left out for Kaggle"
    )
    license: str = "unknown"
    note: str = Field("", description="what sets this copy apart, shown wherever results are")
    show_images: bool = Field(False, description="the licence allows sample images in reports")
    classes: Annotated[list[str], Field(min_length=2), AfterValidator(_unique)]
    images: Annotated[str, _regex_with()] = Field(
        r"^(?P<label>[^/]+)/.+\.\w+$",
        description="regular expression for image paths, with a named group label (or id, where a table holds the "
        "labels) and, optionally, split",
    )
    labels: LabelTable | None = None
    ids: Literal["sha1"] | None = Field(None, description="what ids are made from: the sha1 of the pixels")
    unlabelled: Annotated[str, _regex_with("id")] | None = Field(
        None, description="regular expression for images to predict, without a label, as competitions have them"
    )
    group: Annotated[str, _regex_with("group")] | None = Field(
        None, description="regular expression whose group `group` names the patient or series of a path"
    )
    max_undecodable: Annotated[float, Field(ge=0, le=1)] = Field(
        0.01, description="share of images that may fail to decode before the run stops"
    )
    synthetic: Synthetic | None = None

    @model_validator(mode="after")
    def _complete(self):
        if (self.kaggle is None) == (self.folder is None):
            raise ValueError("names where its images are: either kaggle or folder")
        if self.folder is not None and self.sha256 is None:
            raise ValueError(
                f"a folder needs its sha256, so that results name their data: medgrid digest {self.folder}"
            )
        needed = "id" if self.labels else "label"
        if needed not in re.compile(self.images).groupindex:
            raise ValueError(f"images lacks the named group (?P<{needed}>…)")
        if self.ids and "id" not in re.compile(self.images).groupindex:
            raise ValueError("ids: images lacks the named group (?P<id>…)")
        return self


class Split(Settings):
    """Sizes of the held-out parts, as counts or shares; the rest trains."""

    test: Amount
    validation: Amount | Literal["test"] = Field(
        description="`test`: the test images validate too, a flaw that some studies have"
    )
    use: Amount | None = Field(None, description="how many of the images, or what share; all by default")
    balanced: bool = Field(False, description="leave out images until every class has as many as the smallest")
    seed: Annotated[int, Field(ge=0)] = 42

    @model_validator(mode="after")
    def _leaves_some(self):
        shares = [amount for amount in (self.test, self.validation) if isinstance(amount, float)]
        if sum(shares) >= 1:
            raise ValueError("test and validation leave nothing to train on")
        return self


class Image(Settings):
    """How an image becomes a tensor."""

    size: Annotated[int, Field(ge=8, le=1024)] = Field(224, description="side in pixels")
    interpolation: Literal["nearest", "bilinear", "bicubic", "box", "lanczos", "area"] = Field(
        "bilinear", description="area is OpenCV's INTER_AREA, the others are Pillow's"
    )
    colour: Literal["rgb", "grey"] = "rgb"


class Augmentation(Settings):
    """Random changes to a training image, each drawn anew for every image and epoch."""

    rotation: Annotated[float, Field(ge=0, le=180)] = Field(0.0, description="degrees at most, either way, uniform")
    horizontal_flip: Annotated[float, Field(ge=0, le=1)] = Field(0.0, description="how often")
    vertical_flip: Annotated[float, Field(ge=0, le=1)] = Field(0.0, description="how often")
    zoom: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description="share at most, in or out, uniform")
    brightness: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description="share at most, either way, uniform")

    @model_validator(mode="after")
    def _does_something(self):
        if not any(self.model_dump().values()):
            raise ValueError("changes nothing; leave it out, and say augmentation: none")
        return self


class Layer(Settings):
    """One layer of a head or a plain network: an operation, then activation, batch_norm, dropout, in this order."""

    conv: PositiveInt | None = Field(None, description="channels of a convolution with padding")
    dense: PositiveInt | None = Field(None, description="units of a fully connected layer")
    pool: Literal["max", "global_average", "flatten"] | None = Field(None, description="max halves the sides")
    kernel: PositiveInt = Field(3, description="side of the convolution, odd")
    activation: Literal["relu", "leaky_relu"] | None = None
    batch_norm: bool = False
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    l1: Annotated[float, Field(ge=0)] = Field(0.0, description="penalty on the layer's weights, without its bias")
    l2: Annotated[float, Field(ge=0)] = Field(0.0, description="likewise: factor of the sum of squares, as in Keras")

    @model_validator(mode="after")
    def _one_operation(self):
        operations = [name for name in ("conv", "dense", "pool") if getattr(self, name) is not None]
        if len(operations) > 1:
            raise ValueError(f"{' and '.join(operations)} are two layers")
        if not operations and not (self.activation or self.batch_norm or self.dropout):
            raise ValueError("is no layer: name conv, dense, pool, activation, batch_norm or dropout")
        if (self.l1 or self.l2) and not (self.conv or self.dense):
            raise ValueError("l1 and l2 need weights: a conv or dense layer")
        if self.kernel % 2 == 0:
            raise ValueError("kernel is even; padding then has no middle")
        return self


class Model(Settings):
    """A network: a torchvision base, a list of layers, or both. An output layer for the classes always follows."""

    base: Annotated[str, AfterValidator(_torchvision_name)] | None = Field(
        None, description="torchvision classifier; without layers it keeps its own, with the output replaced"
    )
    layers: list[Layer] = Field(
        [], description="on the base's last feature map, or on the image itself where there is no base"
    )

    @model_validator(mode="after")
    def _flat(self):
        if self.base is None and not self.layers:
            raise ValueError("needs a base, layers, or both")
        flat = False
        for i, layer in enumerate(self.layers):
            if layer.pool in ("global_average", "flatten"):
                flat = True
            elif flat and (layer.conv or layer.pool):
                raise ValueError(f"layers[{i}] works on maps, which an earlier layer has made flat")
            elif not flat and layer.dense:
                raise ValueError(f"layers[{i}]: dense needs {{pool: global_average}} or {{pool: flatten}} before it")
        if self.layers and not flat:
            raise ValueError("layers need {pool: global_average} or {pool: flatten} before the output")
        return self

    @property
    def dense(self) -> bool:
        """Whether all layers work on flat features, or on an image's pixels one by one."""
        first = "global_average" if self.base else "flatten"
        return not self.layers or (
            self.layers[0].pool == first and not any(layer.conv or layer.pool for layer in self.layers[1:])
        )


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


class Training(Settings):
    """Everything that shapes one training, but for data, weights and seed: a point of the grid.

    The order of the fields is the order of the axes in tables and figures.
    """

    model: Key = Field(description="a torchvision classifier, or one of the study's models")
    mode: Literal["head_only", "full", "scratch", "last_layers", "last_blocks"] = Field(
        description="what trains: the head; everything; everything from random weights; the head and the last "
        "`unfrozen` Keras layers or convolution blocks of the base"
    )
    unfrozen: Annotated[int, Field(ge=0)] = 0
    augmentation: Key = Field("none", description="one of the augmentations named at the top")
    views: Annotated[int, Field(ge=0)] = Field(
        0, description="0: augmented anew in every epoch; else so many augmented views of each image, made once"
    )
    normalisation: Literal["own", "imagenet", "symmetric", "unit"] = Field(
        "own", description="what torchvision's weights want; mean and deviation of ImageNet; -1 to 1; 0 to 1"
    )
    loss: Literal["cross_entropy", "binary_cross_entropy"] = "cross_entropy"
    optimizer: Literal["adamw", "adam", "sgd", "rmsprop"]
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description="of sgd and rmsprop")
    scheduler: Literal["none", "step", "multistep", "cosine", "plateau"] = "none"
    step_size: PositiveInt | None = Field(None, description="epochs between steps, or a plateau's patience")
    milestones: tuple[PositiveInt, ...] | None = Field(None, description="epochs after which multistep steps")
    gamma: Annotated[float, Field(gt=0, lt=1)] = Field(0.1, description="factor of the rate at each step")
    patience: Annotated[int, Field(ge=0)] = Field(
        0, description="epochs without a better score after which training stops; 0: never early"
    )
    epochs: PositiveInt
    batch_size: PositiveInt
    lr: Annotated[float, Field(gt=0)]

    @property
    def frozen(self) -> bool:
        """Whether the base stays as it is."""
        return self.mode == "head_only" or (self.mode in ("last_layers", "last_blocks") and self.unfrozen == 0)

    @property
    def outputs(self) -> int | None:
        """Logits that the loss fixes; None: one for each class."""
        return 1 if self.loss == "binary_cross_entropy" else None


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
Extra = create_model(
    "Extra",
    __base__=Settings,
    __doc__="Further cells: settings that differ from `fixed`, as values or as lists whose product is taken.",
    **{name: (_many(field) | _one(field) | None, None) for name, field in Training.model_fields.items()},
)


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

    @model_validator(mode="after")
    def _rectangular(self):
        width = len(self.by) + len(self.metrics)
        for i, row in enumerate(self.rows):
            if len(row) != width:
                raise ValueError(f"rows[{i}] has {len(row)} fields; by and metrics name {width}")
        return self


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
    weights: dict[Key, Weights | Literal["random", "settled"]] = Field(
        {}, description="in place of the weights named at the top, per model"
    )
    pack: Literal["replicate", "cell", "model"] = Field(
        "cell", description="what one job trains, where whole networks are trained"
    )
    keep_weights: Literal["first", "all", "none"] = Field(
        "first", description="of which replicates the trained weights are kept beside the predictions"
    )
    published: list[Published] = []

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
        for name in self.model_names:
            _torchvision_name(name, self.models)
        return self

    @property
    def constants(self) -> Settings:
        """What is fixed under the protocol that is chosen."""
        if self.protocol == "clean":
            return self.fixed
        return self.fixed.model_copy(update=self.as_published.fixed.model_dump(exclude_none=True))

    @property
    def parting(self) -> Split:
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

    def model(self, name: str) -> Model:
        """What a name stands for."""
        return self.models.get(name) or Model(base=name)


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
    weights: dict[Key, Weights | Literal["random", "settled"]] = Field(
        description="per torchvision model, for every study; random: as torchvision initialises, settled: made usable"
    )
    augmentations: dict[Key, Augmentation] = {}
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
            if self.source == "synthetic" and self.datasets[study.dataset].synthetic is None:
                raise ValueError(f"datasets.{study.dataset}: source is synthetic, but it has no synthetic block")
            for name in study.model_names:
                base = study.model(name).base
                if base is not None and {name, base}.isdisjoint({*self.weights, *study.weights}):
                    raise ValueError(f"studies.{key}: no weights are named for {base}; add weights.{base}")
            bases = {study.model(name).base for name in study.model_names}
            for name in study.weights:
                if name not in (*study.model_names, *study.models, *bases):
                    near = difflib.get_close_matches(name, [*study.model_names, *filter(None, bases)], n=1)
                    hint = f"; did you mean {near[0]}?" if near else ""
                    raise ValueError(f"studies.{key}.weights: the study has no model or base '{name}'{hint}")
        return self

    def weights_of(self, study: str, model: str) -> Weights | str:
        """Weight file of a model's base, `random` or `settled`; what has no base is random."""
        base = self.studies[study].model(model).base
        if base is None:
            return "random"
        own = self.studies[study].weights
        return own.get(model) or own.get(base) or self.weights.get(model) or self.weights[base]


def _place(location: tuple) -> str:
    # pydantic puts the name of a union's branch or a validator into the location; keys and indices remain
    parts = [part for part in location if isinstance(part, int) or re.fullmatch(r"[\w.-]+", part)]
    branches = {"int", "float", "str", "Weights", "constrained-int", "constrained-float", "constrained-str"}
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
        if near:
            text += "; it belongs elsewhere" if near[0] == error["loc"][-1] else f"; did you mean '{near[0]}'?"
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
        complaints: dict[str, list[dict]] = {}
        for fault in error.errors():
            complaints.setdefault(_place(fault["loc"]), []).append(fault)
        lines = []
        for place, faults in complaints.items():
            # where a value, a list or a block may stand, every branch complains: what was given tells which was meant
            if any(other.startswith((f"{place}.", f"{place}[")) for other in complaints) and place:
                continue
            wrong = ("list_type", "dict_type", "model_type")
            meant = [f for f in faults if f["type"] not in wrong and not isinstance(f["input"], dict)]
            texts = dict.fromkeys(_message(fault) for fault in meant or faults)
            lines.append(f"  {place}: {'; or: '.join(texts)}" if place else f"  {'; '.join(texts)}")
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
