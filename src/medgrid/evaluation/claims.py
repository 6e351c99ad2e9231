"""Comparisons that claims are made of; `medgrid.evaluation.verdicts` describes the fields."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd

from medgrid.config.claims import Correlated, InStrata, OfMetric, WithMargin
from medgrid.config.metrics import METRICS
from medgrid.evaluation.contrasts import Contrast, Selection, select
from medgrid.evaluation.hypotheses import Hypothesis, PValues, holm, verdict
from medgrid.evaluation.permutations import Permuted
from medgrid.evaluation.results import StudyResults
from medgrid.evaluation.statistics import LEVEL, Estimate

SEEDS, SEEDS_AND_IMAGES, NETWORKS = "seeds", "seeds and test images", "networks"


@dataclass(frozen=True)
class Comparison:
    """One comparison of a claim: what is compared, the estimate (None: there is none), and what is claimed of it."""

    relation: str
    left: Selection | None
    right: Selection | None
    where: Selection
    hypothesis: Hypothesis
    measured: Estimate | Permuted | None
    unit: str
    over: str = SEEDS
    metric: str | None = None
    curve: str | None = None
    details: dict[str, Any] = field(default_factory=dict)
    missing: str = "not_run"
    strata: tuple["Comparison", ...] = ()  # the same in each stratum; empty without a choice of strata

    @property
    def was_run(self) -> bool:
        """Whether its cells were run and measured, if only with one replicate."""
        return self.measured is not None

    @cached_property
    def p(self) -> PValues:
        """One-sided p-values, not corrected."""
        return self.hypothesis.p_values(self.measured) if self.measured else PValues()

    def verdict(self, corrected: PValues | None = None) -> str:
        """Of this comparison. `corrected`: p-values that are corrected for the other comparisons of the claim."""
        return verdict(corrected or self.p) if self.was_run else "not_run"

    def with_margin(self, margin: float) -> "Comparison":
        """The same with another margin, if its hypothesis has one."""
        return replace(self, hypothesis=self.hypothesis.with_margin(margin))

    def within(self, stratum: Selection) -> "Comparison":
        """The same in a stratum: of one of the cells that are averaged, or with a restriction of both sides."""
        if self.left and self.right is None:
            return replace(self, left=self.left | stratum)
        return replace(self, where=self.where | stratum)

    def shifted(self, by: float) -> "Comparison":
        """The same with estimates shifted by a constant."""
        measured = replace(self.measured, value=self.measured.value + by) if self.measured else None
        return replace(self, measured=measured, strata=tuple(each.shifted(by) for each in self.strata))

    @cached_property
    def opposed(self) -> list[bool]:
        """For each stratum, whether it shows the opposite of the average.

        It contradicts what holds on average, holds where the average contradicts it, or differs by more than the
        margin where the average is negligible; after Holm's correction over the strata (compare Gail and Simon 1985).
        A bare change of sign is noise.
        """
        p_opposite = {
            "supported": lambda p, _: p.against,
            "contradicted": lambda p, _: p.support,
            "negligible": lambda _, stratum: stratum.p_beyond_margin,
        }.get(self.verdict())
        if p_opposite is None or not self.strata:
            return [False] * len(self.strata)
        rejected = holm([p_opposite(each.p, each) for each in self.strata]) <= LEVEL
        return [bool(r) and each.verdict() != "negligible" for r, each in zip(rejected, self.strata, strict=True)]

    @property
    def p_beyond_margin(self) -> float:
        """p-value of a difference that matters, on either side."""
        bound = self.hypothesis.negligible_below
        if self.measured is None or not bound:
            return 1.0
        return min(1.0, 2 * min(self.measured.p_above(bound), self.measured.p_below(-bound)))

    def number(self, value: float) -> float | None:
        """A number for claims.json: ratios instead of their logarithms, correlations within their range."""
        if not np.isfinite(value):
            return None
        if self.unit == "none":
            value = np.clip(value, -1, 1)
        return round(float(np.exp(value) if self.unit == "times" else value), 6)

    def numbers(self) -> dict[str, float | None]:
        """Estimate and 95 % interval; None where unknown."""
        if self.measured is None or not np.isfinite(self.measured.value):
            return dict.fromkeys(("estimate", "low", "high"))
        values = (self.measured.value, *self.measured.interval())
        return {name: self.number(value) for name, value in zip(("estimate", "low", "high"), values, strict=True)}


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
        contrast: Contrast | None,
        hypothesis: Hypothesis,
        **details: Any,
    ) -> Iterator[Comparison]:
        """Comparisons of a contrast (None: not run) of a metric of the test set; higher is better."""
        metric = self.metric(test)
        comparison = Comparison(
            relation, left, right, select(test.of), hypothesis, None, METRICS[metric].unit, over=SEEDS_AND_IMAGES,
            metric=metric, details=details,
        )  # fmt: skip
        each = isinstance(test, InStrata) and test.each
        return self.compare(comparison, contrast, each, partial(self.results.estimate, metric=metric))

    def compare(
        self, comparison: Comparison, contrast: Contrast | None, each: bool, measure: Callable[[pd.Series], Estimate]
    ) -> Iterator[Comparison]:
        """The comparison with its estimate: of the mean over the strata of a contrast, or with `each` of each.

        `measure`: the estimate of a weighted sum over cells.
        """
        if contrast is None:
            yield comparison
            return
        strata = tuple(
            replace(comparison.within(chosen), measured=measure(weights)) for chosen, weights in contrast.strata
        )
        if each:
            yield from strata
        else:
            yield replace(comparison, measured=measure(contrast.weights), strata=strata if len(strata) > 1 else ())

    def of_trainings(self, values: pd.DataFrame, curve: str | None = None) -> Callable[[pd.Series], Estimate]:
        """A function that estimates weighted sums over cells of a value of each training [cells, seeds].

        `curve`: the learning curve that the values were read from, if it was one.
        """

        def measure(weights: pd.Series) -> Estimate:
            # a seed is left out when one of these cells diverged with it
            sums = weights.to_numpy() @ values.loc[list(weights.index)].to_numpy()
            return self.results.estimate_of_trainings(sums, curve)

        return measure
