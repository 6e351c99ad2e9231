"""Published numbers next to ours."""

import textwrap

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns

from medgrid.config.metrics import COMPARED, METRICS, SIZES, Metric
from medgrid.evaluation.lookup import OF_LABELS, lookup_values
from medgrid.report.figures import style
from medgrid.report.figures.registry import Drawn, Figure
from medgrid.report.labelled_results import LabelledResults


def sources(study: LabelledResults) -> dict[str, pd.DataFrame]:
    """By source, the published results of training for which this run has a value."""
    table = study.table("published")
    table = table[~table["metric"].isin(SIZES) & table["ours"].notna()]
    return {str(source): rows for source, rows in table.groupby("source", sort=False)}


def row_labels(study: LabelledResults, table: pd.DataFrame) -> pd.Series:
    """A label for each row: the document's setting, or our cell where several cells have that setting."""
    cells = table.groupby(["setting", "metric"])["cell"].transform("nunique")
    ours = table["cell"].map(lambda cell: study.label(cell) if pd.notna(cell) else "")
    return table["setting"].where(cells <= 1, ours)


def _draw_metric(axes: plt.Axes, rows: pd.DataFrame, metric: Metric, labels: list[str]) -> None:
    """Published and our values of one metric; the last two lines of the axes are those of all values."""
    y = rows["label"].map(labels.index)
    scale = 100 if metric.percent else 1
    for height, row in zip(y, rows.to_dict("records"), strict=True):
        theirs, ours, low, high = (scale * row[name] for name in ("published", "ours", "low", "high"))
        axes.plot([theirs, ours], [height, height], color="0.8", linewidth=1, zorder=1)
        axes.plot([low, high], [height, height], color="C0", linewidth=3, alpha=0.45)
    axes.plot(scale * rows["ours"], y, "o", color="C0", ms=4.5)
    axes.plot(scale * rows["published"], y, "D", color="C3", markerfacecolor="none", ms=5.5)
    axes.set_title(metric.title + (" in %" if metric.percent else ""), fontsize=9)
    if metric.percent:
        style.limit_view(axes, "x", 100 * metric.low, 100 * metric.high)


def published(study: LabelledResults, source: str) -> Drawn:
    """Our values with their intervals next to the published ones: a panel per metric."""
    table = sources(study)[source]
    table = table.assign(label=row_labels(study, table))
    labels, metrics = list(dict.fromkeys(table["label"])), list(dict.fromkeys(table["metric"]))
    width = 0.5 + 0.065 * max(map(len, labels)) + 3.0 * max(len(metrics), 1.5)
    figure, grid = plt.subplots(
        1, len(metrics), figsize=(width, 1.5 + 0.25 * len(labels)), sharey=True, squeeze=False, layout="constrained"
    )
    for axes, metric in zip(grid[0], metrics, strict=True):
        if metric in COMPARED and METRICS[metric].function in OF_LABELS:
            style.draw_lookup(axes, lookup_values(study, metric))
        _draw_metric(axes, table[table["metric"] == metric], METRICS[metric], labels)
    grid[0, 0].set_yticks(range(len(labels)), labels, fontsize=8)
    grid[0, 0].set_ylim(len(labels) - 0.5, -0.5)
    ours, theirs = grid[0, 0].get_lines()[-2:]
    handles = [ours, plt.Line2D([], [], color="C0", linewidth=3, alpha=0.45), theirs]
    figure.legend(
        handles, ["ours, mean over seeds", "95 % interval of that mean", "published"], ncols=3, **style.BELOW
    )
    figure.suptitle(textwrap.fill(f"Published and ours: {source}", 70), fontsize=11)
    sns.despine(figure, left=True)
    return figure, study.note(study.best.loc[table["cell"].unique()])


def _variants(study: LabelledResults) -> dict[str, tuple]:
    names = list(sources(study))
    return {"" if len(names) == 1 else f"{i:02d}": (name,) for i, name in enumerate(names, start=1)}


FIGURE = Figure(
    name="published",
    caption="Published values next to our mean over seeds and its 95 % interval. The interval is for the mean. "
    "Most published numbers come from a single run, which varies more. Dotted line: the nearest-thumbnail lookup.",
    draw=published,
    variants=_variants,
    heading="comparisons with published values",
    section="published",
)
