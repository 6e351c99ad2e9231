"""Settings of the claims of a study, which its replicates can support, contradict or leave open.

Each kind of test is a class here and a function in `medgrid.evaluation.claim_kinds`.
"""

import itertools
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from medgrid.config.base import Settings
from medgrid.config.metrics import COMPARED, CURVES, SIZES
from medgrid.config.training import Extra

if TYPE_CHECKING:  # a type checker cannot evaluate the table of metrics
    MetricName = CurveName = SizeName = str
else:
    MetricName, CurveName, SizeName = Literal[COMPARED], Literal[CURVES], Literal[SIZES[:3]]
Margin = Annotated[float, Field(gt=0)]
Factor = Annotated[float, Field(ge=1)]
# settings that are numbers: others have no lowest and highest value
Axis = Literal[
    "unfrozen", "views", "weight_decay", "momentum", "step_size", "gamma", "patience", "epochs", "batch_size", "lr"
]  # fmt: skip


class _Test(Settings):
    """One comparison. Cells are selected by their settings, values or lists of them, and averaged.

    Two groups of cells are compared at those values of their other axes that both have.
    """

    of: Extra = Field(Extra(), description="among these cells only")


class _OfGroups(_Test):
    """A comparison of groups with each other."""

    settings: list[Extra]

    @model_validator(mode="after")
    def _groups_differ(self):
        if any(one == other for one, other in itertools.combinations(self.settings, 2)):
            raise ValueError("settings: the same group is listed twice")
        return self


class WithMargin(_Test):
    margin: Margin | None = Field(None, description="margin of practical equivalence, instead of the study's")


class OfMetric(WithMargin):
    metric: MetricName | None = Field(None, description="instead of the study's; of the test set, at the best epoch")


class Better(OfMetric):
    by_at_least: Margin | None = Field(None, description="better by at least this; by default, better at all")


class InStrata(_Test):
    each: bool = Field(
        False, description="at each value of the other axes (for one group: in each cell), not only on average"
    )


class Best(Better, InStrata):
    """These settings are better (worse) than each other combination of values for them, or than the given rivals."""

    kind: Literal["best", "worst"]
    settings: Extra
    rivals: list[Extra] = Field([], description="instead of all other combinations")
    without: Extra = Field(Extra(), description="cells that are no rivals, such as those that a document did not try")

    @model_validator(mode="after")
    def _rivals_once(self):
        if self.rivals and self.without != Extra():
            raise ValueError("set rivals or without, not both")
        return self


class Order(_OfGroups, Better, InStrata):
    """Each group is better than the next."""

    kind: Literal["order"]
    settings: list[Extra] = Field(min_length=2)


class Equal(_OfGroups, OfMetric, InStrata):
    """No two groups differ by the margin or more."""

    kind: Literal["equal"]
    settings: list[Extra] = Field(min_length=2)


class NoBetter(_OfGroups, OfMetric, InStrata):
    """The first group is not better than the second by the margin or more."""

    kind: Literal["no_better"]
    settings: Annotated[list[Extra], Field(min_length=2, max_length=2)]


class Trend(Better, InStrata):
    """The metric improves (up) or gets worse (down) from the lowest to the highest value of an axis of numbers."""

    kind: Literal["trend"]
    axis: Axis
    direction: Literal["up", "down"]


class Interaction(_OfGroups, Better):
    """Along the axis, the metric improves more in the first group of cells than in the second."""

    kind: Literal["interaction"]
    axis: Axis
    settings: Annotated[list[Extra], Field(min_length=2, max_length=2)]


class Chance(WithMargin, InStrata):
    """These cells do not learn: their balanced accuracy on the test set equals chance, up to the margin."""

    kind: Literal["chance"]
    settings: Extra


class Noisier(_OfGroups, InStrata):
    """Curves of the first group are less smooth than those of the second: their slope changes more between epochs.

    A smooth rise, however steep, is not rough.
    """

    kind: Literal["noisier"]
    settings: Annotated[list[Extra], Field(min_length=2, max_length=2)]
    curve: CurveName = "validation_accuracy"


class GeneralizationGap(WithMargin, InStrata):
    """Training minus validation accuracy after the last epoch is above, below or about a value."""

    kind: Literal["generalization_gap"]
    settings: Extra
    above: float | None = None
    below: float | None = None
    about: float | None = Field(None, description="up to the margin")

    @model_validator(mode="after")
    def _one_bound(self):
        if sum(value is not None for value in (self.above, self.below, self.about)) != 1:
            raise ValueError("set exactly one of above, below and about")
        if self.margin and self.about is None:
            raise ValueError("margin is only valid with about, not with above or below")
        return self


class Overfits(InStrata):
    """Validation loss rises by a factor after its minimum. A rise of training loss since then is subtracted."""

    kind: Literal["overfits"]
    settings: Extra
    above: Factor | None = Field(None, description="it does, by more than this factor")
    below: Factor | None = Field(None, description="it does not, or by less than this factor")

    @model_validator(mode="after")
    def _one_bound(self):
        if (self.above is None) == (self.below is None):
            raise ValueError("set exactly one of above and below")
        return self


class OverfitsSooner(_OfGroups, InStrata):
    """The first group has its lowest validation loss in an earlier epoch than the second."""

    kind: Literal["overfits_sooner"]
    settings: Annotated[list[Extra], Field(min_length=2, max_length=2)]


class LearnsSlower(_OfGroups, InStrata):
    """Over the first epochs, curves of the first group are worse, on average, than those of the second."""

    kind: Literal["learns_slower"]
    settings: Annotated[list[Extra], Field(min_length=2, max_length=2)]
    epochs: PositiveInt = 10
    curve: CurveName = "validation_accuracy"


class Plateau(WithMargin, InStrata):
    """From this epoch to the last one, the curves change by less than the margin."""

    kind: Literal["plateau"]
    settings: Extra = Extra()
    after: PositiveInt = Field(description="epoch")
    curve: CurveName = "validation_accuracy"


class Speed(InStrata):
    """These settings train faster (slower) per epoch than each other combination of values for them."""

    kind: Literal["fastest", "slowest"]
    settings: Extra
    factor: tuple[Factor, Factor] | None = Field(None, description="faster (slower) by a factor between these two")

    @model_validator(mode="after")
    def _ascending(self):
        if self.factor and self.factor[0] >= self.factor[1]:
            raise ValueError("factor: the first number must be smaller than the second")
        return self


class Correlated(_Test):
    """Networks with more parameters do better: Spearman's rank correlation over the models is above 0.

    Sizes and results of a model's cells are averaged, and the sizes are permuted over the models. With fewer than
    five models, no order is certain.
    """

    kind: Literal["correlated"]
    metric: MetricName | None = Field(None, description="instead of the study's; of the test set, at the best epoch")
    size: SizeName = "trainable"


Test = Annotated[
    Best
    | Order
    | Equal
    | NoBetter
    | Trend
    | Interaction
    | Chance
    | Noisier
    | GeneralizationGap
    | Overfits
    | OverfitsSooner
    | LearnsSlower
    | Plateau
    | Speed
    | Correlated,
    Field(discriminator="kind"),
]


class Claim(Settings):
    """A sentence of a document, and the tests that must all hold."""

    text: str = Field(min_length=1, description="the claim, in a sentence")
    source: str = Field("", description='where the document says so, or "ours"')
    tests: list[Test] = Field(min_length=1)


class NotJudged(Settings):
    """An assertion of a document that no claim tests."""

    text: str = Field(min_length=1, description="what is asserted, in a sentence")
    source: str = Field(min_length=1, description="where the document says so")
    reason: str = Field(min_length=1, description="why it is not tested")


class Criterion(Settings):
    """The metric of a study's claims, and the difference that matters."""

    metric: MetricName = "test_accuracy"
    margin: Margin = Field(
        0.01, description="margin of practical equivalence: smaller differences of the metric do not matter"
    )
