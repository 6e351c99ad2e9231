"""Pairs of settings and of cells, compared; batch sizes seen two ways."""

import itertools

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests

from medgrid.config.metrics import JUDGED
from medgrid.evaluation.contrasts import describe_selection, difference, hashable
from medgrid.evaluation.results import StudyResults
from medgrid.evaluation.statistics import CONFIDENCE, Estimate, estimate
from medgrid.training import steps_per_epoch

# of tables that may have no row
COMPARISONS = (
    "compared", "first", "second", "metric", "difference", "low", "high", "seeds_low", "seeds_high", "images_low",
    "images_high", "p", "p_adjusted", "effect", "cells", "replicates", "verdict",
)  # fmt: skip
BATCH_SIZES = (
    "setting", "view", "batch_size", "epoch", "steps", "validation_accuracy", "low", "high", "difference",
    "difference_low", "difference_high", "replicates",
)  # fmt: skip


def _columns(found: Estimate) -> dict[str, float]:
    columns = {}
    for name, bounds in (
        ("seeds", found.over_seeds()), ("images", found.over_images()), ("both", found.interval()),
    ):  # fmt: skip
        columns |= {f"{name}_low": bounds[0], f"{name}_high": bounds[1]}
    return columns


def intervals(study: StudyResults) -> pd.DataFrame:
    """Each cell's metrics on the test set at the best epoch, with 95 % intervals of three kinds.

    Over seeds, over test images, and over both (see `medgrid.evaluation.statistics`); bounds end where the metric
    does. Diverged trainings count as chance.
    """
    rows = []
    for metric in JUDGED:
        highest = np.inf if metric == "test_loss" else 1
        for cell, values in zip(study.cells, study.contributions(metric), strict=True):
            found = estimate(values, study.clusters)
            bounds = {name: np.clip(bound, 0, highest) for name, bound in _columns(found).items()}
            row = {"cell": cell, "metric": metric, "mean": found.value, **bounds, "replicates": found.seeds}
            rows.append(row | {"test_images": len(study.labels), "clusters": found.units})
    return pd.DataFrame(rows)


def comparisons(study: StudyResults, chosen: str | None) -> pd.DataFrame:
    """Differences of the study's metric: each pair of values of each axis, and each cell against the chosen one.

    Values are compared over those settings of the other axes that both have; a pair that shares none is left out.
    Positive: the first is better. `low`, `high`: 95 % over seeds and test images; `p_adjusted`: two-sided, after
    Holm's correction over all rows; `effect`: difference in standard deviations over seeds (Cohen's d of paired
    values). `verdict`: differs (adjusted p below 0.05), alike (the interval lies within the margin of practical
    equivalence), or open; what differs by less than the margin for sure is `differs, negligibly`.
    """
    metric, margin = study.settings["criterion"]["metric"], study.settings["criterion"]["margin"]
    sign = -1 if metric == "test_loss" else 1
    pairs = []
    for axis in study.axes:
        values = list(dict.fromkeys(map(hashable, study.values[axis])))
        for first, second in itertools.combinations(values, 2):
            sides = [{axis: [value]} for value in (first, second)]
            weights = difference(study, *sides, {}, matched=True)
            pairs += [] if weights is None else [(axis, *map(describe_selection, sides), weights)]
    for cell in study.cells if chosen else ():
        if cell != chosen:
            pairs.append(("cell", chosen, cell, pd.Series({chosen: 1.0, cell: -1.0})))
    rows = []
    for kind, first, second, weights in pairs:
        values = sign * study.weighted(weights, metric)
        found = estimate(values, study.clusters)
        low, high = found.interval()
        row = {"compared": kind, "first": first, "second": second, "metric": metric, "difference": found.value}
        row |= {"low": low, "high": high, **_columns(found)}
        row["p"] = min(1, 2 * min(found.beyond(0), found.below(0)))
        deviation = found.seed_error * np.sqrt(found.seeds)
        row["effect"] = found.value / deviation if deviation > 0 else np.nan
        rows.append(row | {"cells": len(weights), "replicates": found.seeds})
    if not rows:
        return pd.DataFrame(columns=COMPARISONS)
    table = pd.DataFrame(rows)
    table["p_adjusted"] = multipletests(table["p"], method="holm")[1]
    within = (table["low"] > -margin) & (table["high"] < margin)
    apart = table["p_adjusted"] < 1 - CONFIDENCE
    table["verdict"] = np.select([apart & within, apart, within], ["differs, negligibly", "differs", "alike"], "open")
    return table[list(COMPARISONS)]


def batch_sizes(study: StudyResults) -> pd.DataFrame:
    """Validation accuracy of each batch size after equally many epochs, and after equally many steps.

    In the same number of epochs a small batch takes more steps of the optimizer: what looks like an effect of the
    batch size may be one of the number of steps. For each group of cells that differ in batch size alone: `view`
    (epochs or steps), the epoch looked at, steps until then, mean and 95 % interval over seeds, and the difference
    from the smallest batch size with its interval, paired by seed. Steps are equal up to part of an epoch.
    """
    if "batch_size" not in study.axes:
        return pd.DataFrame(columns=BATCH_SIZES)
    rest = [axis for axis in study.axes if axis != "batch_size"]
    curves = {
        key: run.set_index("epoch")["validation_accuracy"] for key, run in study.curves.groupby(["cell", "seed"])
    }
    last = study.curves.groupby("cell")["epoch"].max()
    groups: dict[tuple, dict[int, str]] = {}
    for cell in study.cells:
        key = tuple(map(str, study.values.loc[cell, rest]))
        groups.setdefault(key, {})[int(study.values.loc[cell, "batch_size"])] = cell
    rows = []
    for cells in groups.values():
        if len(cells) < 2:
            continue
        steps = {size: steps_per_epoch(study.training_images, size) for size in cells}
        fewest = min(last[cell] * steps[size] for size, cell in cells.items())
        common = min(last[cell] for cell in cells.values())
        smallest = None
        for view in ("epochs", "steps"):
            for size in sorted(cells):
                cell = cells[size]
                epoch = common if view == "epochs" else max(1, fewest // steps[size])
                at = [_reached(curves, cell, seed, epoch) for seed in study.seeds]
                values = np.where(study.diverged.loc[cell], np.nan, at)
                smallest = values if size == min(cells) else smallest
                mean, apart = estimate(values), estimate(values - smallest)
                row = {
                    "setting": describe_selection({axis: [study.values.loc[cell, axis]] for axis in rest})
                    if rest
                    else ""
                }
                row |= {"view": view, "batch_size": size, "epoch": epoch, "steps": epoch * steps[size]}
                row |= {"validation_accuracy": mean.value}
                row |= dict(zip(("low", "high"), np.clip(mean.over_seeds(), 0, 1), strict=True))
                if size != min(cells):
                    bounds = zip(("difference_low", "difference_high"), apart.over_seeds(), strict=True)
                    row |= {"difference": apart.value, **dict(bounds)}
                rows.append(row | {"replicates": mean.seeds})
    return pd.DataFrame(rows, columns=list(BATCH_SIZES))


def _reached(curves: dict[tuple, pd.Series], cell: str, seed: int, epoch: int) -> float:
    """A curve's value at an epoch, or at its last one before: a training that stopped early stays where it was."""
    own = curves[cell, seed]
    own = own[own.index <= epoch]
    return float(own.iloc[-1]) if len(own) else np.nan
