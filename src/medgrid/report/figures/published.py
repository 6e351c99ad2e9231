"""Figures of what a document prints, beside what this run found."""

import textwrap

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns

from medgrid.config.metrics import SIZES
from medgrid.report.figures import style
from medgrid.report.study import Study, read

ACROSS = 3
NAMES = {
    "test_loss_with_penalty": "test loss with penalty", "test_auc_macro": "test AUC", "f1": "F1",
    "test_ece": "test ECE", "test_ece_scaled": "test ECE, scaled", "test_loss_scaled": "test loss, scaled",
    "test_accuracy_deduplicated": "test accuracy without near-duplicates",
}  # fmt: skip


def is_share(metric: str) -> bool:
    """Whether a metric is read in per cent."""
    unbounded = any(word in metric for word in ("loss", "auc", "penalty", "brier", "temperature"))
    return not unbounded and metric not in (*SIZES, "support")


def metric_name(metric: str) -> str:
    return NAMES.get(metric, metric.replace("_", " "))


def sources(study: Study) -> dict[str, pd.DataFrame]:
    """By source, the published numbers that training gave and that this run has a value for."""
    table = read(study.folder / "published.csv")
    table = table[~table["metric"].isin(SIZES) & table["ours"].notna()]
    return dict(iter(table.groupby("source", sort=False)))


def settings_of(study: Study, table: pd.DataFrame) -> pd.Series:
    """What each row is about: the document's words, and our cell where they fit several; the class behind it."""
    cells = table.groupby(["setting", "metric"])["cell"].transform("nunique")
    own = table["cell"].map(lambda cell: study.label(cell) if pd.notna(cell) else "")
    return table["setting"].where(cells <= 1, own)


def published(study: Study, source: str):
    """Ours with its interval beside the published value: a panel per metric."""
    table = sources(study)[source]
    table = table.assign(label=settings_of(study, table))
    labels = list(dict.fromkeys(table["label"]))
    metrics = list(dict.fromkeys(table["metric"]))
    width = 0.5 + 0.065 * max(map(len, labels)) + 3.0 * max(len(metrics), 1.5)
    figure, grid = plt.subplots(
        1, len(metrics), figsize=(width, 1.5 + 0.25 * len(labels)), sharey=True,
        squeeze=False, layout="constrained",
    )  # fmt: skip
    for axes, metric in zip(grid[0], metrics, strict=True):
        rows = table[table["metric"] == metric]
        indices = rows["label"].map(labels.index)
        scale = 100 if is_share(metric) else 1
        for place, row in zip(indices, rows.to_dict("records"), strict=True):
            published, ours, low, high = (scale * row[name] for name in ("published", "ours", "low", "high"))
            axes.plot([published, ours], [place, place], color="0.8", linewidth=1, zorder=1)
            axes.plot([low, high], [place, place], color="C0", linewidth=3, alpha=0.45)
        axes.plot(scale * rows["ours"], indices, "o", color="C0", ms=4.5)
        axes.plot(scale * rows["published"], indices, "D", color="C3", markerfacecolor="none", ms=5.5)
        axes.set_title(metric_name(metric) + (" in %" if is_share(metric) else ""), fontsize=9)
        if is_share(metric):
            style.within(axes.xaxis, -100 if "kappa" in metric else 0, 100)
    grid[0, 0].set_yticks(range(len(labels)), labels, fontsize=8)
    grid[0, 0].set_ylim(len(labels) - 0.5, -0.5)
    ours, beside = grid[0, 0].get_lines()[-2:]
    handles = [ours, plt.Line2D([], [], color="C0", linewidth=3, alpha=0.45), beside]
    figure.legend(
        handles, ["ours, mean over seeds", "95 % interval of that mean", "published"], loc="outside lower center",
        ncols=3, frameon=False, fontsize=8,
    )  # fmt: skip
    title = "\n".join(textwrap.wrap(f"Published and ours: {source}", 70))
    figure.suptitle(title, fontsize=11)
    sns.despine(figure, left=True)
    return figure, study.note(study.best.loc[table["cell"].unique()])
