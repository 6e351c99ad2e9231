"""Settings of networks and of their training."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PositiveInt, create_model, model_validator
from pydantic.fields import FieldInfo

from medgrid.config.base import Key, Settings, Sha256, torchvision_name, unique


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
    """A network: a torchvision backbone, a list of layers, or both. An output layer for the classes always follows."""

    backbone: Annotated[str, AfterValidator(torchvision_name)] | None = Field(
        None, description="torchvision classifier; without layers it keeps its own, with the output replaced"
    )
    layers: list[Layer] = Field(
        [], description="on the backbone's last feature map, or on the image itself where there is no backbone"
    )

    @model_validator(mode="after")
    def _plateau(self):
        if self.backbone is None and not self.layers:
            raise ValueError("needs a backbone, layers, or both")
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
        first = "global_average" if self.backbone else "flatten"
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
        "`unfrozen` Keras layers or convolution blocks of the backbone"
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
        """Whether the backbone stays as it is."""
        return self.mode == "head_only" or (self.mode in ("last_layers", "last_blocks") and self.unfrozen == 0)

    @property
    def outputs(self) -> int | None:
        """Logits that the loss fixes; None: one for each class."""
        return 1 if self.loss == "binary_cross_entropy" else None


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Optimizer steps of an epoch. A single image left over is not a batch (see `medgrid.training.loop`)."""
    steps = -(-images // batch_size)
    return steps - (images % batch_size == 1 and steps > 1 and batch_size > 1)


def _one(field: FieldInfo) -> Any:
    return Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation


def _many(field: FieldInfo) -> Any:
    return Annotated[list[_one(field)], Field(min_length=1), AfterValidator(unique)]


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
