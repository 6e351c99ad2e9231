"""Settings of data sets: where images come from, how they are read, split and resized."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PositiveInt, model_validator

from medgrid.config.base import Amount, Settings, Sha256, regex_with, unique


class Kaggle(Settings):
    """A data set or competition on Kaggle. A mirror folder holds it as `<slug>.zip`."""

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
    """Generated images in the layout of the real archive (see `medgrid.data.synthetic`)."""

    template: str | dict[str, str] = Field(
        description="member path with {split}, {label}, {subject}, {n} and {id}; or one for each class"
    )
    splits: dict[str, Annotated[float, Field(gt=0, le=1)]] = Field(
        {"": 1.0}, min_length=1, description="name of each original split and its share of the images"
    )
    formats: list[Literal["jpeg", "png", "rgba", "palette", "tiff", "grey"]] = Field(
        ["grey"],
        min_length=1,
        description="formats, in turn: jpeg and grey are JPEG in colour and grey, tiff is colour, others are PNG",
    )
    litter: bool = Field(False, description="add files that archivers create: .DS_Store, __MACOSX")
    unlabelled: Annotated[int, Field(ge=0)] = Field(0, description="further images without a label")
    unlabelled_template: str = Field("test/{id}.tif", description="member path of those, with {n} and {id}")
    images: Annotated[int, Field(ge=20)] = 240
    size: Annotated[int, Field(ge=32)] = Field(96, description="side in pixels")
    duplicates: Annotated[float, Field(ge=0, lt=0.5)] = Field(0.05, description="share of exact copies")
    per_subject: PositiveInt = Field(2, description="images of one subject")
    undecodable: Annotated[int, Field(ge=0)] = Field(0, description="how many of the files are damaged")
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _complete_shares(self):
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
    id: str = Field("id", description="column with the text that the group `id` of `images` matches")
    label: str = Field("label", description="column with the class")
    values: dict[str, str] = Field({}, description="class of each value of this column; by default, the value")


class GroupTable(Settings):
    """A CSV that names the group (patient, slide) of each image."""

    file: str = Field(description="path on this machine if `sha256` is set, otherwise a file inside the archive")
    sha256: Sha256 | None = Field(None, description="digest of a file on this machine, as sha256sum prints it")
    id: str = Field(
        "id", description="column with the text that the group `id` of `images` matches, or, without one, the path"
    )
    group: str = Field("group", description="column with the group")


class Blocks(Settings):
    """Series of a fixed length, for comparison with chains."""

    blocks: PositiveInt = Field(description="number of consecutive images of a file-name stem in one series")
    classes: list[str] | None = Field(
        None, description="classes whose file numbers follow scans, as the audit shows; all by default"
    )


Series = Literal["chains"] | Blocks | None


class Dataset(Settings):
    """Images with labels and, if known, groups (patients, slides) and series."""

    title: str
    kaggle: Kaggle | None = None
    folder: str | None = Field(None, description="a folder or zip with your own images, instead of kaggle")
    sha256: Sha256 | None = Field(
        None, description="digest of the archive's content, as `medgrid digest` prints it; optional for Kaggle"
    )
    license: str = "unknown"
    note: str = Field("", description="how this copy differs from others, shown with all results")
    show_images: bool = Field(False, description="the licence allows sample images in reports")
    classes: Annotated[list[str], Field(min_length=2), AfterValidator(unique)]
    images: Annotated[str, regex_with()] = Field(
        r"^(?P<label>[^/]+)/.+\.\w+$",
        description="regular expression for image paths, with a named group label (or id, if `labels` names a table) "
        "and, optionally, split",
    )
    labels: LabelTable | None = None
    ids: Literal["sha1"] | None = Field(None, description="how ids are computed: the sha1 of the pixels")
    unlabelled: Annotated[str, regex_with("id")] | None = Field(
        None,
        description="regular expression for images without a label, which are only predicted, as in competitions",
    )
    group: Annotated[str, regex_with("group")] | GroupTable | None = Field(
        None, description="regular expression whose group `group` is the patient or slide of a path, or a table"
    )
    series: Series = Field(
        None,
        description="where file numbers follow scans, keep consecutive images together under the clean protocol. "
        "chains: as long as they look alike; blocks: a fixed number of images",
    )
    max_undecodable: Annotated[float, Field(ge=0, le=1)] = Field(
        0.01, description="share of images that may fail to decode before the run stops"
    )
    count: PositiveInt | None = Field(
        None, description="number of images with a label, for plans before the download"
    )
    count_unlabelled: Annotated[int, Field(ge=0)] = Field(0, description="number of images without a label, likewise")
    synthetic: Synthetic | None = None

    @model_validator(mode="after")
    def _complete(self):
        if (self.kaggle is None) == (self.folder is None):
            raise ValueError("set either kaggle or folder, not both, as the source of the images")
        if self.folder is not None and self.sha256 is None:
            raise ValueError(
                f"a folder needs its sha256, which identifies the data of results: medgrid digest {self.folder}"
            )
        needed = "id" if self.labels else "label"
        if needed not in re.compile(self.images).groupindex:
            raise ValueError(f"images needs the named group (?P<{needed}>…)")
        if isinstance(self.series, Blocks) and (unknown := set(self.series.classes or ()) - set(self.classes)):
            raise ValueError(f"series.classes: there is no class '{min(unknown)}'")
        if self.ids and "id" not in re.compile(self.images).groupindex:
            raise ValueError("ids: images needs the named group (?P<id>…)")
        return self


class Split(Settings):
    """Sizes of the test and validation parts, as numbers or shares of images; all others are for training."""

    by: Literal["archive"] | None = Field(
        None,
        description="archive: test on the images whose original split (group `split` of the data set's `images`) "
        "starts with test, instead of drawing them; validation images are drawn from all others",
    )
    test: Amount | None = Field(None, description="not with `by`")
    validation: Amount | Literal["test"] = Field(
        description="`test`: the test images are also used for validation, a flaw of some studies"
    )
    use: Amount | None = Field(None, description="number or share of the images to use; all by default")
    balanced: bool = Field(False, description="use as many images of each class as the smallest class has")
    seed: Annotated[int, Field(ge=0)] = 42

    @model_validator(mode="after")
    def _leaves_some(self):
        if (self.test is None) != (self.by == "archive"):
            raise ValueError("set either test or by: archive, which determines the test images")
        shares = [amount for amount in (self.test, self.validation) if isinstance(amount, float)]
        if sum(shares) >= 1:
            raise ValueError("test and validation leave no images for training")
        return self


class Image(Settings):
    """How an image becomes a tensor."""

    size: Annotated[int, Field(ge=8, le=1024)] = Field(224, description="side in pixels")
    interpolation: Literal["nearest", "bilinear", "bicubic", "box", "lanczos", "area"] = Field(
        "bilinear", description="area is OpenCV's INTER_AREA, the others are Pillow's"
    )
    colour: Literal["rgb", "grey"] = "rgb"
