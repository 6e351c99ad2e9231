"""Hypotheses about a number, and the one rule by which claims and pairwise comparisons get their verdicts.

Each test is one-sided at LEVEL (2.5 %), so that a number outside its 95 % interval is rejected on that side.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
from scipy import stats

from medgrid.evaluation.statistics import LEVEL, Estimate

VERDICTS = ("supported", "contradicted", "negligible", "open", "not_run")
FEWEST_REPLICATES = 3  # with two, intervals miss the true value up to twice as often as they should
MOST_REPLICATES = 200  # for which probabilities of verdicts are computed


class Measured(Protocol):
    """A number with one-sided tests, such as `Estimate`."""

    @property
    def value(self) -> float: ...

    @property
    def seeds(self) -> int: ...

    def p_above(self, bound: float) -> float: ...

    def p_below(self, bound: float) -> float: ...


@dataclass(frozen=True)
class PValues:
    """One-sided p-values: of the hypothesis, of its opposite, and of a difference too small to matter."""

    support: float = 1.0
    against: float = 1.0
    negligible: float = 1.0

    @property
    def two_sided(self) -> float:
        """p-value of any difference, of a hypothesis `above`."""
        return min(1.0, 2 * min(self.support, self.against))


def verdict(p: PValues) -> str:
    """supported, contradicted, negligible or open, from p-values that are corrected or not.

    A difference that is significantly smaller than the margin is negligible, even where it is also significantly
    above zero: with enough data every difference is.
    """
    if p.negligible <= LEVEL:
        return "negligible"
    if p.support <= LEVEL:
        return "supported"
    return "contradicted" if p.against <= LEVEL else "open"


def holm(p: Sequence[float]) -> np.ndarray:
    """p-values after Holm's correction (1979); a thousandth of the time that statsmodels takes."""
    values = np.asarray(p, float)
    order = np.argsort(values, kind="stable")
    steps = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    corrected = np.empty(len(values))
    corrected[order] = np.minimum(steps, 1)
    return corrected


def corrected_over_rows(p: list[PValues], left_out: int = 0) -> tuple[np.ndarray, list[PValues]]:
    """Two-sided p-values after Holm's correction over all rows of a table, and one-sided ones that agree with them.

    The side that is more likely gets half of the corrected two-sided p-value. Tests of negligible differences are
    corrected among themselves. `left_out`: comparisons that are no rows, but could have been.
    """

    others = [1.0] * left_out
    adjusted = holm([each.two_sided for each in p] + others)[: len(p)]
    negligible = holm([each.negligible for each in p] + others)[: len(p)]
    corrected = [
        PValues(*((half, 1.0) if each.support <= each.against else (1.0, half)), float(third))
        for each, half, third in zip(p, adjusted / 2, negligible, strict=True)
    ]
    return adjusted, corrected


@dataclass(frozen=True)
class Hypothesis:
    """What a claim says of a number.

    - above: it is above `value`. With `value` 0 and a `margin`, it is negligible when it is within the margin of 0.
    - below: it is below `value`.
    - not_above: it is below `margin`.
    - about: it is within the `margin` of `value` (two one-sided tests, Schuirmann 1987).
    """

    kind: Literal["above", "below", "not_above", "about"]
    value: float = 0.0
    margin: float = 0.0  # of practical equivalence; 0: none

    @property
    def low(self) -> float:
        """Lowest value with which it holds."""
        return {"above": self.value, "about": self.value - self.margin}.get(self.kind, -np.inf)

    @property
    def high(self) -> float:
        """Highest value with which it holds."""
        return {"below": self.value, "not_above": self.margin, "about": self.value + self.margin}.get(
            self.kind, np.inf
        )

    @property
    def negligible_below(self) -> float:
        """Absolute value up to which a difference does not matter; 0 where the hypothesis has no such value."""
        return self.margin if self.kind == "above" and self.value == 0 else 0.0

    def with_margin(self, margin: float) -> "Hypothesis":
        """The same with another margin, if it has one."""
        return replace(self, margin=margin) if self.margin else self

    def p_values(self, measured: Measured) -> PValues:
        """p-values of the number; all 1 when it was not measured, or with fewer than FEWEST_REPLICATES.

        That a number is not `about` a value is tested on both sides, at half the level each.
        """
        if not np.isfinite(measured.value) or measured.seeds < FEWEST_REPLICATES:
            return PValues()
        sides = 2 if self.kind == "about" else 1
        against = sides * min(measured.p_below(self.low), measured.p_above(self.high))
        bound, negligible = self.negligible_below, 1.0
        if bound:
            negligible = max(measured.p_above(-bound), measured.p_below(bound))
        support = max(measured.p_above(self.low), measured.p_below(self.high))
        return PValues(support, min(1.0, against), negligible)

    def probabilities(self, measured: Estimate, parts: int = 1) -> dict[str, np.ndarray]:
        """Probabilities of verdicts in a study with more replicates, if the value and its errors are as estimated.

        By verdict, arrays for 2, 3, ..., MOST_REPLICATES replicates on other test images, as many as here. `parts`:
        comparisons over which a contradiction is corrected. More seeds reduce the error of the seeds and of their
        interaction with the images, but not the error of the images.
        """
        error, freedom = _errors_with_more_seeds(measured)
        half_level = LEVEL / parts / (2 if self.kind == "about" else 1)

        def power(distance: float, level: float = LEVEL) -> np.ndarray:
            """Probability of a significant difference from a bound at this distance, on the right side."""
            if np.isinf(distance):
                return np.full(len(error), float(distance > 0))
            with np.errstate(divide="ignore", invalid="ignore"):
                probability = stats.nct.sf(stats.t.isf(level, freedom), freedom, distance / error)
            return np.nan_to_num(probability)

        value, bound = measured.value, self.negligible_below
        negligible = np.maximum(power(value + bound) + power(bound - value) - 1, 0) if bound else np.zeros(len(error))
        supported = np.maximum(power(value - self.low) + power(self.high - value) - 1, 0)
        if bound:  # not also negligible
            supported = supported - np.maximum(supported + power(bound - value) - 1, 0)
        contradicted = np.maximum(power(self.low - value, half_level), power(value - self.high, half_level))
        return {"supported": supported, "contradicted": contradicted, "negligible": negligible}


def _errors_with_more_seeds(measured: Estimate) -> tuple[np.ndarray, np.ndarray]:
    """Standard error and degrees of freedom with 2, 3, ..., MOST_REPLICATES seeds."""
    counts = np.arange(2, MOST_REPLICATES + 1)
    seed, image, shared = measured.variances()
    seed, image = seed * measured.seeds / counts, max(image - shared, 0.0)
    freedom = (seed + image) ** 2 / (seed**2 / (counts - 1) + image**2 / max(measured.clusters - 1, 1))
    return np.sqrt(seed + image), freedom
