"""Test accuracy against the size of the network."""

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

from medgrid.report.figures import style
from medgrid.report.figures.registry import Drawn, Figure
from medgrid.report.labelled_results import LabelledResults


def _draw_cell(axes: plt.Axes, study: LabelledResults, cell: str, colour: tuple) -> None:
    """Test accuracy of a cell at the number of its parameters (filled) and of those that train (hollow)."""
    mean, low, high = style.in_percent(study.best_row(cell))
    sizes = study.network_sizes.loc[cell]
    parameters, trainable = float(sizes["parameters"]), float(sizes["trainable"])
    axes.plot([trainable, parameters], [mean, mean], color=colour, linewidth=1, alpha=0.6)
    axes.plot(trainable, mean, "o", color=colour, markerfacecolor="white", ms=7)
    axes.errorbar(
        parameters, mean, yerr=style.error_bar(mean, low, high), fmt="o", color=colour, capsize=3, ms=7,
        label=study.label(cell),
    )  # fmt: skip


def accuracy_parameters(study: LabelledResults) -> Drawn:
    """The cell of each model that is best by validation: test accuracy against the size of its network."""
    colours = style.colours(study.models)
    figure, axes = plt.subplots(figsize=(6.2, 4.2))
    best = {model: study.best_cell(model) for model in study.models}
    shown = {model: cell for model, cell in best.items() if cell is not None and cell in study.network_sizes.index}
    for model, cell in shown.items():
        _draw_cell(axes, study, cell, colours[model])
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
    axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set(xlabel="parameters: all (filled), trained (hollow)", ylabel="test accuracy in %")
    style.limit_view(axes, "y", 0, 100)
    axes.set_title("Accuracy against size, best cell of each model", fontsize=11)
    axes.legend(title=study.header(), title_fontsize=7, **style.RIGHT)
    sns.despine(figure)
    return figure, study.note(study.best.loc[list(shown.values())])


def _applies(study: LabelledResults) -> bool:
    return len(study.models) > 1 and any(study.best_cell(model) for model in study.models)


FIGURE = Figure(
    name="accuracy_parameters",
    caption="For each model, the cell that is best by validation. Bars: 95 % interval over seeds. Hollow: trainable "
    "parameters of that cell.",
    draw=accuracy_parameters,
    variants=lambda study: {"": ()} if _applies(study) else {},
    position=5,
)
