"""Coverage of intervals over random splits, in simulated data sets with a known true value.

    python benchmarks/splits_check.py [--studies N]

Each simulated study draws a data set from a population of two classes (normally distributed features), splits it
several times, and trains two classifiers on each split: nearest centroids on one half of the features, and on the
other half. Each chooses its number of features by validation accuracy, and its seed disturbs its weights. The halves
are equally informative, so the true difference of accuracy, over all data sets of this size, is 0. Printed is how
often a 95 % interval misses it (nominal: 5 %): over splits with the correction n_test / n_train of Nadeau and Bengio
(2003), in which n_train counts the training and validation parts, or the training part alone, or is without the
correction; and over seeds and test images of the first split.
"""

import argparse
from dataclasses import dataclass

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
}


def draw(scenario: Scenario, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A data set: features [images, FEATURES], classes [images] (bool), cluster ids [images]."""
    clusters = np.repeat(np.arange(scenario.images // scenario.cluster), scenario.cluster)
    classes = rng.random(clusters.max() + 1) < 0.5
    shared = 0.5 if scenario.cluster > 1 else 0.0
    noise = np.sqrt(shared) * rng.normal(size=(len(classes), FEATURES))[clusters]
    noise += np.sqrt(1 - shared) * rng.normal(size=(len(clusters), FEATURES))
    return noise + EFFECT * np.where(classes, 1, -1)[clusters][:, None], classes[clusters], clusters


def parts_of(scenario: Scenario, clusters: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Part of each image in each split: 0 test, 1 validation, 2 train; [splits, images]."""
    dealt = np.repeat([0, 1, 2], scenario.sizes)
    return np.stack([rng.permutation(dealt)[clusters] for _ in range(scenario.splits)])


def correct(scenario: Scenario, seeds: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Whether each classifier is correct, [2, splits, seeds, images]; parts [splits, images]; clusters [images]."""
    features, classes, clusters = draw(scenario, rng)
    parts = parts_of(scenario, clusters, rng)
    train = (parts == 2).astype(float)
    centres = [(train * side) @ features / (train @ side)[:, None] for side in (classes, ~classes)]
    weights, middle = centres[0] - centres[1], (centres[0] + centres[1]) / 2
    size = np.sqrt(np.square(weights).mean(1))[:, None, None]
    weights = weights[:, None] + scenario.seed * size * rng.normal(size=(scenario.splits, seeds, FEATURES))
    versions = weights[:, :, None] * VERSIONS  # [splits, seeds, versions, features]
    scores = versions @ features.T - np.einsum("rsvf,rf->rsv", versions, middle)[..., None]
    right = (scores > 0) == classes
    validated = (right * (parts == 1)[:, None, None]).sum(-1)
    chosen = [2 * k + validated[..., 2 * k : 2 * k + 2].argmax(-1) for k in (0, 1)]
    return (
        np.stack([np.take_along_axis(right, each[..., None, None], 2)[:, :, 0] for each in chosen]),
        parts,
        clusters,
    )


def misses(scenario: Scenario, studies: int, seed: int = 0) -> np.ndarray:
    """Share of studies whose interval misses the true difference, 0: four intervals, as the module describes."""
    rng = np.random.default_rng(seed)
    missed = np.zeros(4)
    test, validation, train = scenario.sizes
    for _ in range(studies):
        seeds = max(scenario.seeds, scenario.one_split_seeds)
        right, parts, clusters = correct(scenario, seeds, rng)
        difference = right[0].astype(float) - right[1]
        values = np.stack([rows[:, part == 0].mean(1) for rows, part in zip(difference, parts, strict=True)])
        values = values[:, : scenario.seeds]
        sizes = ((test, train + validation), (test, train), (0, 1))
        estimates = [estimate_over_splits(values, *each) for each in sizes]
        tested = parts[0] == 0
        estimates.append(estimate(difference[0][: scenario.one_split_seeds, tested], clusters[tested]))
        for i, measured in enumerate(estimates):
            low, high = measured.interval()
            missed[i] += not low <= 0 <= high
    return missed / studies


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=2000)
    studies = parser.parse_args().studies
    print(f"{studies} studies each; standard error of 5 %: {100 * np.sqrt(0.05 * 0.95 / studies):.2f} points\n")
    heading = ("scenario", "train and validation", "train alone", "no correction", "one split, seeds and images")
    print(f"| {' | '.join(heading)} |\n|{'---|' * len(heading)}")
    for name, scenario in SCENARIOS.items():
        shown = [f"{100 * share:.1f} %" for share in misses(scenario, studies)]
        print(f"| {name} | {' | '.join(shown)} |", flush=True)


if __name__ == "__main__":
    main()
