"""Figures of the classes: where the chosen cells err, and their ROC curves."""

import itertools
import textwrap

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from sklearn.metrics import roc_curve

from medgrid.evaluation.metrics import interval
from medgrid.report.study import Study, read

RATES = np.linspace(0, 1, 201)  # common false-positive rates on which ROC curves are averaged
ACROSS = 3  # confusion matrices in a row, but for four


def confusion(study: Study):
    """For each model the cell that validation picks: shares of the true class, mean over seeds."""
    counts = read(study.folder / "confusion.csv")
    counts = counts[counts["checkpoint"] == "best"]
    columns = 2 if len(study.models) == 4 else min(ACROSS, len(study.models))
    rows = -(-len(study.models) // columns)
    longest, side = max(map(len, study.classes)), 0.6 * len(study.classes)
    width, height = max(side + 0.5 + 0.075 * longest, 2.3), side + 1.1 + 0.04 * longest
    figure, grid = plt.subplots(
        rows,
        columns,
        figsize=(max(0.3 + width * columns, 4.2), 0.5 + height * rows),
        squeeze=False,
        layout="constrained",
    )
    for axes, model in itertools.zip_longest(grid.flat, study.models, fillvalue=""):
        if model == "":
            axes.set_axis_off()
            continue
        cell = study.chosen(model)
        if cell is None:
            axes.set_title(
                "\n".join(textwrap.wrap(f"{model or ''} replicates diverged in every cell", 26)), fontsize=8
            )
            axes.set_axis_off()
            continue
        table = counts[counts["cell"] == cell].pivot_table("images", "class", "predicted", aggfunc="mean")
        table = table.loc[study.classes, study.classes]
        # a class without test images has no shares
        shares = 100 * table.div(table.sum(axis=1).where(lambda total: total > 0), axis=0)
        sns.heatmap(
            shares, annot=True, fmt=".1f", cmap="Blues", vmin=0, vmax=100, cbar=False, square=True, ax=axes,
            annot_kws={"fontsize": 8},
        )  # fmt: skip
        axes.set_xlabel("predicted", fontsize=9)
        axes.set_ylabel("true" if axes in grid[:, 0] else "", fontsize=9)
        axes.set_title("\n".join(textwrap.wrap(study.label(cell), 30)), fontsize=8)
        axes.tick_params(axis="x", rotation=30, labelsize=8)
        axes.tick_params(axis="y", rotation=0, labelsize=8)
    title = ("Confusion in % of the true class, mean over seeds", study.header())
    figure.suptitle("\n".join(filter(None, title)), fontsize=11)
    return figure, study.note(study.means)


def _roc(truth: np.ndarray, score: np.ndarray) -> np.ndarray:
    false, true, _ = roc_curve(truth, score)
    interpolated = np.interp(RATES, false, true)
    interpolated[0] = 0
    return interpolated


def _lines(study: Study, probabilities: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Curves [seeds, rates] by name; of two classes the second alone, since the other's is its mirror image."""
    usable = [p for p in probabilities if np.isfinite(p).all()]
    truth = np.eye(len(study.classes))[labels]
    shown = range(len(study.classes)) if len(study.classes) > 2 else [1]
    by_class = {study.classes[c]: np.array([_roc(truth[:, c], p[:, c]) for p in usable]) for c in shown}
    if len(study.classes) == 2:
        return by_class
    pooled = np.array([_roc(truth.ravel(), p.ravel()) for p in usable])
    mean = np.mean(list(by_class.values()), axis=0)
    return by_class | {"mean of classes (macro)": mean, "all pooled (micro)": pooled}


def roc(study: Study, model: str | None):
    """ROC on the test set of the cell that validation picks: each class, their mean and all pooled."""
    cell = study.chosen(model)
    figure, axes = plt.subplots(figsize=(4.8, 4.6))
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1, linestyle="--")
    if cell is not None:
        per_class = read(study.folder / "per_class.csv")
        per_class = per_class[(per_class["cell"] == cell) & (per_class["checkpoint"] == "best")]
        areas = {name: values["auc"] for name, values in per_class.groupby("class")}
        single = study.replicates[(study.replicates["cell"] == cell) & (study.replicates["checkpoint"] == "best")]
        areas |= {"mean of classes (macro)": single["test_auc_macro"], "all pooled (micro)": single["test_auc_micro"]}
        looks = {"mean of classes (macro)": ":", "all pooled (micro)": "--"}
        for name, line in _lines(study, *study.probabilities(cell)).items():
            mean, low, high = interval(areas[name].to_numpy(float), "auc")
            label = f"{name}: AUC {mean:.4f}" + (f" [{low:.4f}, {high:.4f}]" if np.isfinite(low) else "")
            (drawn,) = axes.plot(RATES, line.mean(0), looks.get(name, "-"), linewidth=1.3, label=label)
            axes.fill_between(RATES, line.min(0), line.max(0), color=drawn.get_color(), alpha=0.15, linewidth=0)
        axes.legend(fontsize=7, loc="lower right", title="95 % intervals over seeds", title_fontsize=7)
    title = f"ROC: {study.described(cell)}" if cell else f"{model or ''} replicates diverged in every cell"
    axes.set(
        xlabel="false-positive rate", ylabel="true-positive rate", xlim=(-0.01, 1), ylim=(0, 1.01), aspect="equal"
    )
    axes.set_title("\n".join(textwrap.wrap(title, 60)), fontsize=9)
    return figure, study.note(study.of_model(study.means, model))
