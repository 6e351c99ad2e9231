"""ROC curves of the selected cells."""

import textwrap

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.metrics import roc_curve

from medgrid.evaluation.metrics import interval
from medgrid.report.figures.registry import Drawn, Figure
from medgrid.report.labelled_results import LabelledResults

RATES = np.linspace(0, 1, 201)  # common false-positive rates on which ROC curves are averaged
MACRO, MICRO = "mean of classes (macro)", "all pooled (micro)"
LINE_STYLES = {MACRO: ":", MICRO: "--"}


def _roc(truth: np.ndarray, score: np.ndarray) -> np.ndarray:
    """True-positive rates [rates] of scores [n] for a 0/1 truth [n]."""
    false, true, _ = roc_curve(truth, score)
    interpolated = np.interp(RATES, false, true)
    interpolated[0] = 0
    return interpolated


def _curves(study: LabelledResults, probabilities: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Curves [seeds, rates] by name; of two classes the second alone, since the other's is its mirror image."""
    usable = [p for p in probabilities if np.isfinite(p).all()]
    truth = np.eye(len(study.classes))[labels]
    shown = range(len(study.classes)) if len(study.classes) > 2 else [1]
    by_class = {study.classes[c]: np.array([_roc(truth[:, c], p[:, c]) for p in usable]) for c in shown}
    if len(study.classes) == 2:
        return by_class
    pooled = np.array([_roc(truth.ravel(), p.ravel()) for p in usable])
    mean = np.mean(list(by_class.values()), axis=0)
    return by_class | {MACRO: mean, MICRO: pooled}


def _areas(study: LabelledResults, cell: str) -> dict[str, pd.Series]:
    """Areas under the curves of a cell, by name; one per seed."""
    per_class, replicates = study.table("per_class"), study.best_replicates
    per_class = per_class[(per_class["cell"] == cell) & (per_class["checkpoint"] == "best")]
    replicates = replicates[replicates["cell"] == cell]
    areas = {str(name): rows["auc"] for name, rows in per_class.groupby("class")}
    return areas | {MACRO: replicates["test_auc_macro"], MICRO: replicates["test_auc_micro"]}


def _draw_curves(axes: plt.Axes, study: LabelledResults, cell: str) -> None:
    areas = _areas(study, cell)
    for name, curves in _curves(study, *study.predictions(cell)).items():
        mean, low, high = interval(areas[name].to_numpy(float), "auc")
        label = f"{name}: AUC {mean:.4f}" + (f" [{low:.4f}, {high:.4f}]" if np.isfinite(low) else "")
        (line,) = axes.plot(RATES, curves.mean(0), LINE_STYLES.get(name, "-"), linewidth=1.3, label=label)
        axes.fill_between(RATES, curves.min(0), curves.max(0), color=line.get_color(), alpha=0.15, linewidth=0)
    axes.legend(fontsize=7, loc="lower right", title="95 % intervals over seeds", title_fontsize=7)


def roc(study: LabelledResults, model: str | None) -> Drawn:
    """ROC on the test set of the selected cell: each class, their mean and all pooled."""
    cell = study.best_cell(model)
    figure, axes = plt.subplots(figsize=(4.8, 4.6))
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1, linestyle="--")
    if cell is not None:
        _draw_curves(axes, study, cell)
    title = f"ROC: {study.long_label(cell)}" if cell else f"{model or ''} replicates diverged in every cell"
    axes.set(
        xlabel="false-positive rate", ylabel="true-positive rate", xlim=(-0.01, 1), ylim=(0, 1.01), aspect="equal"
    )
    axes.set_title(textwrap.fill(title, 60), fontsize=9)
    return figure, study.note(study.of_model(study.table("cells"), model))


FIGURE = Figure(
    name="roc",
    caption="For each model, the cell that is best by validation. Bands span the lowest to the highest replicate.",
    draw=roc,
    variants=lambda study: {model or "": (model,) for model in study.models},
    heading="ROC curves",
    section="classes",
    position=3,
)
