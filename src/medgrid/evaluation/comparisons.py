"""Tables of comparisons: each cell's intervals, pairs of settings and of cells, batch sizes."""

import itertools
from dataclasses import dataclass

import numpy as np
import pandas as pd

from medgrid.config.metrics import COMPARED, METRICS
from medgrid.evaluation.contrasts import difference
from medgrid.evaluation.hypotheses import Hypothesis, PValues, corrected_over_rows, verdict
from medgrid.evaluation.labels import describe_level
from medgrid.evaluation.resampling import SPLITS
from medgrid.evaluation.results import StudyResults
from medgrid.evaluation.statistics import DIGITS, Estimate

# columns, also of tables without rows
COMPARISONS = (
    "compared", "first", "second", "metric", "difference", "low", "high", "over", "seeds_low", "seeds_high",
    "images_low", "images_high", "p_first", "p_second", "p_negligible", "p", "p_adjusted", "effect", "cells",
    "replicates", "verdict", "verdict_adjusted",
)  # fmt: skip
# verdicts on "the first is better", as this table calls them
WORDS = {"supported": "first better", "contradicted": "second better"}


def _bounds(results: StudyResults, measured: Estimate) -> dict[str, float]:
    """Columns with the three intervals of an estimate; of an estimate over splits there is only the whole."""
    seeds = (np.nan, np.nan) if results.over == SPLITS else measured.over_seeds()
    intervals = {"seeds": seeds, "images": measured.over_images(), "both": measured.interval()}
    return {
        f"{name}_{end}": bound
        for name, interval in intervals.items()
        for end, bound in zip(("low", "high"), interval, strict=True)
    }


def intervals(results: StudyResults) -> pd.DataFrame:
    """Metrics of each cell on the test set at the best epoch, with three 95 % intervals.

    Over seeds, over test images, and over both (see `medgrid.evaluation.statistics`), cut at the possible values of
    the metric. `over` says what the last one covers: of a study with several splits, it is the interval over splits,
    and the other two are empty. Diverged trainings count as chance.
    """
    rows = []
    for metric in COMPARED:
        for cell in results.cells:
            # `estimate` has higher values better, and this table the metric itself
            measured = results.estimate(pd.Series({cell: 1.0}), metric).times(METRICS[metric].sign)
            low, high = METRICS[metric].low, METRICS[metric].high
            bounds = {name: np.clip(bound, low, high) for name, bound in _bounds(results, measured).items()}
            row = {"cell": cell, "metric": metric, "mean": measured.value, **bounds, "over": results.over}
            row |= {"replicates": measured.seeds, "test_images": len(results.clusters)}
            rows.append(row | {"clusters": len(np.unique(results.clusters))})
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class Pair:
    """Two sides of a row of comparisons.csv: two values of an axis, or two cells (`compared` is "cell")."""

    compared: str
    first: str
    second: str
    weights: pd.Series


def _pairs(results: StudyResults, best: str | None) -> list[Pair]:
    pairs = []
    for axis in results.axes:
        for first, second in itertools.combinations(dict.fromkeys(results.settings[axis]), 2):
            contrast = difference(results, {axis: [first]}, {axis: [second]}, {}, matched=True)
            if contrast is not None:
                pairs.append(Pair(axis, describe_level(axis, first), describe_level(axis, second), contrast.weights))
    if best is not None:
        for cell in results.cells:
            if cell != best:
                pairs.append(Pair("cell", best, cell, pd.Series({best: 1.0, cell: -1.0})))
    return pairs


def _compare(results: StudyResults, pair: Pair) -> dict:
    criterion = results.manifest.criterion
    measured = results.estimate(pair.weights, criterion.metric)
    p = Hypothesis("above", margin=criterion.margin).p_values(measured)
    low, high = measured.interval()
    values = pair.weights.to_numpy() @ results.by_replicate(criterion.metric).loc[list(pair.weights.index)].to_numpy()
    deviation = round(float(values.std(ddof=1)), DIGITS) if len(values) > 1 else np.nan
    return {
        "compared": pair.compared,
        "first": pair.first,
        "second": pair.second,
        "metric": criterion.metric,
        "difference": measured.value,
        "low": low,
        "high": high,
        "over": results.over,
        **_bounds(results, measured),
        "p_first": p.support,
        "p_second": p.against,
        "p_negligible": p.negligible,
        "p": p.two_sided,
        "effect": measured.value / deviation if deviation > 0 else np.nan,
        "cells": len(pair.weights),
        "replicates": measured.seeds,
    }


def comparisons(results: StudyResults, best: str | None) -> pd.DataFrame:
    """Differences of the study's metric: each pair of values of each axis, and each cell against the best one.

    `best`: the cell with the highest validation score, if there is one. Values are compared at those values of the
    other axes that both have; a pair that shares none is left out. Positive: the first is better.

    - `low`, `high`: 95 % interval over seeds and test images, or over splits (`over`)
    - `p_first`, `p_second`, `p_negligible`: one-sided, that the first or the second is better, or that the difference
      lies within the margin of practical equivalence
    - `p`: two-sided; `p_adjusted`: after Holm's correction over all rows and the pairs of cells that are not shown:
      the best cell is selected from the same trainings
    - `effect`: difference in standard deviations over seeds or splits (Cohen's d of paired values)
    - `verdict`: "first better", "second better", "negligible" or "open", by the rule of claims
      (`medgrid.evaluation.hypotheses.verdict`), not corrected; `verdict_adjusted`: by the same rule, from p-values
      after Holm's correction over all rows
    """
    pairs = _pairs(results, best)
    rows = [_compare(results, pair) for pair in pairs]
    if not rows:
        return pd.DataFrame(columns=COMPARISONS)
    table = pd.DataFrame(rows)
    p = [PValues(*each) for each in table[["p_first", "p_second", "p_negligible"]].to_numpy()]
    table["verdict"] = [WORDS.get(word := verdict(each), word) for each in p]
    table["p_adjusted"], corrected = corrected_over_rows(p, _left_out(results, pairs))
    table["verdict_adjusted"] = [WORDS.get(word := verdict(each), word) for each in corrected]
    return table[list(COMPARISONS)]


def _left_out(results: StudyResults, pairs: list[Pair]) -> int:
    """Number of pairs of cells that are not compared, although each cell could have been the best."""
    shown, cells = sum(pair.compared == "cell" for pair in pairs), len(results.cells)
    return cells * (cells - 1) // 2 - shown if shown else 0
