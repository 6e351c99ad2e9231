"""Learning curves: a figure per model, or several where one would hold too many panels."""

import textwrap

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from medgrid.evaluation.labels import describe, setting_name
from medgrid.report.figures import style
from medgrid.report.study import Study, read, settings_in, where

PANELS = 6  # in one figure, at most
LEGEND = 8  # entries in a row


def colour_axis(study: Study, cells: pd.DataFrame) -> str | None:
    """The axis that lines compare within a panel: the number with the most values, else the last that varies."""
    candidates = [axis for axis in study.varied if axis != "model" and cells[axis].nunique() > 1]
    raw = study.settings["cells"]
    numbers = [axis for axis in candidates if not any(isinstance(cell[axis], str | list) for cell in raw)]
    if numbers:
        return max(reversed(numbers), key=lambda axis: cells[axis].nunique())
    return candidates[-1] if candidates else None


def divide(cells: pd.DataFrame, axes: list[str]) -> list[pd.DataFrame]:
    """Cells of one figure each, with at most PANELS settings of `axes`.

    Where there are more, a figure for each value of the leading axis, and so on; neighbours that fit into one share
    it.
    """
    if len(settings_in(cells, axes)) <= PANELS or not axes:
        return [cells]
    pieces = [
        piece
        for _, group in cells.groupby(axes[0], sort=False)
        for piece in divide(group, axes[1:])
    ]  # fmt: skip
    merged = pieces[:1]
    for piece in pieces[1:]:
        together = pd.concat([merged[-1], piece])
        if len(settings_in(together, axes)) <= PANELS:
            merged[-1] = together
        else:
            merged.append(piece)
    return merged


def curve_figures(study: Study) -> dict[str, tuple[pd.DataFrame, str | None]]:
    """Names of the figures; the cells of each, and the axis that colours tell apart.

    Models of one panel each stand side by side in one figure.
    """

    def middle(hue: str | None) -> list[str]:
        return [axis for axis in study.varied if axis not in ("model", hue)]

    hue = colour_axis(study, study.cells)
    if all(len(settings_in(study.cells_of(model), middle(hue))) == 1 for model in study.models):
        groups = {"curves": (study.cells, hue, [axis for axis in study.varied if axis == "model"])}
    else:
        groups = {}
        for model in study.models:
            cells = study.cells_of(model)
            hue = colour_axis(study, cells)
            groups[f"curves-{model}" if model else "curves"] = cells, hue, middle(hue)
    named = {}
    for name, (cells, hue, axes) in groups.items():
        pieces = divide(cells, axes)
        for i, piece in enumerate(pieces, start=1):
            named[f"{name}-{i:02d}" if len(pieces) > 1 else name] = piece, hue
    return named


def _line(axes, of_cell: pd.DataFrame, curve: str, look: str, colour) -> None:
    """A mean and its band; where seeds have stopped early, the mean of those left goes on, fainter."""
    epochs = of_cell["epoch"].to_numpy()
    mean, low, high = (of_cell[f"{curve}_{statistic}"].to_numpy() for statistic in ("mean", "min", "max"))
    whole = int((of_cell["seeds"] == of_cell["seeds"].max()).sum())
    axes.plot(epochs[:whole], mean[:whole], look, color=colour, linewidth=1.2)
    axes.plot(epochs[whole - 1 :], mean[whole - 1 :], look, color=colour, linewidth=0.8, alpha=0.5)
    axes.fill_between(epochs, low, high, color=colour, alpha=0.15, linewidth=0)


def curves(study: Study, cells: pd.DataFrame, hue: str | None):
    """Loss above accuracy by epoch: a pair of panels per setting, a colour per value of one axis."""
    table = read(study.folder / "curves.csv")
    table = table[table["cell"].isin(cells.index)]
    colours = style.colours(study.values[hue]) if hue else {}
    random_calibrated = [axis for axis in study.varied if axis != hue and cells[axis].nunique() == 1]
    varied = [axis for axis in study.varied if axis != hue and axis not in random_calibrated]
    panels = settings_in(cells, varied)
    columns = len(panels) if len(panels) < 5 else 3
    rows = -(-len(panels) // columns)
    width = {1: 5.2, 2: 4.2, 3: 3.3, 4: 2.7}[columns]
    figure = plt.figure(figsize=(0.8 + width * columns, 5.2 * rows), layout="constrained")
    # one figure within the figure per row of panels, so that each keeps its titles and its epochs
    loss_scale = "log" if (table[["train_loss_mean", "validation_loss_mean"]].max() > 0).any() else "linear"
    shared: list = []
    for row, inner in enumerate(np.atleast_1d(figure.subfigures(rows, 1))):
        grid = inner.subplots(2, columns, squeeze=False, sharex=True, sharey="row")
        for place in range(columns):
            i = row * columns + place
            if i >= len(panels):
                grid[0, place].set_axis_off(), grid[1, place].set_axis_off()
                continue
            inside = where(cells, varied, panels[i])
            for cell in inside.index:
                of_cell = table[table["cell"] == cell]
                colour = colours[cells.loc[cell, hue]] if hue else "C0"
                for axes, quantity in zip(grid[:, place], ("loss", "accuracy"), strict=True):
                    for part, look in (("train", ":"), ("validation", "-")):
                        _line(axes, of_cell, f"{part}_{quantity}", look, colour)
            title = describe(dict(zip(varied, panels[i], strict=True)))
            grid[0, place].set_title(textwrap.fill(title, int(12 * width)), fontsize=9)
            grid[1, place].set_xlabel("epoch")
        grid[0, 0].set(ylabel="loss", yscale=loss_scale)
        grid[1, 0].set(ylabel="accuracy")
        shared.append((grid[0, 0], grid[1, 0]))
    # the same scale in every row of panels
    for pair in zip(*shared, strict=True):
        limits = [axes.get_ylim() for axes in pair]
        for axes in pair:
            axes.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
    for _, below in shared:
        below.set_ylim(None, 1.0)
    present = [value for value in colours if hue and (cells[hue] == value).any()]
    handles = [plt.Line2D([], [], color=colours[value]) for value in present]
    handles += [plt.Line2D([], [], color="0.3", linestyle=look) for look in (":", "-")]
    title = " of ".join(filter(None, ("Learning curves", describe(dict(cells[random_calibrated].iloc[0])))))
    figure.suptitle(f"{title}\nmean over seeds, lowest to highest", fontsize=11)
    labels = [*present, "train", "validation"]
    figure.legend(
        handles, labels, title=setting_name(hue) if hue else None, loc="outside lower center",
        ncols=min(len(labels), LEGEND), frameon=False,
    )  # fmt: skip
    return figure, study.note(table)
