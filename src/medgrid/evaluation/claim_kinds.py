"""The kinds of claims: for each, a function that makes its comparisons.

To add a kind, add the settings of its test to `medgrid.config.claims` and a function here, registered under the same
`kind`. Relations are listed in `medgrid.evaluation.verdicts`.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from medgrid.config import claims as tests
from medgrid.config.metrics import METRICS
from medgrid.evaluation.claims import NETWORKS, SEEDS_AND_IMAGES, Comparison, Judge
from medgrid.evaluation.contrasts import cells_of, difference, linear_contrast, mean_of, rivals, select
from medgrid.evaluation.curve_shapes import loss_rise, lowest_loss_epoch
from medgrid.evaluation.hypotheses import Hypothesis
from medgrid.evaluation.permutations import rank_correlation

KINDS: dict[str, Callable[[Judge, tests.Test], Iterator[Comparison]]] = {}


def evaluates(*kinds: str) -> Callable:
    """Register a function that makes the comparisons of a test of these kinds."""

    def register(function: Callable) -> Callable:
        KINDS.update(dict.fromkeys(kinds, function))
        return function

    return register


def better(judge: Judge, test: tests.Better) -> Hypothesis:
    """Above zero, with the margin below which a difference is negligible; or above what the claim states."""
    if test.by_at_least:
        return Hypothesis("above", test.by_at_least)
    return Hypothesis("above", margin=judge.margin(test))


@evaluates("best", "worst")
def best(judge: Judge, test: tests.Best) -> Iterator[Comparison]:
    where, chosen = select(test.of), select(test.settings)
    # of unknown rivals there is one comparison without an estimate
    others = [select(each) for each in test.rivals] or rivals(judge.results, chosen, where, select(test.without))
    for other in others if others and cells_of(judge.results, where, chosen) else [None]:
        left, right = (chosen, other) if test.kind == "best" else (other, chosen)
        contrast = None if left is None or right is None else difference(judge.results, left, right, where)
        yield from judge.of_metric(test, "above", left, right, contrast, better(judge, test))


@evaluates("order")
def order(judge: Judge, test: tests.Order) -> Iterator[Comparison]:
    for left, right in itertools.pairwise(map(select, test.settings)):
        contrast = difference(judge.results, left, right, select(test.of))
        yield from judge.of_metric(test, "above", left, right, contrast, better(judge, test))


@evaluates("equal")
def equal(judge: Judge, test: tests.Equal) -> Iterator[Comparison]:
    hypothesis = Hypothesis("about", margin=judge.margin(test))
    for left, right in itertools.combinations(map(select, test.settings), 2):
        contrast = difference(judge.results, left, right, select(test.of))
        yield from judge.of_metric(test, "like", left, right, contrast, hypothesis)


@evaluates("no_better")
def no_better(judge: Judge, test: tests.NoBetter) -> Iterator[Comparison]:
    left, right = map(select, test.settings)
    contrast = difference(judge.results, left, right, select(test.of))
    hypothesis = Hypothesis("not_above", margin=judge.margin(test))
    yield from judge.of_metric(test, "not_above", left, right, contrast, hypothesis)


@evaluates("trend")
def trend(judge: Judge, test: tests.Trend) -> Iterator[Comparison]:
    contrast = linear_contrast(judge.results, test.axis, select(test.of))
    relation = "improves" if test.direction == "up" else "worsens"
    if contrast is not None and relation == "worsens":
        contrast = contrast.reversed()
    yield from judge.of_metric(test, relation, {}, None, contrast, better(judge, test), axis=test.axis)


@evaluates("interaction")
def interaction(judge: Judge, test: tests.Interaction) -> Iterator[Comparison]:
    left, right = map(select, test.settings)
    first, second = (linear_contrast(judge.results, test.axis, select(test.of), side) for side in (left, right))
    contrast = None if first is None or second is None else first.minus(second)
    yield from judge.of_metric(test, "gains_more", left, right, contrast, better(judge, test), axis=test.axis)


@evaluates("chance")
def chance(judge: Judge, test: tests.Chance) -> Iterator[Comparison]:
    metric, where, left = "test_recall_macro", select(test.of), select(test.settings)
    hypothesis = Hypothesis("about", margin=judge.margin(test))
    comparison = Comparison(
        "at_chance", left, None, where, hypothesis, None, METRICS[metric].unit, SEEDS_AND_IMAGES, metric=metric
    )
    contrast = mean_of(judge.results, cells_of(judge.results, where, left))
    level = 1 / len(judge.results.manifest.classes)
    for each in judge.compare(comparison, contrast, test.each, partial(judge.results.estimate, metric=metric)):
        yield each.shifted(-level)


@evaluates("noisier")
def noisier(judge: Judge, test: tests.Noisier) -> Iterator[Comparison]:
    where, (left, right) = select(test.of), map(select, test.settings)
    # second differences: a smooth rise is not rough
    roughness = judge.results.of_curves(lambda curves: curves[test.curve].diff().diff().abs().mean())
    unit = METRICS[test.curve].unit
    comparison = Comparison("noisier", left, right, where, Hypothesis("above"), None, unit, curve=test.curve)
    yield from judge.compare(
        comparison,
        difference(judge.results, left, right, where),
        test.each,
        judge.of_trainings(roughness, test.curve),
    )


@evaluates("generalization_gap")
def generalization_gap(judge: Judge, test: tests.GeneralizationGap) -> Iterator[Comparison]:
    gaps = judge.results.of_curves(
        lambda curves: curves["train_accuracy"].iloc[-1] - curves["validation_accuracy"].iloc[-1]
    )
    bounds = {"gap_about": test.about, "gap_above": test.above, "gap_below": test.below}
    relation, value = next((relation, bound) for relation, bound in bounds.items() if bound is not None)
    hypothesis = {
        "gap_about": Hypothesis("about", value, judge.margin(test)),
        "gap_above": Hypothesis("above", value),
        "gap_below": Hypothesis("below", value),
    }[relation]
    where, left = select(test.of), select(test.settings)
    contrast = mean_of(judge.results, cells_of(judge.results, where, left))
    comparison = Comparison(relation, left, None, where, hypothesis, None, "share", details={"value": value})
    yield from judge.compare(comparison, contrast, test.each, judge.of_trainings(gaps))


@evaluates("overfits")
def overfits(judge: Judge, test: tests.Overfits) -> Iterator[Comparison]:
    where, left = select(test.of), select(test.settings)
    relation, kind = ("loss_rises", "above") if test.above else ("loss_stays", "below")
    value = test.above or test.below or 1.0  # one of them is set
    hypothesis = Hypothesis(kind, math.log(value))
    comparison = Comparison(relation, left, None, where, hypothesis, None, "times", details={"value": value})
    rises = judge.results.of_curves(loss_rise)
    cells = [cell for cell in cells_of(judge.results, where, left) if rises.loc[cell].notna().any()]
    yield from judge.compare(comparison, mean_of(judge.results, cells), test.each, judge.of_trainings(rises))


@evaluates("overfits_sooner")
def overfits_sooner(judge: Judge, test: tests.OverfitsSooner) -> Iterator[Comparison]:
    where, (left, right) = select(test.of), map(select, test.settings)
    comparison = Comparison("overfits_sooner", left, right, where, Hypothesis("above"), None, "times")
    earliness = -judge.results.of_curves(lambda curves: np.log(lowest_loss_epoch(curves)))
    contrast = difference(judge.results, left, right, where)
    yield from judge.compare(comparison, contrast, test.each, judge.of_trainings(earliness))


@evaluates("learns_slower")
def learns_slower(judge: Judge, test: tests.LearnsSlower) -> Iterator[Comparison]:
    where, (left, right) = select(test.of), map(select, test.settings)
    metric = METRICS[test.curve]
    early = metric.sign * judge.results.of_curves(lambda curves: curves[test.curve].iloc[: test.epochs].mean())
    comparison = Comparison(
        "learns_slower", left, right, where, Hypothesis("above"), None, metric.unit, curve=test.curve,
        details={"epochs": test.epochs},
    )  # fmt: skip
    contrast = difference(judge.results, left, right, where)
    yield from judge.compare(comparison, contrast, test.each, judge.of_trainings(-early, test.curve))


@evaluates("plateau")
def plateau(judge: Judge, test: tests.Plateau) -> Iterator[Comparison]:
    where, left = select(test.of), select(test.settings)

    def change(curves: pd.DataFrame) -> float:
        later = curves[curves["epoch"] >= test.after][test.curve]
        return later.iloc[-1] - later.iloc[0] if len(later) > 1 else np.nan

    changes = judge.results.of_curves(change)
    cells = [cell for cell in cells_of(judge.results, where, left) if changes.loc[cell].notna().any()]
    hypothesis, unit = Hypothesis("about", margin=judge.margin(test)), METRICS[test.curve].unit
    comparison = Comparison(
        "flat", left, None, where, hypothesis, None, unit, curve=test.curve, details={"epoch": test.after}
    )
    yield from judge.compare(
        comparison, mean_of(judge.results, cells), test.each, judge.of_trainings(changes, test.curve)
    )


@evaluates("fastest", "slowest")
def speed(judge: Judge, test: tests.Speed) -> Iterator[Comparison]:
    where, left = select(test.of), select(test.settings)
    seconds = judge.results.seconds_per_epoch
    logarithms = seconds.where(seconds > 0).apply(np.log)
    stacked = set(judge.results.manifest.stacked)
    if test.kind == "fastest":
        relation, logarithms = "faster", -logarithms
    else:
        relation = "slower"
    hypothesis = Hypothesis("above")
    details: dict[str, str] = {}
    if test.factor:
        low, high = np.log(test.factor)
        hypothesis = Hypothesis("about", (low + high) / 2, (high - low) / 2)
        relation, details = f"{relation}_by", {"factor": "{:g} to {:g}".format(*test.factor)}
    others = rivals(judge.results, left, where, {}) if cells_of(judge.results, where, left) else []
    for right in others or [None]:
        comparison = Comparison(relation, left, right, where, hypothesis, None, "times", details=details)
        contrast = None if right is None else difference(judge.results, left, right, where)
        if contrast is not None and not stacked.isdisjoint(contrast.weights.index):
            contrast, comparison = None, replace(comparison, missing="time_shared")
        yield from judge.compare(comparison, contrast, test.each, judge.of_trainings(logarithms))


@evaluates("correlated")
def correlated(judge: Judge, test: tests.Correlated) -> Iterator[Comparison]:
    where, metric = select(test.of), judge.metric(test)
    cells = [cell for cell in cells_of(judge.results, where) if cell in judge.results.network_sizes.index]
    # cells of one architecture are no independent networks: their means are compared
    models = judge.results.settings.loc[cells, "model"]
    sizes = judge.results.network_sizes.loc[cells, test.size].astype(float).groupby(models).mean()
    values = (METRICS[metric].sign * judge.results.by_seed(metric).loc[cells]).groupby(models).mean()
    measured = rank_correlation(sizes.to_numpy(), values.loc[sizes.index].to_numpy()) if cells else None
    yield Comparison(
        "correlated", {}, None, where, Hypothesis("above"), measured, "none", NETWORKS, metric=metric,
        details={"size": test.size},
    )  # fmt: skip
