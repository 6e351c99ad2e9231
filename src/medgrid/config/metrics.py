"""The metrics: one row for each, with everything that tables, claims, figures and pages need.

To add a metric of predictions, add a row here and a function in `medgrid.evaluation.metrics`.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Metric:
    """A column of cells.csv and replicates.csv (table `cells`), of per_class.csv or of networks.csv.

    A metric of predictions is computed by the function registered as `function` in `medgrid.evaluation.metrics` from
    the predictions for `part`: `validation`, `test`, or the test part after temperature scaling (`test_scaled`) or
    without near-duplicates of training images (`test_deduplicated`). Other metrics come from the training itself.
    """

    name: str
    title: str  # in running text and figures
    short: str = ""  # in tables whose title says which part is meant; by default the title
    heading: str = ""  # column heading in the page's table of cells; empty: not in that table
    unit: Literal["share", "nats", "count", "none"] = "share"
    low: float = 0.0  # lowest possible value
    high: float = 1.0  # highest possible value
    higher_is_better: bool | None = True  # None: neither
    percent: bool = True  # whether values are shown in per cent
    cards: tuple[Literal["performance", "calibration"], ...] = ()  # tables of the model card that list it
    table: Literal["cells", "per_class", "networks"] = "cells"
    function: str = ""
    part: str = ""
    of_images: bool = False  # whether each test image's contribution is known, so that claims can use it

    @property
    def sign(self) -> int:
        """Factor that makes higher values better; 1 where there is no better."""
        return -1 if self.higher_is_better is False else 1

    @property
    def in_cells_table(self) -> bool:
        """Whether the page's table of cells shows it."""
        return bool(self.heading)

    @property
    def label(self) -> str:
        """`short`, or `title` without one."""
        return self.short or self.title

    def format(self, value: float, digits: int = 4) -> str:
        """A value as text, without unit: counts as whole numbers, percentages with two digits fewer than others."""
        if self.unit == "count":
            return f"{value:,.0f}"
        return f"{100 * value:.{digits - 2}f}" if self.percent else f"{value:.{digits}f}"


def _test(name: str, title: str, **facts: Any) -> Metric:
    return Metric(f"test_{name}", title, function=name, part="test", **facts)


def _loss(name: str, title: str, **facts: Any) -> Metric:
    return Metric(name, title, unit="nats", high=math.inf, higher_is_better=False, percent=False, **facts)


def _calibration(name: str, title: str, higher_is_better: bool | None = False, **facts: Any) -> Metric:
    return Metric(name, title, higher_is_better=higher_is_better, cards=("calibration",), **facts)


def _count(name: str, table: Literal["per_class", "networks"], **facts: Any) -> Metric:
    return Metric(name, name, unit="count", high=math.inf, higher_is_better=None, percent=False, table=table, **facts)


def _of_class(name: str, title: str, **facts: Any) -> Metric:
    return Metric(name, title, table="per_class", function=name, part="test", **facts)


_CARD, _CALIBRATION = ("performance",), ("calibration",)
# the order of columns in each table, and of rows and columns on pages
_ROWS = (
    _test("accuracy", "test accuracy", short="accuracy", heading="accuracy", cards=_CARD, of_images=True),
    Metric(
        "test_accuracy_deduplicated", "test accuracy without near-duplicates",
        short="accuracy without near-duplicates", heading="without near-duplicates", cards=_CARD,
        function="accuracy", part="test_deduplicated",
    ),
    _test("precision_macro", "test precision macro"),
    _test(
        "recall_macro", "test recall macro", short="balanced accuracy", heading="balanced accuracy", cards=_CARD,
        of_images=True,
    ),
    _test("f1_macro", "test f1 macro", short="F1, mean of classes", heading="F1 macro", cards=_CARD),
    _test("kappa", "test kappa", short="kappa", heading="kappa", low=-1.0, cards=_CARD),
    _test(
        "auc_macro", "test AUC", short="AUC, mean of classes", heading="AUC macro", percent=False, cards=_CARD,
        of_images=True,
    ),
    _test("auc_micro", "test auc micro", percent=False),
    _calibration("test_ece", "test ECE", short="ECE", function="ece", part="test"),
    _calibration("test_ece_scaled", "test ECE, scaled", short="ECE, scaled", function="ece", part="test_scaled"),
    _loss(
        "test_loss", "test loss", short="loss", heading="loss", cards=("performance", "calibration"),
        function="loss", part="test", of_images=True,
    ),
    _loss(
        "test_loss_scaled", "test loss, scaled", short="loss, scaled", cards=_CALIBRATION, function="loss",
        part="test_scaled",
    ),
    # of two classes at most 1, by scikit-learn's convention
    _calibration(
        "test_brier", "test brier", short="Brier score", unit="none", high=2.0, percent=False, function="brier",
        part="test",
    ),
    _calibration("temperature", "temperature", unit="none", high=math.inf, higher_is_better=None, percent=False),
    _loss("test_loss_with_penalty", "test loss with penalty", heading="loss with penalty"),
    Metric(
        "validation_accuracy", "validation accuracy", heading="validation accuracy", cards=_CARD,
        function="accuracy", part="validation",
    ),
    _loss("validation_loss", "validation loss", function="loss", part="validation"),
    Metric("train_accuracy", "train accuracy"),
    _loss("train_loss", "train loss"),
    _loss("penalty", "penalty"),
    _of_class("precision", "precision"),
    _of_class("recall", "recall"),
    _of_class("f1", "F1"),
    _count("support", "per_class", function="support", part="test"),
    _of_class("auc", "auc", percent=False),
    *(
        _count(name, "networks")
        for name in ("parameters", "trainable", "frozen", "conv", "dense", "activation", "normalisation", "other")
    ),
)  # fmt: skip

METRICS: dict[str, Metric] = {metric.name: metric for metric in _ROWS}


def _names(table: str) -> tuple[str, ...]:
    return tuple(metric.name for metric in _ROWS if metric.table == table)


# cells.csv has means and intervals of these, replicates.csv the value of each training
MEASURED = _names("cells")
PER_CLASS = _names("per_class")
SIZES = _names("networks")
# metrics that claims and comparisons can use
COMPARED = tuple(metric.name for metric in _ROWS if metric.of_images)
# numbers of images behind the test numbers: all, and those without a near-duplicate in the training part
TEST_COUNTS = ("test_images", "test_images_deduplicated")
# what a training measures after each epoch
CURVES = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")
