"""The best and the worst cell of each model."""

import matplotlib.pyplot as plt
import seaborn as sns

from medgrid.report.figures import style
from medgrid.report.figures.registry import Drawn, Figure
from medgrid.report.labelled_results import LabelledResults

MARKERS = {"best": "o", "worst": "s"}


def _rows(study: LabelledResults) -> list[tuple[str | None, str, str]]:
    """Model, rank and cell of the first and the last cell by validation, for models with two usable cells or more."""
    rows = []
    for model in study.models:
        scores = study.validation_scores(model)
        if len(scores) > 1:
            rows += [(model, "best", scores.idxmax()), (model, "worst", scores.idxmin())]
    return rows


def _draw_rows(axes: plt.Axes, study: LabelledResults, rows: list[tuple[str | None, str, str]]) -> None:
    colours = style.colours(study.models)
    for y, (model, rank, cell) in enumerate(rows):
        row = study.best_row(cell)
        mean, low, high = style.in_percent(row)
        axes.errorbar(
            mean, y, xerr=style.error_bar(mean, low, high), fmt=MARKERS[rank], color=colours[model], capsize=3, ms=6
        )
        validation, _, _ = style.in_percent(row, "validation_accuracy")
        axes.plot(validation, y, "D", markerfacecolor="none", color="0.35", ms=5)
        if rank == "best" and y:
            axes.axhline(y - 0.5, color="0.85", linewidth=0.8)


def _add_legend(figure: plt.Figure) -> None:
    handles = [plt.Line2D([], [], color="0.35", linestyle="", marker=marker) for marker in MARKERS.values()]
    handles += [plt.Line2D([], [], color="0.35", linestyle="", marker="D", markerfacecolor="none")]
    figure.legend(handles, [*(f"{rank}, test" for rank in MARKERS), "validation"], ncols=3, **style.BELOW)


def best_worst(study: LabelledResults) -> Drawn:
    """For each model the cells that validation ranks first and last, and their test accuracy."""
    rows = _rows(study)
    figure, axes = plt.subplots(figsize=(8.2, 1.3 + 0.32 * len(rows)), layout="constrained")
    _draw_rows(axes, study, rows)
    axes.set_yticks(range(len(rows)), [f"{study.label(cell)}  {rank}" for _, rank, cell in rows], fontsize=8)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("accuracy in %")
    style.limit_view(axes, "x", 0, 100)
    axes.set_title(study.header(), fontsize=8, color="0.3", loc="left")
    _add_legend(figure)
    criterion = study.manifest.select.replace("_", " ")
    figure.suptitle(f"Best and worst cell of each model by {criterion}", fontsize=11)
    sns.despine(figure, left=True)
    return figure, study.note(study.best.loc[[cell for *_, cell in rows]])


FIGURE = Figure(
    name="best_worst",
    caption="For each model, the cells that validation ranks first and last, without cells in which a replicate "
    "diverged. Bars: 95 % interval over seeds.",
    draw=best_worst,
    variants=lambda study: {"": ()} if len(study.models) > 1 and _rows(study) else {},
    position=4,
)
