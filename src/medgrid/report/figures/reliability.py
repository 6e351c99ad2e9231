"""Reliability diagrams: accuracy at each level of confidence, as trained and with temperature scaling."""

import textwrap

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from statsmodels.stats.proportion import proportion_confint

from medgrid.evaluation.calibration import fit_temperature, reliability, scaled
from medgrid.evaluation.metrics import CONFIDENCE
from medgrid.report.figures import style
from medgrid.report.figures.registry import Drawn, Figure
from medgrid.report.labelled_results import LabelledResults

COLUMNS = 4
BINS = 25  # of the histogram of confidences
LINES = {"as trained": ("o", "-"), "scaled": ("s", "--")}
Panel = tuple[plt.Axes, plt.Axes]  # a reliability diagram, and the histogram below it


def _predictions(study: LabelledResults, cell: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Test probabilities [seeds, n, C] as trained and scaled, each seed by its own temperature, and labels [n]."""
    test, labels = study.predictions(cell)
    validation, validation_labels = study.predictions(cell, "validation")
    scaled_test = [scaled(p, fit_temperature(v, validation_labels)) for p, v in zip(test, validation, strict=True)]
    return {"as trained": test, "scaled": np.array(scaled_test)}, labels


def _draw_panel(panel: Panel, predictions: dict[str, np.ndarray], labels: np.ndarray) -> None:
    diagram, histogram = panel
    seeds, _, classes = predictions["as trained"].shape
    edges = np.linspace(1 / classes, 1, BINS + 1)  # the likeliest class is at least as likely as by chance
    diagram.plot(edges[[0, -1]], edges[[0, -1]], color="0.7", linewidth=1)
    for (name, probabilities), colour in zip(predictions.items(), sns.color_palette(), strict=False):
        pooled = probabilities.reshape(-1, classes)
        images, confidence, accuracy = reliability(pooled, np.tile(labels, seeds))
        # all seeds predict the same images: the sample size is that of one seed
        low, high = proportion_confint(accuracy * images / seeds, images / seeds, 1 - CONFIDENCE, "wilson")
        marker, line = LINES[name]
        diagram.vlines(confidence, low, high, color=colour, linewidth=1, alpha=0.6)
        diagram.plot(confidence, accuracy, marker + line, color=colour, ms=3.5, linewidth=1, label=name)
        shares = np.histogram(pooled.max(1), edges)[0] * 100 / len(pooled)
        histogram.stairs(shares, edges, color=colour, linestyle=line, fill=False, linewidth=1.2)


def _draw_cell(panel: Panel, study: LabelledResults, cell: str, leftmost: bool) -> None:
    diagram, histogram = panel
    predictions, labels = _predictions(study, cell)
    _draw_panel(panel, predictions, labels)
    best = study.best.loc[cell]
    numbers = (
        f"ECE {100 * best['test_ece_mean']:.1f} % as trained, {100 * best['test_ece_scaled_mean']:.1f} % scaled "
        f"(T = {best['temperature_mean']:.2f})"
    )
    title = f"{textwrap.fill(study.label(cell), 34)}\n{textwrap.fill(numbers, 34)}"
    diagram.set_title(title, fontsize=8)
    histogram.set_xlabel("confidence", fontsize=9)
    if leftmost:
        diagram.set_ylabel("accuracy", fontsize=9)
        histogram.set_ylabel(f"% of {len(labels):,}\nimages", fontsize=8)
    for axes in panel:
        axes.tick_params(labelsize=8)
    histogram.tick_params(labelbottom=True)  # shared axes are labelled in the last row only


def _draw_empty(panel: Panel, title: str) -> None:
    panel[0].set_title(textwrap.fill(title, 26), fontsize=8)
    for axes in panel:
        axes.set_axis_off()


def _grid(models: int) -> tuple[plt.Figure, list[Panel]]:
    """A figure, and a pair of axes for each of `models`, with others to fill the last row."""
    columns = min(COLUMNS, models)
    rows = -(-models // columns)
    figure, grid = plt.subplots(
        2 * rows, columns, figsize=(max(2.7 * columns, 4.2), 0.6 + 4.1 * rows), squeeze=False, sharex=True,
        sharey="row", height_ratios=[3, 1] * rows, layout="constrained",
    )  # fmt: skip
    return figure, list(zip(grid[::2].flat, grid[1::2].flat, strict=True))


def reliability_diagrams(study: LabelledResults) -> Drawn:
    """For the selected cell of each model: accuracy against confidence, and a histogram of confidences."""
    figure, panels = _grid(len(study.models))
    columns = min(COLUMNS, len(study.models))
    for i, panel in enumerate(panels):
        cell = study.best_cell(study.models[i]) if i < len(study.models) else None
        if cell is not None:
            _draw_cell(panel, study, cell, leftmost=i % columns == 0)
        elif i < len(study.models):
            _draw_empty(panel, f"{study.models[i] or ''} replicates diverged in every cell")
        else:
            _draw_empty(panel, "")
    for diagram, histogram in panels:  # those of a row share their limits
        diagram.set_ylim(top=1.02)
        histogram.set_ylim(bottom=0)
    handles, names = next((each for each, _ in panels if each.lines), panels[0][0]).get_legend_handles_labels()
    if handles:
        figure.legend(handles, names, ncols=2, **style.BELOW)
    title = ("Reliability on the test set, all seeds; bars: 95 % intervals over images", study.header())
    figure.suptitle("\n".join(filter(None, title)), fontsize=10)
    return figure, study.note(study.table("cells"))


FIGURE = Figure(
    name="reliability",
    caption="Calibration: accuracy at each level of confidence, for each model in the cell that is best by "
    "validation, as trained and with one temperature fitted on validation. Every mark represents the same number of "
    "images.",
    draw=reliability_diagrams,
    heading="reliability diagrams",
    section="classes",
    position=2,
)
