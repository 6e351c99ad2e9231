"""Comparisons that claims are made of; `medgrid.evaluation.verdicts` describes the fields."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from medgrid.config.claims import Correlated, OfMetric, WithMargin
from medgrid.config.metrics import METRICS
from medgrid.evaluation.contrasts import Selection, select
from medgrid.evaluation.resampling import SPLITS
from medgrid.evaluation.results import StudyResults
from medgrid.evaluation.statistics import LEVEL, Estimate, Region

SEEDS, SEEDS_AND_IMAGES = "seeds", "seeds and test images"


@dataclass(frozen=True)
class Comparison:
    """One comparison of a claim: what is compared, the estimate (None: there is none), and where it must lie."""

    relation: str
    left: Selection | None
    right: Selection | None
    where: Selection
    region: Region
    measured: Estimate | None
    unit: str
    over: str = SEEDS
    metric: str | None = None
    curve: str | None = None
    details: dict[str, Any] = field(default_factory=dict)
    missing: str = "not_run"

    @property
    def p(self) -> float:
        """p-value of the claim; 1 without an estimate."""
        return self.region.p_for(self.measured) if self.measured else 1.0

    @property
    def p_against(self) -> float:
        """p-value of the claim's opposite; 1 without an estimate."""
        return self.region.p_against(self.measured) if self.measured else 1.0

    @property
    def verdict(self) -> str:
        """Of this comparison alone."""
        # first: what is significantly below the margin does not support a claim, however significant it is
        if self.p_against <= LEVEL:
            return "contradicted"
        return "supported" if self.p <= LEVEL else "open"

    @property
    def needed(self) -> int | None:
        """Number of replicates needed to decide it; None over splits: more splits do not reduce all of the error."""
        return self.region.needed(self.measured) if self.measured and self.over != SPLITS else None

    def _value(self, value: float) -> float | None:
        """A number for claims.json: ratios instead of their logarithms, correlations within their range."""
        if not np.isfinite(value):
            return None
        if self.unit == "none":
            value = np.clip(value, -1, 1)
        return round(float(np.exp(value) if self.unit == "times" else value), 6)

    def to_dict(self) -> dict[str, Any]:
        """As an entry of `comparisons` in claims.json."""
        content = {"relation": self.relation, "left": self.left, "right": self.right, "where": self.where}
        content |= {"metric": self.metric, "curve": self.curve, "details": self.details}
        content |= {"unit": self.unit, "over": self.over}
        content |= {
            "holds": [self._value(self.region.low), self._value(self.region.high)],
            "matters": [self._value(self.region.floor), self._value(self.region.ceiling)],
            "verdict": self.verdict,
        }
        if self.measured is None or not np.isfinite(self.measured.value):
            numbers = dict.fromkeys(("estimate", "low", "high", "p", "p_against", "needed"))
            missing = "no_common_seed" if self.measured else self.missing
            return content | numbers | {"replicates": 0, "missing": missing}
        numbers = zip(("estimate", "low", "high"), (self.measured.value, *self.measured.interval()), strict=True)
        return content | {
            **{name: self._value(value) for name, value in numbers},
            "p": self.p,
            "p_against": self.p_against,
            "needed": self.needed if self.verdict == "open" else None,
            "replicates": self.measured.seeds,
            "missing": None,
        }


class Judge:
    """What the kinds of claims share: a study's results, and estimates and comparisons from them."""

    def __init__(self, results: StudyResults):
        self.results = results

    def margin(self, test: WithMargin) -> float:
        return test.margin or self.results.manifest.criterion.margin

    def metric(self, test: OfMetric | Correlated) -> str:
        return test.metric or self.results.manifest.criterion.metric

    def of_metric(
        self,
        test: OfMetric,
        relation: str,
        left: Selection | None,
        right: Selection | None,
        weights: pd.Series | None,
        region: Region,
        **details: Any,
    ) -> Comparison:
        """A comparison of a weighted sum over cells (None: not run) of a metric of the test set; higher is better."""
        metric = self.metric(test)
        return Comparison(
            relation, left, right, select(test.of), region, self.estimate(weights, metric), METRICS[metric].unit,
            over=SEEDS_AND_IMAGES, metric=metric, details=details,
        )  # fmt: skip

    def estimate(self, weights: pd.Series | None, metric: str) -> Estimate | None:
        """A weighted sum over cells of a metric of the test set; higher is better."""
        if weights is None:
            return None
        return self.results.estimate(weights, metric)

    def of_trainings(self, weights: pd.Series | None, values: pd.DataFrame) -> Estimate | None:
        """A weighted sum over cells of a value of each training [cells, seeds]."""
        if weights is None:
            return None
        # a seed is left out when one of the cells diverged with it
        return self.results.estimate_of_trainings(weights.to_numpy() @ values.loc[list(weights.index)].to_numpy())
