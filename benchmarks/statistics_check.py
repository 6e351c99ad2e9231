"""Coverage of intervals and error rates of verdicts, in simulated studies with known true values.

    python benchmarks/statistics_check.py [--studies N]

Each simulated study trains cells several times and tests them on the same images. An image is hard or easy for all
cells, or harder for one of them; a seed shifts all predictions of a training or flips single ones, or makes it
diverge. The scenarios vary how much. Printed are: how often an interval misses the true value (nominal: 5 %), how
often verdicts are wrong (2.5 % each), how verdicts change as data grow, and how often an average hides opposite
effects.
"""

import argparse
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from medgrid.evaluation.claims import Comparison
from medgrid.evaluation.hypotheses import Hypothesis, verdict
from medgrid.evaluation.statistics import Estimate, estimate

MARGIN, WIDE = 0.01, 0.06
BETTER, ALIKE = Hypothesis("above", margin=MARGIN), Hypothesis("about", margin=MARGIN)
WORDS = ("supported", "contradicted", "negligible", "open")
CHANCE = 0.5  # accuracy of a diverged training


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
    diverging: float = 0.0  # share of trainings that diverge
    only_first: bool = False  # whether only trainings of the first cell diverge
    large: int = 0  # images of one more cluster
    known: float = 1.0  # share of clusters that are known; images of others count as independent

    def correct(self, rng: np.random.Generator, skills: tuple[float, ...]) -> tuple[list[np.ndarray], np.ndarray]:
        """Whether each cell's predictions are correct, [seeds, images] each, and the clusters of the images."""
        count = -(-self.images // self.cluster)
        clusters = np.repeat(np.arange(count), self.cluster)[: self.images]
        clusters[: self.large] = 0
        shared = rng.normal(0, self.shared, count)
        cells = []
        for skill in skills:
            image = (shared + rng.normal(0, self.own, count))[clusters]
            seed = rng.normal(0, self.seed, (self.seeds, 1))
            flip = rng.normal(0, self.flip, (self.seeds, self.images))
            correct = (skill + image + seed + flip > 0).astype(float)
            if self.diverging and not (self.only_first and cells):
                correct[rng.random(self.seeds) < self.diverging] = CHANCE
            cells.append(correct)
        unknown = rng.random(count)[clusters] >= self.known
        return cells, np.where(unknown, count + np.arange(self.images), clusters)

    def skill(self, accuracy: float, first: bool = False) -> float:
        """Mean logit of a cell (of the first one) with this true accuracy, over all seeds and images."""
        diverging = self.diverging if first or not self.only_first else 0.0
        accuracy = (accuracy - diverging * CHANCE) / (1 - diverging)
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
    "20 seeds": Scenario(seeds=20),
    "a tenth of the trainings diverges": Scenario(diverging=0.1),
    "the same, 20 seeds": Scenario(diverging=0.1, seeds=20),
    "only the first cell's trainings do": Scenario(diverging=0.1, only_first=True),
    "no scatter over seeds": Scenario(seed=0.0, flip=0.0),
    "seeds that matter much, three": Scenario(seeds=3, seed=0.4),
    "seeds that matter much, two": Scenario(seeds=2, seed=0.4),
    "a cluster of 100, else of five": Scenario(cluster=5, large=100),
    "clusters of five, half of them known": Scenario(cluster=5, known=0.5),
}
ACCURACY = 0.85  # of the second cell


def differences(
    scenario: Scenario, difference: float, studies: int, seed: int = 0
) -> Iterator[tuple[Estimate, np.ndarray, np.ndarray]]:
    """Of each study the difference between two cells, contributions of one cell, and clusters."""
    rng = np.random.default_rng(seed)
    skills = scenario.skill(ACCURACY + difference, first=True), scenario.skill(ACCURACY)
    for _ in range(studies):
        (first, second), clusters = scenario.correct(rng, skills)
        yield estimate(first - second, clusters), second, clusters


def misses(scenario: Scenario, studies: int, seed: int = 0) -> np.ndarray:
    """Share of studies whose interval of a difference (over seeds, images, both) misses the true one, 0."""
    missed = np.zeros(3)
    for measured, _, _ in differences(scenario, 0, studies, seed):
        intervals = measured.over_seeds(), measured.over_images(), measured.interval()
        missed += [low > 0 or high < 0 for low, high in intervals]
    return missed / studies


def missed_accuracy(scenario: Scenario, studies: int, seed: int = 0) -> float:
    """Share of studies whose interval over both misses a cell's true accuracy."""
    missed = 0
    for _, correct, clusters in differences(scenario, 0, studies, seed):
        low, high = estimate(correct, clusters).interval()
        missed += low > ACCURACY or high < ACCURACY
    return missed / studies


def decided(
    scenario: Scenario, difference: float, hypothesis: Hypothesis, studies: int, seed: int = 0
) -> dict[str, float]:
    """Share of studies with each verdict on a claim about cells whose true accuracies differ."""
    words = Counter(
        verdict(hypothesis.p_values(measured)) for measured, _, _ in differences(scenario, difference, studies, seed)
    )
    return {word: words[word] / studies for word in WORDS}


def wrong(scenario: Scenario, studies: int) -> dict[str, float]:
    """Rates of wrong verdicts at the bounds, where they are highest."""
    at_zero = decided(scenario, 0, BETTER, studies)
    # a margin that these studies are large enough to exclude
    wide = replace(BETTER, margin=WIDE), replace(ALIKE, margin=WIDE)
    at_margin = [decided(scenario, WIDE, hypothesis, studies, seed=1) for hypothesis in wide]
    return {
        "better: supported": at_zero["supported"],
        "better: contradicted": at_zero["contradicted"],
        "better: negligible": at_margin[0]["negligible"],
        "alike: supported": at_margin[1]["supported"],
        "alike: contradicted": at_margin[1]["contradicted"],
    }


def opposed(effects: tuple[float, ...], studies: int, seed: int = 0) -> tuple[float, float]:
    """Share of studies that support "better" on average over strata with these effects; of these, on average only."""
    rng, scenario = np.random.default_rng(seed), Scenario(images=1400)
    empty = Comparison("above", {}, {}, {}, BETTER, None, "share")
    supported = flagged = 0
    skills = [scenario.skill(ACCURACY + effect) for effect in effects]
    for _ in range(studies):
        cells, clusters = scenario.correct(rng, (*skills, *[scenario.skill(ACCURACY)] * len(effects)))
        pairs = [first - second for first, second in zip(cells, cells[len(effects) :], strict=False)]
        strata = tuple(replace(empty, measured=estimate(pair, clusters)) for pair in pairs)
        average = replace(empty, measured=estimate(np.mean(pairs, 0), clusters), strata=strata)
        if average.verdict() == "supported":
            supported += 1
            flagged += any(average.opposed)
    return supported / studies, flagged / max(supported, 1)


def percent(*shares: float) -> str:
    return " | ".join(f"{100 * share:.1f} %" for share in shares)


def print_table(columns: str) -> None:
    print(f"\n| {columns} |\n|{'---|' * (columns.count('|') + 1)}", flush=True)


def print_coverage(studies: int) -> None:
    print_table("scenario | over seeds | over images | over both | a cell's accuracy, both")
    for name, scenario in SCENARIOS.items():
        print(f"| {name} | {percent(*misses(scenario, studies), missed_accuracy(scenario, studies))} |", flush=True)


def print_wrong_verdicts(studies: int) -> None:
    print_table("scenario | better: supported | contradicted | negligible | alike: supported | contradicted")
    for name, scenario in SCENARIOS.items():
        print(f"| {name} | {percent(*wrong(scenario, studies).values())} |", flush=True)


def print_power(studies: int) -> None:
    print_table("true difference (points) | claim | " + " | ".join(WORDS))
    for difference in (0, 0.005, 0.01, 0.02, 0.03, 0.05):
        for claim, hypothesis in {"better": BETTER, "alike": ALIKE}.items():
            shares = decided(Scenario(images=1400), difference, hypothesis, studies)
            print(f"| {100 * difference:g} | {claim} | {percent(*shares.values())} |", flush=True)


def print_growth(studies: int) -> None:
    """A true difference of half the margin, as data grow."""
    print_table("seeds | images | " + " | ".join(WORDS))
    for seeds, images in ((5, 400), (5, 1400), (20, 1400), (20, 7000), (20, 28000)):
        shares = decided(Scenario(seeds=seeds, images=images), MARGIN / 2, BETTER, studies)
        print(f"| {seeds} | {images:,} | {percent(*shares.values())} |", flush=True)


def print_crossovers(studies: int) -> None:
    print_table("true effects in the strata (points) | supported on average | of these, on average only")
    for effects in ((0.03, 0.03), (0.05, 0.01), (0.06, 0.0), (0.08, -0.02), (0.12, -0.06), (0.06,) * 7 + (-0.06,)):
        shown = ", ".join(f"{100 * effect:+g}" for effect in effects)
        print(f"| {shown} | {percent(*opposed(effects, studies))} |", flush=True)


def print_few_images(studies: int) -> None:
    print_table("test images | difference at the margin: alike | no difference: alike")
    hypothesis = Hypothesis("about", margin=0.02)
    for images in (24, 60, 100, 200, 400, 1400):
        # cells that err on the same images, seed by seed: they often agree on all of a few images
        scenario = Scenario(images=images, seeds=3, own=0.02, seed=0.01, flip=0.01)
        shares = (decided(scenario, each, hypothesis, studies)["supported"] for each in (0.02, 0))
        print(f"| {images:,} | {percent(*shares)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=4000)
    studies = parser.parse_args().studies
    errors = ", ".join(f"{100 * p:g} %: {100 * np.sqrt(p * (1 - p) / studies):.2f}" for p in (0.05, 0.025))
    print(f"{studies} studies each (a quarter in the last four tables); standard errors in points: {errors}")
    print_coverage(studies)
    print_wrong_verdicts(studies)
    for table in (print_power, print_growth, print_crossovers, print_few_images):
        table(studies // 4)


if __name__ == "__main__":
    main()
