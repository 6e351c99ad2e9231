"""The kinds of claims: for each, a function that makes its comparisons.

To add a kind, add the settings of its test to `medgrid.config.claims` and a function here, registered under the same
`kind`. Relations are listed in `medgrid.evaluation.verdicts`.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from medgrid.config import claims as tests
from medgrid.config.metrics import METRICS
from medgrid.evaluation.claims import SEEDS_AND_IMAGES, Comparison, Judge
from medgrid.evaluation.contrasts import Selection, cells_of, difference, linear_contrast, mean_of, rivals, select
from medgrid.evaluation.statistics import Region

KINDS: dict[str, Callable[[Judge, tests.Test], Iterator[Comparison]]] = {}


def evaluates(*kinds: str) -> Callable:
    """Register a function that makes the comparisons of a test of these kinds."""

    def register(function: Callable) -> Callable:
        KINDS.update(dict.fromkeys(kinds, function))
        return function

    return register


@evaluates("best", "worst")
def best(judge: Judge, test: tests.Best) -> Iterator[Comparison]:
    where, chosen = select(test.of), select(test.settings)
    region = Region.above(margin=judge.margin(test))
    # of unknown rivals there is one comparison without an estimate
    others = [select(each) for each in test.rivals] or rivals(judge.results, chosen, where)
    for other in others if others and cells_of(judge.results, where, chosen) else [None]:
        left, right = (chosen, other) if test.kind == "best" else (other, chosen)
        weights = None if left is None or right is None else difference(judge.results, left, right, where)
        yield judge.of_metric(test, "above", left, right, weights, region)


@evaluates("order")
def order(judge: Judge, test: tests.Order) -> Iterator[Comparison]:
    region = Region.above(margin=judge.margin(test))
    for left, right in itertools.pairwise(map(select, test.settings)):
        weights = difference(judge.results, left, right, select(test.of))
        yield judge.of_metric(test, "above", left, right, weights, region)


@evaluates("equal")
def equal(judge: Judge, test: tests.Equal) -> Iterator[Comparison]:
    region = Region.about(0, judge.margin(test))
    for left, right in itertools.combinations(map(select, test.settings), 2):
        weights = difference(judge.results, left, right, select(test.of))
        yield judge.of_metric(test, "like", left, right, weights, region)


@evaluates("no_better")
def no_better(judge: Judge, test: tests.NoBetter) -> Iterator[Comparison]:
    left, right = map(select, test.settings)
    weights = difference(judge.results, left, right, select(test.of))
    yield judge.of_metric(test, "not_above", left, right, weights, Region.below(judge.margin(test)))


@evaluates("trend")
def trend(judge: Judge, test: tests.Trend) -> Iterator[Comparison]:
    weights = linear_contrast(judge.results, test.axis, select(test.of))
    relation = "improves" if test.direction == "up" else "worsens"
    if weights is not None and relation == "worsens":
        weights = -weights
    region = Region.above(margin=judge.margin(test))
    yield judge.of_metric(test, relation, {}, None, weights, region, axis=test.axis)


@evaluates("interaction")
def interaction(judge: Judge, test: tests.Interaction) -> Iterator[Comparison]:
    left, right = map(select, test.settings)
    first, second = (linear_contrast(judge.results, test.axis, select(test.of), side) for side in (left, right))
    weights = None if first is None or second is None else first.sub(second, fill_value=0)
    region = Region.above(margin=judge.margin(test))
    yield judge.of_metric(test, "gains_more", left, right, weights, region, axis=test.axis)


@evaluates("chance")
def chance(judge: Judge, test: tests.Chance) -> Iterator[Comparison]:
    metric, where, left = "test_recall_macro", select(test.of), select(test.settings)
    cells = cells_of(judge.results, where, left)
    measured = judge.estimate(mean_of(cells) if cells else None, metric)
    if measured:
        measured = replace(measured, value=measured.value - 1 / len(judge.results.manifest.classes))
    region = Region.about(0, judge.margin(test))
    yield Comparison(
        "at_chance", left, None, where, region, measured, METRICS[metric].unit, SEEDS_AND_IMAGES, metric=metric
    )


@evaluates("noisier")
def noisier(judge: Judge, test: tests.Noisier) -> Iterator[Comparison]:
    where, (left, right) = select(test.of), map(select, test.settings)
    changes = judge.results.of_curves(lambda curves: curves[test.curve].diff().abs().mean())
    measured = judge.of_trainings(difference(judge.results, left, right, where), changes)
    unit = METRICS[test.curve].unit
    yield Comparison("noisier", left, right, where, Region.above(), measured, unit, curve=test.curve)


@evaluates("generalization_gap")
def generalization_gap(judge: Judge, test: tests.GeneralizationGap) -> Iterator[Comparison]:
    gaps = judge.results.of_curves(
        lambda curves: curves["train_accuracy"].iloc[-1] - curves["validation_accuracy"].iloc[-1]
    )
    bounds = {"gap_about": test.about, "gap_above": test.above, "gap_below": test.below}
    relation, value = next((relation, bound) for relation, bound in bounds.items() if bound is not None)
    region = {
        "gap_about": Region.about(value, judge.margin(test)),
        "gap_above": Region.above(value),
        "gap_below": Region.below(value),
    }[relation]
    where, selection = select(test.of), select(test.settings)
    cells = cells_of(judge.results, where, selection)
    groups = [(selection, cells)]
    if test.each and cells:
        groups = [(_settings_of(judge, cell), [cell]) for cell in cells]
    for left, group in groups:
        measured = judge.of_trainings(mean_of(group) if group else None, gaps)
        yield Comparison(relation, left, None, where, region, measured, "share", details={"value": value})


def _settings_of(judge: Judge, cell: str) -> Selection:
    """The selection of a single cell, by the axes."""
    values = judge.results.axis_values.loc[cell]
    return {str(axis): [value] for axis, value in values.items() if value is not None}


@evaluates("plateau")
def plateau(judge: Judge, test: tests.Plateau) -> Iterator[Comparison]:
    where, left = select(test.of), select(test.settings)

    def change(curves: pd.DataFrame) -> float:
        later = curves[curves["epoch"] >= test.after][test.curve]
        return later.iloc[-1] - later.iloc[0] if len(later) > 1 else np.nan

    changes = judge.results.of_curves(change)
    cells = [cell for cell in cells_of(judge.results, where, left) if changes.loc[cell].notna().any()]
    measured = judge.of_trainings(mean_of(cells) if cells else None, changes)
    region, unit = Region.about(0, judge.margin(test)), METRICS[test.curve].unit
    yield Comparison(
        "flat", left, None, where, region, measured, unit, curve=test.curve, details={"epoch": test.after}
    )


@evaluates("fastest", "slowest")
def speed(judge: Judge, test: tests.Speed) -> Iterator[Comparison]:
    where, left = select(test.of), select(test.settings)
    seconds = judge.results.seconds_per_epoch
    logarithms = seconds.where(seconds > 0).apply(np.log)
    stacked = set(judge.results.manifest.stacked)
    relation, sign = ("faster", -1) if test.kind == "fastest" else ("slower", 1)
    others = rivals(judge.results, left, where) if cells_of(judge.results, where, left) else []
    for right in others or [None]:
        weights = None if right is None else difference(judge.results, left, right, where)
        time_shared = weights is not None and not stacked.isdisjoint(weights.index)
        measured = None if weights is None or time_shared else judge.of_trainings(sign * weights, logarithms)
        missing = "time_shared" if time_shared else "not_run"
        yield Comparison(relation, left, right, where, Region.above(), measured, "times", missing=missing)


@evaluates("correlated")
def correlated(judge: Judge, test: tests.Correlated) -> Iterator[Comparison]:
    where, metric = select(test.of), judge.metric(test)
    cells = [cell for cell in cells_of(judge.results, where) if cell in judge.results.network_sizes.index]
    sizes = judge.results.network_sizes.loc[cells, test.size].astype(float)
    measured = None
    if sizes.nunique() > 1:
        ranks = judge.results.by_seed(metric).loc[cells].corrwith(sizes, method="spearman")
        measured = judge.results.estimate_of_trainings(METRICS[metric].sign * ranks.to_numpy())
        # a few networks can be in order by chance, and then are with each seed: at least the error of pure chance
        by_chance = np.sqrt(1 / (sizes.nunique() - 1) / measured.seeds) if measured.seeds else np.nan
        measured = replace(measured, seed_error=np.maximum(measured.seed_error, by_chance))
    yield Comparison(
        "correlated", {}, None, where, Region.above(), measured, "none", metric=metric, details={"size": test.size}
    )
