"""Coverage of intervals and error rates of verdicts, in simulated studies with known true values.

    python benchmarks/statistics_check.py [--studies N]

Each simulated study trains two cells several times and tests them on the same images. An image is hard or easy for
both cells, or harder for one of them; a seed shifts all predictions of a training or flips single ones. The scenarios
vary how much. Printed are: how often two cells that are truly the same are called different (nominal: 5 %), how often
an interval misses the true accuracy (5 %), and how often five replicates support or contradict a claim about cells
with a given difference of accuracy (wrongly: 2.5 % at most).
"""

import argparse
from dataclasses import dataclass

import numpy as np
from scipy import stats

from medgrid.evaluation.statistics import LEVEL, Region, estimate


@dataclass(frozen=True)
class Scenario:
    """Standard deviations, in logits, of the causes of correct and wrong predictions."""

    shared: float = 2.0  # difficulty of an image for both cells
    own: float = 0.7  # difficulty of an image for one cell
    seed: float = 0.1  # effect of the seed on all predictions of a training
    flip: float = 1.0  # effect of the seed on single predictions
    images: int = 400
    seeds: int = 5
    cluster: int = 1  # images that share their difficulty

    def correct(self, rng: np.random.Generator, skills: tuple[float, ...]) -> tuple[list[np.ndarray], np.ndarray]:
        """Whether each cell's predictions are correct, [seeds, images] each, and the clusters of the images."""
        count = -(-self.images // self.cluster)
        clusters = np.repeat(np.arange(count), self.cluster)[: self.images]
        shared = rng.normal(0, self.shared, count)
        cells = []
        for skill in skills:
            image = (shared + rng.normal(0, self.own, count))[clusters]
            seed = rng.normal(0, self.seed, (self.seeds, 1))
            flip = rng.normal(0, self.flip, (self.seeds, self.images))
            cells.append((skill + image + seed + flip > 0).astype(float))
        return cells, clusters

    def accuracy(self, skill: float) -> float:
        """True accuracy, over all seeds and images, of a cell with this mean logit."""
        spread = np.sqrt(self.shared**2 + self.own**2 + self.seed**2 + self.flip**2)
        return float(stats.norm.cdf(skill / spread))

    def skill(self, accuracy: float) -> float:
        """Mean logit of a cell with this true accuracy."""
        spread = np.sqrt(self.shared**2 + self.own**2 + self.seed**2 + self.flip**2)
        return float(stats.norm.ppf(accuracy) * spread)


SCENARIOS = {
    "all effects": Scenario(),
    "images equally hard for both cells": Scenario(own=0.0),
    "nearly the same predictions with every seed": Scenario(flip=0.01),
    "accuracies that vary between seeds": Scenario(own=0.0, flip=0.3, seed=0.4),
    "clusters of five images": Scenario(cluster=5),
    "100 images": Scenario(images=100),
    "two seeds": Scenario(seeds=2),
    "three seeds": Scenario(seeds=3),
}


def misses(scenario: Scenario, studies: int, seed: int = 0) -> np.ndarray:
    """Share of studies whose interval of a difference (over seeds, images, both) misses the true one, 0."""
    rng = np.random.default_rng(seed)
    missed = np.zeros(3)
    for _ in range(studies):
        (first, second), clusters = scenario.correct(rng, (scenario.skill(0.85),) * 2)
        measured = estimate(first - second, clusters)
        intervals = measured.over_seeds(), measured.over_images(), measured.interval()
        missed += [not low <= 0 <= high for low, high in intervals]
    return missed / studies


def missed_accuracy(scenario: Scenario, studies: int, seed: int = 0) -> float:
    """Share of studies whose interval over both misses a cell's true accuracy."""
    rng = np.random.default_rng(seed)
    missed = 0
    for _ in range(studies):
        (correct,), clusters = scenario.correct(rng, (scenario.skill(0.85),))
        low, high = estimate(correct, clusters).interval()
        missed += not low <= 0.85 <= high
    return missed / studies


def decided(
    scenario: Scenario, difference: float, region: Region, studies: int, seed: int = 0
) -> tuple[float, float]:
    """Share of studies that support, and that contradict, a claim about cells whose true accuracies differ."""
    rng = np.random.default_rng(seed)
    decisions = np.zeros(2)
    for _ in range(studies):
        (first, second), clusters = scenario.correct(rng, (scenario.skill(0.85 + difference), scenario.skill(0.85)))
        measured = estimate(first - second, clusters)
        decisions += [region.p_for(measured) <= LEVEL, region.p_against(measured) <= LEVEL]
    supported, contradicted = decisions / studies
    return supported, contradicted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=4000)
    studies = parser.parse_args().studies
    print(f"{studies} studies each; standard error of 5 %: {100 * np.sqrt(0.05 * 0.95 / studies):.2f} points\n")
    print("| scenario | over seeds | over images | over both | a cell's accuracy, both |\n|---|---|---|---|---|")
    for name, scenario in SCENARIOS.items():
        shown = [*misses(scenario, studies), missed_accuracy(scenario, studies)]
        print(f"| {name} | " + " | ".join(f"{100 * share:.1f} %" for share in shown) + " |", flush=True)
    margin = 0.01
    print("\n| true difference (points) | claim | supported | contradicted |\n|---|---|---|---|")
    large = Scenario(images=1400)
    for difference in (0, 0.01, 0.02, 0.03, 0.05):
        for claim, region in {"better": Region.above(margin=margin), "alike": Region.about(0, margin)}.items():
            supported, contradicted = decided(large, difference, region, studies // 4)
            print(
                f"| {100 * difference:g} | {claim} | {100 * supported:.1f} % | {100 * contradicted:.1f} % |",
                flush=True,
            )
    print("\n| test images | difference at the margin: alike | no difference: alike |\n|---|---|---|")
    for images in (24, 60, 100, 200, 400, 1400):
        # cells that err on the same images, seed by seed: they often agree on all of a few images
        scenario, margin = Scenario(images=images, seeds=3, own=0.02, seed=0.01, flip=0.01), 0.02
        region = Region.about(0, margin)
        wrongly, rightly = (decided(scenario, each, region, studies // 4)[0] for each in (margin, 0))
        print(f"| {images:,} | {100 * wrongly:.1f} % | {100 * rightly:.1f} % |", flush=True)


if __name__ == "__main__":
    main()
