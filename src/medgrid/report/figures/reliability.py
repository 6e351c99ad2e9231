"""Reliability diagrams: whether the chosen cells are right as often as they are sure, as trained and scaled."""

import itertools
import textwrap

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from statsmodels.stats.proportion import proportion_confint

from medgrid.evaluation.calibration import fit_temperature, reliability, scaled
from medgrid.evaluation.metrics import CONFIDENCE
from medgrid.report.study import Study

ACROSS = 4
BARS = 25  # of the histogram of confidences
LOOKS = {"as trained": ("o", "-"), "scaled": ("s", "--")}


def _predictions(study: Study, cell: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Test probabilities [seeds, n, C] as trained and scaled, each seed by its own temperature, and labels [n]."""
    test, labels = study.probabilities(cell)
    validation, known = study.probabilities(cell, "validation")
    mended = [scaled(p, fit_temperature(v, known)) for p, v in zip(test, validation, strict=True)]
    return {"as trained": test, "scaled": np.array(mended)}, labels


def _panel(diagram, counts, predictions: dict[str, np.ndarray], labels: np.ndarray) -> None:
    seeds, _, classes = predictions["as trained"].shape
    sides = np.linspace(1 / classes, 1, BARS + 1)  # the likeliest class is never less likely than by chance
    diagram.plot(sides[[0, -1]], sides[[0, -1]], color="0.7", linewidth=1)
    for (name, probabilities), colour in zip(predictions.items(), sns.color_palette(), strict=False):
        pooled = probabilities.reshape(-1, classes)
        images, confidence, accuracy = reliability(pooled, np.tile(labels, seeds))
        # all seeds saw the same images: as many as one of them has tell about the scatter
        low, high = proportion_confint(accuracy * images / seeds, images / seeds, 1 - CONFIDENCE, "wilson")
        marker, line = LOOKS[name]
        diagram.vlines(confidence, low, high, color=colour, linewidth=1, alpha=0.6)
        diagram.plot(confidence, accuracy, marker + line, color=colour, ms=3.5, linewidth=1, label=name)
        shares = np.histogram(pooled.max(1), sides)[0] * 100 / len(pooled)
        counts.stairs(shares, sides, color=colour, linestyle=line, fill=False, linewidth=1.2)


def reliability_diagrams(study: Study):
    """For each model the cell that validation picks: accuracy against confidence, and how many images are so sure."""
    columns = min(ACROSS, len(study.models))
    lines = -(-len(study.models) // columns)
    figure, grid = plt.subplots(
        2 * lines, columns, figsize=(max(2.7 * columns, 4.2), 0.6 + 4.1 * lines), squeeze=False, sharex=True,
        sharey="row", height_ratios=[3, 1] * lines, layout="constrained",
    )  # fmt: skip
    indices = [
        (grid[2 * line, column], grid[2 * line + 1, column]) for line in range(lines) for column in range(columns)
    ]
    for (diagram, counts), model in itertools.zip_longest(indices, study.models, fillvalue=""):
        cell = study.chosen(model) if model != "" else None
        if cell is None:
            title = "" if model == "" else f"{model or ''} replicates diverged in every cell"
            diagram.set_title("\n".join(textwrap.wrap(title, 26)), fontsize=8)
            diagram.set_axis_off()
            counts.set_axis_off()
            continue
        predictions, labels = _predictions(study, cell)
        _panel(diagram, counts, predictions, labels)
        own = study.best.loc[cell]
        told = (
            f"ECE {100 * own['test_ece_mean']:.1f} % as trained, {100 * own['test_ece_scaled_mean']:.1f} % scaled "
            f"(T = {own['temperature_mean']:.2f})"
        )
        diagram.set_title("\n".join([*textwrap.wrap(study.label(cell), 34), *textwrap.wrap(told, 34)]), fontsize=8)
        counts.set_xlabel("confidence", fontsize=9)
        if diagram in grid[:, 0]:
            diagram.set_ylabel("accuracy", fontsize=9)
            counts.set_ylabel(f"% of {len(labels):,}\nimages", fontsize=8)
        for axes in (diagram, counts):
            axes.tick_params(labelsize=8)
        counts.tick_params(labelbottom=True)  # shared axes have theirs in the last row alone
    for diagram, counts in indices:  # of a row share their limits
        diagram.set_ylim(top=1.02)
        counts.set_ylim(bottom=0)
    handles, names = next((each for each, _ in indices if each.lines), indices[0][0]).get_legend_handles_labels()
    if handles:
        figure.legend(handles, names, loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    title = ("Reliability on the test set, all seeds; bars: 95 % intervals over images", study.header())
    figure.suptitle("\n".join(filter(None, title)), fontsize=10)
    return figure, study.note(study.means)
