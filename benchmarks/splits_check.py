"""Coverage of intervals over random splits, in simulated data sets with a known true value.

    python benchmarks/splits_check.py [--studies N]

Each simulated study draws a data set from a population of two classes (normally distributed features), splits it
several times, and trains two classifiers on each split, one on each half of the features (`LEARNERS`). The halves are
equally informative, so the true difference of their results, over all data sets of this size, is 0. The true result
of a single classifier is its mean over all simulated studies. Printed is how often a 95 % interval misses the true
value (nominal: 5 %): over splits with the correction n_test / n_train of Nadeau and Bengio (2003), in which n_train
counts the training and validation parts, or the training part alone, or is without the correction; and over seeds and
test images of the first split. The last column is the correlation between results on two splits of a data set. The
correction supposes n_test / (n_test + n_train): 0.2, if 20 % of the images are tested.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from medgrid.evaluation.resampling import estimate_over_splits
from medgrid.evaluation.statistics import estimate

FEATURES = 20  # ten for each classifier
# features of the versions of the two classifiers: the first five or all ten of a half
VERSIONS = np.array([np.isin(np.arange(FEATURES), range(start, start + n)) for start in (0, 10) for n in (5, 10)])
EFFECT = 0.33  # half the distance of the classes in each feature, in standard deviations: 85 % with ten features


@dataclass(frozen=True)
class Scenario:
    """A data set and how it is split; sizes of parts are shares of clusters."""

    splits: int = 10
    seeds: int = 1
    images: int = 400
    cluster: int = 1  # images that share a label and half of the variance
    test: float = 0.2
    validation: float = 0.1
    seed: float = 0.3  # standard deviation of what a seed adds to a weight, relative to the weights
    one_split_seeds: int = 5  # of the interval over seeds and test images
    learner: str = "centroids"  # a key of LEARNERS
    spread: float = 1.0  # standard deviation of the second class in each feature; that of the first is 1
    single: bool = False  # the result is that of the first classifier, not its difference from the second

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Numbers of clusters in parts test, validation and train."""
        clusters = self.images // self.cluster
        test, validation = round(self.test * clusters), round(self.validation * clusters)
        return test, validation, clusters - test - validation


SCENARIOS = {
    "10 splits of 400 images": Scenario(),
    "5 splits": Scenario(splits=5),
    "3 splits": Scenario(splits=3),
    "30 splits": Scenario(splits=30),
    "two seeds per split": Scenario(seeds=2),
    "seeds that hardly matter": Scenario(seed=0.01),
    "seeds that matter much": Scenario(seed=1.0),
    "clusters of five images": Scenario(cluster=5),
    "800 images in clusters of 20": Scenario(images=800, cluster=20),
    "test part of 10 %": Scenario(test=0.1),
    "test part of 40 %": Scenario(test=0.4),
    "100 images": Scenario(images=100),
    "2,000 images": Scenario(images=2000),
    "accuracy of one classifier": Scenario(single=True),
    "log loss, linear discriminants": Scenario(learner="discriminants"),
    "the same, of one classifier": Scenario(learner="discriminants", single=True),
    "log loss, classes of unequal spread": Scenario(learner="discriminants", spread=2.0),
    "the same, of one classifier, unequal spread": Scenario(learner="discriminants", spread=2.0, single=True),
    "threshold rules, classes of unequal spread": Scenario(learner="thresholds", spread=3.0),
    "accuracy of one threshold rule, unequal spread": Scenario(learner="thresholds", spread=3.0, single=True),
}


def draw(scenario: Scenario, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A data set: features [images, FEATURES], classes [images] (bool), cluster ids [images]."""
    clusters = np.repeat(np.arange(scenario.images // scenario.cluster), scenario.cluster)
    classes = rng.random(clusters.max() + 1) < 0.5
    shared = 0.5 if scenario.cluster > 1 else 0.0
    noise = np.sqrt(shared) * rng.normal(size=(len(classes), FEATURES))[clusters]
    noise += np.sqrt(1 - shared) * rng.normal(size=(len(clusters), FEATURES))
    noise[classes[clusters]] *= scenario.spread
    return noise + EFFECT * np.where(classes, 1, -1)[clusters][:, None], classes[clusters], clusters


def parts_of(scenario: Scenario, clusters: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Part of each image in each split: 0 test, 1 validation, 2 train; [splits, images]."""
    dealt = np.repeat([0, 1, 2], scenario.sizes)
    return np.stack([rng.permutation(dealt)[clusters] for _ in range(scenario.splits)])


class Data(NamedTuple):
    """A data set and its splits."""

    features: np.ndarray  # [images, FEATURES]
    classes: np.ndarray  # bool [images]
    parts: np.ndarray  # see `parts_of`

    def centres(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean features of both classes in the training part of each split, [splits, FEATURES] each; True first."""
        train = (self.parts == 2).astype(float)
        one, other = (
            (train * side) @ self.features / (train @ side)[:, None] for side in (self.classes, ~self.classes)
        )
        return one, other


def centroids(scenario: Scenario, data: Data, seeds: int, rng: np.random.Generator) -> np.ndarray:
    """Nearest centroid: whether each classifier is correct, [2, splits, seeds, images].

    Its number of features is chosen by validation accuracy, and its seed disturbs its weights.
    """
    one, other = data.centres()
    weights, middle = one - other, (one + other) / 2
    size = np.sqrt(np.square(weights).mean(1))[:, None, None]
    weights = weights[:, None] + scenario.seed * size * rng.normal(size=(scenario.splits, seeds, FEATURES))
    versions = weights[:, :, None] * VERSIONS  # [splits, seeds, versions, features]
    scores = versions @ data.features.T - np.einsum("rsvf,rf->rsv", versions, middle)[..., None]
    right = (scores > 0) == data.classes
    validated = (right * (data.parts == 1)[:, None, None]).sum(-1)
    chosen = [2 * k + validated[..., 2 * k : 2 * k + 2].argmax(-1) for k in (0, 1)]
    return np.stack([np.take_along_axis(right, each[..., None, None], 2)[:, :, 0] for each in chosen])


def discriminants(scenario: Scenario, data: Data, seeds: int, rng: np.random.Generator) -> np.ndarray:
    """Linear discriminant analysis: minus the log loss of each classifier, [2, splits, seeds, images].

    The same for all seeds, and without validation images. Misspecified if the classes have unequal spreads.
    """
    one, other = data.centres()
    results = []
    for k in (0, 10):
        half = slice(k, k + 10)
        logits = []
        for train, high, low in zip(data.parts == 2, one[:, half], other[:, half], strict=True):
            residuals = (data.features[:, half] - np.where(data.classes[:, None], high, low))[train]
            weights = np.linalg.solve(residuals.T @ residuals / (len(residuals) - 2), high - low)
            share = data.classes[train].mean()
            logits.append((data.features[:, half] - (high + low) / 2) @ weights + np.log(share / (1 - share)))
        results.append(-np.logaddexp(0, np.where(data.classes, -1, 1) * np.array(logits)))
    return np.repeat(np.stack(results)[:, :, None], seeds, axis=2)


def thresholds(scenario: Scenario, data: Data, seeds: int, rng: np.random.Generator) -> np.ndarray:
    """A threshold on the sum of features, halfway between the classes: correct or not, [2, splits, seeds, images].

    The same for all seeds, and without validation images. If the classes have unequal spreads, another threshold
    would be better, so accuracy changes in proportion to errors of this one, which come from the training images.
    """
    halves = VERSIONS[[1, 3]].T.astype(float)  # [features, 2]
    middle = sum(data.centres()) / 2 @ halves  # [splits, 2]
    right = (data.features @ halves > middle[:, None]) == data.classes[:, None]  # [splits, images, 2]
    return np.repeat(right.transpose(2, 0, 1)[:, :, None], seeds, axis=2)


LEARNERS: dict[str, Callable[[Scenario, Data, int, np.random.Generator], np.ndarray]] = {
    "centroids": centroids,
    "discriminants": discriminants,
    "thresholds": thresholds,
}


def simulate(scenario: Scenario, studies: int, seed: int = 0) -> tuple[np.ndarray, float]:
    """Shares of studies whose four intervals (see the module) miss the true value, and the correlation of splits."""
    rng = np.random.default_rng(seed)
    test, validation, train = scenario.sizes
    sizes = ((test, train + validation), (test, train), (0, 1))
    means, variances, intervals = [], [], []
    for _ in range(studies):
        features, classes, clusters = draw(scenario, rng)
        parts = parts_of(scenario, clusters, rng)
        seeds = max(scenario.seeds, scenario.one_split_seeds)
        results = LEARNERS[scenario.learner](scenario, Data(features, classes, parts), seeds, rng).astype(float)
        result = results[0] if scenario.single else results[0] - results[1]
        values = np.stack([rows[:, part == 0].mean(1) for rows, part in zip(result, parts, strict=True)])
        values = values[:, : scenario.seeds]
        estimates = [estimate_over_splits(values, *each) for each in sizes]
        tested = parts[0] == 0
        estimates.append(estimate(result[0][: scenario.one_split_seeds, tested], clusters[tested]))
        intervals.append([measured.interval() for measured in estimates])
        means.append(values.mean())
        variances.append(values.mean(1).var(ddof=1))
    truth = np.mean(means) if scenario.single else 0.0
    low, high = np.moveaxis(np.array(intervals), -1, 0)
    shared = np.var(means, ddof=1) - np.mean(variances) / scenario.splits  # covariance of two splits
    return 1 - ((low <= truth) & (truth <= high)).mean(0), float(shared / (shared + np.mean(variances)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=2000)
    studies = parser.parse_args().studies
    print(f"{studies} studies each; standard error of 5 %: {100 * np.sqrt(0.05 * 0.95 / studies):.2f} points\n")
    heading = (
        "scenario", "train and validation", "train alone", "no correction", "one split, seeds and images",
        "correlation of splits",
    )  # fmt: skip
    print(f"| {' | '.join(heading)} |\n|{'---|' * len(heading)}")
    for name, scenario in SCENARIOS.items():
        missed, correlation = simulate(scenario, studies)
        shown = " | ".join(f"{100 * share:.1f} %" for share in missed)
        print(f"| {name} | {shown} | {correlation:.2f} |", flush=True)


if __name__ == "__main__":
    main()
