"""Results on several random splits: what if other images of the same kind had been collected, as many?

Nadeau and Bengio, Inference for the generalization error, Machine Learning 52 (2003). Trainings on random splits of
the same images share most of their training images, so the variance over splits is smaller than over new data. For R
splits with n_test and n_train images, the squared standard error of the mean is s^2 (1/R + n_test/n_train), in which
s^2 is the variance over splits. This supposes that results on two splits of the same images have the correlation
n_test / (n_test + n_train). n_train counts all that is not tested: validation images also shape the result. s^2
includes the choice of test images, so no error over images is added. For other splits of the same images, the
standard error would be s / sqrt(R).
"""

from collections.abc import Callable
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from medgrid.config.metrics import COMPARED, METRICS
from medgrid.evaluation.results import StudyResults
from medgrid.evaluation.statistics import DIGITS, Estimate
from medgrid.grid.manifest import StudyManifest

SPLITS = "splits"


def estimate_over_splits(values: np.ndarray, test_clusters: float, train_clusters: float) -> Estimate:
    """Mean of `values` [splits, seeds] with the corrected error over splits, of splits - 1 degrees of freedom.

    `test_clusters`, `train_clusters`: how many clusters of images a split tests, and how many it does not test (the
    parts train and validation). A seed with NaN is left out of its split, and so is a split without any other seed.
    """
    means = _split_means(values)
    count = len(means)
    variance = means.var(ddof=1) if count > 1 else np.nan
    error = np.sqrt(variance * (1 / max(count, 1) + test_clusters / train_clusters))
    mean = means.mean() if count else np.nan
    return Estimate(round(float(mean), DIGITS), round(float(error), DIGITS), np.nan, np.nan, count, 0)


def _split_means(values: np.ndarray) -> np.ndarray:
    """Mean over seeds of each split that has a finite value."""
    return np.array([row[np.isfinite(row)].mean() for row in values if np.isfinite(row).any()])


def deviations(values: np.ndarray) -> tuple[float, float]:
    """Standard deviations of `values` [splits, seeds] between splits, and between seeds of a split.

    From a one-way analysis of variance: that between splits is without what seeds add to the means of splits, and 0
    where its estimate is negative. With one seed per split, they cannot be separated: the first includes both, and
    the second is NaN. Splits with a NaN are left out.
    """
    values = values[np.isfinite(values).all(1)]
    splits, seeds = values.shape
    between = values.mean(1).var(ddof=1) if splits > 1 else np.nan
    if seeds < 2:
        return float(np.sqrt(between)), np.nan
    within = values.var(1, ddof=1).mean() if splits else np.nan
    return float(np.sqrt(np.maximum(between - within / seeds, 0))), float(np.sqrt(within))


class ResampledResults(StudyResults):
    """Results of a study with several splits: of the first, but estimates and values by training are of all splits.

    Tables of values by training have a column for each seed of each split; no two splits have the same seeds.
    """

    over = over_trainings = SPLITS

    def __init__(self, manifest: StudyManifest, folder: Path, split: Path):
        super().__init__(manifest, folder, split)
        names = [split.name, *(f"{other.split}.csv" for other in manifest.other_splits)]
        self.splits = [StudyResults(manifest, folder, split.with_name(name), i) for i, name in enumerate(names)]

    @cached_property
    def _mean_sizes(self) -> np.ndarray:
        """Mean of `split_sizes` over splits, [2]."""
        return np.mean([results.split_sizes for results in self.splits], axis=0)

    def by_split(self, weights: pd.Series, metric: str) -> np.ndarray:
        """A weighted sum over cells of a metric of the test set, [splits, seeds]."""
        return np.stack([results.weighted(weights, metric).mean(1) for results in self.splits])

    @cache  # noqa: B019 - the results live as long as the process
    def by_replicate(self, metric: str) -> pd.DataFrame:
        """Mean over seeds of a metric of the test set: a row for each cell, a column for each split."""
        means = [results.by_seed(metric).mean(axis=1) for results in self.splits]
        return METRICS[metric].sign * pd.concat(means, axis=1)

    def estimate(self, weights: pd.Series, metric: str) -> Estimate:
        return estimate_over_splits(METRICS[metric].sign * self.by_split(weights, metric), *self._mean_sizes)

    def estimate_of_trainings(self, values: np.ndarray, curve: str | None = None) -> Estimate:
        sizes = self._mean_sizes
        if curve and curve.startswith("train"):
            # what is measured on training images overlaps as these do
            sizes = np.mean([results.training_sizes for results in self.splits], axis=0)
        return estimate_over_splits(values.reshape(len(self.splits), -1), *sizes)

    def estimate_above_lookup(self, cell: str, metric: str) -> Estimate:
        values = np.stack([results.above_lookup(cell, metric).mean(1) for results in self.splits])
        return estimate_over_splits(values, *self._mean_sizes)

    def by_seed(self, metric: str) -> pd.DataFrame:
        return pd.concat([results.by_seed(metric) for results in self.splits], axis=1)

    def validation_by_seed(self) -> pd.DataFrame:
        return pd.concat([results.validation_by_seed() for results in self.splits], axis=1)

    def of_curves(self, measure: Callable[[pd.DataFrame], float]) -> pd.DataFrame:
        return pd.concat([results.of_curves(measure) for results in self.splits], axis=1)

    @cached_property
    def seconds_per_epoch(self) -> pd.DataFrame:
        return pd.concat([results.seconds_per_epoch for results in self.splits], axis=1)


def read_results(manifest: StudyManifest, folder: Path, split: Path) -> StudyResults:
    """Results that claims and comparisons are judged by: of all splits, where the study has several."""
    return (ResampledResults if manifest.other_splits else StudyResults)(manifest, folder, split)


def split_table(results: ResampledResults) -> pd.DataFrame:
    """The table `splits`: metrics of each cell over splits, with their 95 % interval and standard deviations.

    `sd_splits` and `sd_seeds`: see `deviations`. The interval is cut at the possible values of the metric.
    """
    return pd.DataFrame([_split_row(results, cell, metric) for metric in COMPARED for cell in results.cells])


def _split_row(results: ResampledResults, cell: str, metric: str) -> dict:
    weights = pd.Series({cell: 1.0})
    measured, values = results.estimate(weights, metric), results.by_split(weights, metric)
    row, sign = METRICS[metric], METRICS[metric].sign
    low, high = np.clip(np.sort(sign * np.array(measured.interval())), row.low, row.high)
    between, within = deviations(values)
    sizes = {"splits": len(values), "seeds": values.shape[1], "sd_splits": between, "sd_seeds": within}
    return {
        "cell": cell, "metric": metric, "mean": sign * measured.value, "low": low, "high": high, "over": results.over,
        **sizes,
    }  # fmt: skip
