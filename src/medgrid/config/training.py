"""Settings of networks and of their training."""

import re
from collections.abc import Callable
from types import GenericAlias
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field, PositiveInt, create_model, model_validator
from pydantic.fields import FieldInfo

from medgrid.config.base import Key, Settings, Sha256, torchvision_name, unique
from medgrid.config.optimizers import OPTIMIZERS

if TYPE_CHECKING:  # a type checker cannot evaluate the table
    OptimizerName = str
else:
    OptimizerName = Literal[tuple(OPTIMIZERS)]


class Augmentation(Settings):
    """Random changes to training images, drawn for each image and epoch; 0 turns an operation off.

    Each field is an operation: the function of the same name in `medgrid.models.augment`.
    """

    rotation: Annotated[float, Field(ge=0, le=180)] = Field(
        0.0, description="largest angle in degrees; angles are uniform in both directions"
    )
    horizontal_flip: Annotated[float, Field(ge=0, le=1)] = Field(0.0, description="probability")
    vertical_flip: Annotated[float, Field(ge=0, le=1)] = Field(0.0, description="probability")
    zoom: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="largest relative change of size; factors are uniform in 1 - zoom to 1 + zoom"
    )
    brightness: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="largest relative change of pixel values; factors are uniform, as for zoom"
    )

    @model_validator(mode="after")
    def _does_something(self):
        if not any(self.model_dump().values()):
            raise ValueError("all operations are 0; remove it and use augmentation: none")
        return self


class Layer(Settings):
    """One layer of a head or a network: an operation, then activation, batch_norm and dropout, in this order."""

    conv: PositiveInt | None = Field(
        None, description="output channels of a convolution, padded to keep the size of the map"
    )
    dense: PositiveInt | None = Field(None, description="units of a fully connected layer")
    pool: Literal["max", "global_average", "flatten"] | None = Field(
        None, description="max: 2 x 2 pixels; the others turn maps into vectors"
    )
    kernel: PositiveInt = Field(3, description="size of the convolution, odd")
    activation: Literal["relu", "leaky_relu"] | None = None
    batch_norm: bool = False
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    l1: Annotated[float, Field(ge=0)] = Field(
        0.0, description="factor of the sum of absolute weights (without bias) in the loss"
    )
    l2: Annotated[float, Field(ge=0)] = Field(
        0.0, description="factor of the sum of squared weights in the loss, as in Keras"
    )

    @model_validator(mode="after")
    def _one_operation(self):
        operations = [name for name in ("conv", "dense", "pool") if getattr(self, name) is not None]
        if len(operations) > 1:
            raise ValueError(f"{' and '.join(operations)} cannot be in one layer; write two")
        if not operations and not (self.activation or self.batch_norm or self.dropout):
            raise ValueError("is not a layer; set conv, dense, pool, activation, batch_norm or dropout")
        if (self.l1 or self.l2) and not (self.conv or self.dense):
            raise ValueError("l1 and l2 apply to layers with weights: conv or dense")
        if self.kernel % 2 == 0:
            raise ValueError("kernel must be odd")
        return self


class Model(Settings):
    """A network: a torchvision backbone, a list of layers, or both. A linear output layer is always appended."""

    backbone: Annotated[str, AfterValidator(torchvision_name)] | None = Field(
        None, description="a torchvision classifier; without `layers`, only its output layer is replaced"
    )
    layers: list[Layer] = Field(
        [], description="applied to the backbone's last feature map, or to the image if there is no backbone"
    )

    @model_validator(mode="after")
    def _flat_before_output(self):
        if self.backbone is None and not self.layers:
            raise ValueError("set backbone, layers, or both")
        flat = False
        for i, layer in enumerate(self.layers):
            if layer.pool in ("global_average", "flatten"):
                flat = True
            elif flat and (layer.conv or layer.pool):
                raise ValueError(f"layers[{i}] needs a feature map, but an earlier layer flattens it")
            elif not flat and layer.dense:
                raise ValueError(f"layers[{i}]: dense needs {{pool: global_average}} or {{pool: flatten}} before it")
        if self.layers and not flat:
            raise ValueError("layers need {pool: global_average} or {pool: flatten} before the output layer")
        return self

    @property
    def dense(self) -> bool:
        """Whether all layers apply to vectors: to pooled features, or to the pixels of an image as one vector."""
        first = "global_average" if self.backbone else "flatten"
        return not self.layers or (
            self.layers[0].pool == first and not any(layer.conv or layer.pool for layer in self.layers[1:])
        )


class Weights(Settings):
    """A file with the state dict of a backbone: torchvision's, by name, or any other, with its sha256.

    The output layer may be missing.
    """

    file: str = Field(description="a file name (searched in the mirror folder, then downloaded) or a path")
    sha256: Sha256 | None = Field(None, description="optional for torchvision's files")
    url: str | None = Field(None, description="download address; by default torchvision's server")
    note: str = Field("", description="what these weights are; shown with the results")

    @model_validator(mode="after")
    def _verifiable(self):
        if self.sha256 is None and not re.search(r"-[0-9a-f]{8}\.pth$", self.file):
            raise ValueError("sha256 is missing (only torchvision's files have their hash in the name)")
        return self


class Training(Settings):
    """All settings of one training except data, weights and seed: a point of the grid.

    The order of the fields is the order of the axes in tables and figures.
    """

    model: Key = Field(description="a torchvision classifier, or one of the study's models")
    mode: Literal["head_only", "full", "scratch", "last_layers", "last_blocks"] = Field(
        description="what trains. head_only: the head; full: everything; scratch: everything, from random weights; "
        "last_layers, last_blocks: the head and the last `unfrozen` Keras layers or convolution blocks"
    )
    unfrozen: Annotated[int, Field(ge=0)] = 0
    augmentation: Key = Field("none", description="none, or a key of the top-level augmentations")
    views: Annotated[int, Field(ge=0)] = Field(
        0,
        description="0: images are augmented in each epoch; otherwise number of cached augmented views per image",
    )
    normalisation: Literal["own", "imagenet", "symmetric", "unit"] = Field(
        "own",
        description="own: that of torchvision's weights; imagenet: ImageNet's mean and standard deviation; "
        "symmetric: -1 to 1; unit: 0 to 1",
    )
    loss: Literal["cross_entropy", "binary_cross_entropy"] = "cross_entropy"
    optimizer: OptimizerName
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="of " + ", ".join(name for name, row in OPTIMIZERS.items() if "momentum" in row.takes)
    )
    scheduler: Literal["none", "step", "multistep", "cosine", "plateau"] = "none"
    step_size: PositiveInt | None = Field(None, description="epochs between steps; for plateau: its patience")
    milestones: tuple[PositiveInt, ...] | None = Field(
        None, description="epochs after which multistep lowers the learning rate"
    )
    gamma: Annotated[float, Field(gt=0, lt=1)] = Field(0.1, description="factor of the learning rate at each step")
    patience: Annotated[int, Field(ge=0)] = Field(
        0, description="epochs without a better score after which training stops; 0: no early stopping"
    )
    epochs: PositiveInt
    batch_size: PositiveInt
    lr: Annotated[float, Field(gt=0)]

    @property
    def frozen(self) -> bool:
        """Whether no weight of the backbone trains."""
        return self.mode == "head_only" or (self.mode in ("last_layers", "last_blocks") and self.unfrozen == 0)

    @property
    def outputs(self) -> int | None:
        """Number of logits, if the loss determines it; None: one per class."""
        return 1 if self.loss == "binary_cross_entropy" else None


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Optimizer steps of an epoch. A single image left over is not a batch (see `medgrid.training.loop`)."""
    steps = -(-images // batch_size)
    return steps - (images % batch_size == 1 and steps > 1 and batch_size > 1)


def _value(field: FieldInfo) -> Any:
    annotation: Any = field.annotation
    return Annotated[annotation, *field.metadata] if field.metadata else annotation


def _list(field: FieldInfo) -> Any:
    values: Any = GenericAlias(list, (_value(field),))
    return Annotated[values, Field(min_length=1), AfterValidator(unique)]


def _value_or_list(field: FieldInfo) -> Any:
    return _list(field) | _value(field)


def _each_optional(kind: Callable[[FieldInfo], Any]) -> dict[str, Any]:
    """An optional field for each field of `Training`; `kind` makes its type."""
    return {name: (kind(field) | None, None) for name, field in Training.model_fields.items()}


class _OfTraining(Settings):
    """Base of the classes whose fields are made of those of `Training`."""

    if TYPE_CHECKING:  # a type checker does not see these fields

        def __getattr__(self, name: str) -> Any: ...


Fixed = create_model(
    "Fixed",
    __base__=_OfTraining,
    __doc__="Settings of `Training` that are the same in every cell.",
    **_each_optional(_value),
)
Axes = create_model(
    "Axes",
    __base__=_OfTraining,
    __doc__="Settings of `Training` that vary. The grid is the product of the lists.",
    **_each_optional(_list),
)
Extra = create_model(
    "Extra",
    __base__=_OfTraining,
    __doc__="Additional cells: settings that differ from `fixed`, as values or as lists, whose product is taken.",
    **_each_optional(_value_or_list),
)
