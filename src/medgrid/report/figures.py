"""The figures of a study, whatever its axes: the last axis is the colour, the first the model."""

import itertools
import shutil
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from sklearn.metrics import roc_curve
from tqdm import tqdm

from medgrid.data import PARTS
from medgrid.evaluation.metrics import interval
from medgrid.report import style
from medgrid.report.study import Study, read, setting_name, setting_value

SAMPLES = 2  # images per class and part
RATES = np.linspace(0, 1, 201)  # common false-positive rates on which ROC curves are averaged


def where(table: pd.DataFrame, columns: list[str], values: tuple) -> pd.DataFrame:
    """The rows that have these values in these columns."""
    for column, value in zip(columns, values, strict=True):
        table = table[table[column] == value]
    return table


def class_counts(study: Study, split: pd.DataFrame):
    counts = split.groupby(["part", "label"]).size().rename("images").reset_index()
    figure, axes = plt.subplots(figsize=(6.4, 3.2))
    sns.barplot(
        counts,
        x="label",
        y="images",
        hue="part",
        order=study.classes,
        hue_order=PARTS,
        ax=axes,
        errorbar=None,
    )
    for bars in axes.containers:
        axes.bar_label(bars, fontsize=7)
    axes.set(xlabel="", title=f"Images per class and part ({len(split):,} in all)")
    axes.legend(title="", loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    sns.despine(figure)
    return figure


def samples(study: Study, split: pd.DataFrame, tensors: np.ndarray):
    columns = len(study.classes) * SAMPLES
    figure, grid = plt.subplots(len(PARTS), columns, figsize=(1.15 * columns, 1.3 * len(PARTS)), squeeze=False)
    for row, part in enumerate(PARTS):
        for place, label in enumerate(study.classes):
            rows = split.loc[(split["part"] == part) & (split["label"] == label), "row"]
            shown = np.linspace(0, len(rows) - 1, SAMPLES).astype(int) if len(rows) else []
            for i in range(SAMPLES):
                axes = grid[row, place * SAMPLES + i]
                axes.set(xticks=[], yticks=[])
                axes.grid(False)
                if i < len(shown):
                    axes.imshow(tensors[rows.iloc[shown[i]]])
                if i == 0:
                    axes.set_title(label if row == 0 else "", loc="left", fontsize=9)
        grid[row, 0].set_ylabel(part)
    figure.tight_layout(pad=0.3)
    return figure


def curves(study: Study, model: str | None):
    """Loss and accuracy by epoch: a column per setting of the middle axes, a colour per value of the last."""
    table = study.of_model(read(study.folder / "curves.csv"), model)
    *rest, hue = study.axes
    middle = [axis for axis in rest if axis != "model"]
    cells = study.cells[study.cells["id"].isin(table["cell"])]
    panels = list(dict.fromkeys(cells[middle].itertuples(index=False, name=None))) if middle else [()]
    colours = style.colours(cells[hue])
    figure, grid = plt.subplots(
        2, len(panels), figsize=(1.2 + 3.6 * len(panels), 5.2), sharex=True, sharey="row", squeeze=False
    )
    for column, panel in enumerate(panels):
        inside = where(cells, middle, panel)
        for cell in inside["id"]:
            of_cell = table[table["cell"] == cell]
            for row, quantity in enumerate(("loss", "accuracy")):
                for part, line in (("train", ":"), ("validation", "-")):
                    mean, low, high = (of_cell[f"{part}_{quantity}_{s}"] for s in ("mean", "min", "max"))
                    colour = colours[cells.loc[cell, hue]]
                    grid[row, column].plot(of_cell["epoch"], mean, line, color=colour, linewidth=1.2)
                    grid[row, column].fill_between(of_cell["epoch"], low, high, color=colour, alpha=0.2, linewidth=0)
        title = ", ".join(f"{setting_name(a)} {setting_value(v)}" for a, v in zip(middle, panel, strict=True))
        grid[0, column].set_title(title, fontsize=10)
        grid[1, column].set_xlabel("epoch")
    grid[0, 0].set(ylabel="loss", yscale="log" if (table["train_loss_mean"] > 0).any() else "linear")
    grid[1, 0].set(ylabel="accuracy", ylim=(None, 1.0))
    handles = [plt.Line2D([], [], color=colour) for colour in colours.values()]
    handles += [plt.Line2D([], [], color="0.3", linestyle=line) for line in (":", "-")]
    labels = [setting_value(each) for each in colours] + ["train", "validation"]
    figure.suptitle(f"Learning curves{f' of {model}' if model else ''}: mean over seeds, lowest to highest")
    figure.tight_layout()
    figure.legend(
        handles, labels, title=setting_name(hue), loc="upper center", bbox_to_anchor=(0.5, 0), ncols=len(labels),
        frameon=False,
    )  # fmt: skip
    return figure, study.note(table)


def heatmap(study: Study):
    """Mean test accuracy over the last two axes, a panel per setting of the others."""
    best = study.means[study.means["checkpoint"] == "best"]
    rows, columns = (study.axes[-2], study.axes[-1]) if len(study.axes) > 1 else (None, study.axes[-1])
    rest = study.axes[:-2]
    panels = list(dict.fromkeys(best[rest].itertuples(index=False, name=None))) if rest else [()]
    values = best["test_accuracy_mean"]
    figure, grid = plt.subplots(1, len(panels), figsize=(1 + 3.6 * len(panels), 2.6), squeeze=False)
    for axes, panel in zip(grid[0], panels, strict=True):
        inside = where(best, rest, panel)
        table = (inside if rows else inside.assign(all="")).pivot_table(
            "test_accuracy_mean", rows or "all", columns, dropna=False
        )
        sns.heatmap(
            100 * table, annot=True, fmt=".1f", cmap="Blues", vmin=100 * values.min(), vmax=100 * values.max(),
            ax=axes, cbar=False, linewidths=1,
            xticklabels=[setting_value(v) for v in table.columns],
            yticklabels=[setting_value(v) for v in table.index] if rows else False,
        )  # fmt: skip
        axes.set(
            xlabel=setting_name(columns),
            ylabel=setting_name(rows) if rows else "",
            title=", ".join(map(str, panel)),
        )
        axes.tick_params(axis="y", rotation=0)
    figure.suptitle("Test accuracy in %, mean over seeds, at the best epoch by validation", fontsize=11)
    figure.tight_layout()
    return figure, study.note(best)


def ranking(study: Study):
    """All cells by mean test accuracy, with 95 % intervals over seeds and every single replicate."""
    best = study.means[study.means["checkpoint"] == "best"].sort_values("test_accuracy_mean", ascending=False)
    single = study.replicates[study.replicates["checkpoint"] == "best"]
    figure, axes = plt.subplots(figsize=(7, 1 + 0.26 * len(best)))
    places = np.arange(len(best))
    model = best["model"] if "model" in best else pd.Series("", best.index)
    colours = style.colours(study.cells.get("model", [""]))
    for name, colour in colours.items():
        mine = (model == name).to_numpy()
        mean, low, high = (100 * best.loc[mine, f"test_accuracy_{s}"].to_numpy() for s in ("mean", "low", "high"))
        errors = np.nan_to_num([mean - low, high - mean])
        axes.errorbar(mean, places[mine], xerr=errors, fmt="o", color=colour, label=name or None, capsize=3, ms=4)
    for place, cell in zip(places, best["cell"], strict=True):
        dots = 100 * single.loc[single["cell"] == cell, "test_accuracy"]
        axes.plot(dots, np.full(len(dots), place), "|", color="0.4", ms=7, alpha=0.8)
    axes.set_yticks(places, [study.label(cell, study.axes) for cell in best["cell"]], fontsize=8)
    axes.invert_yaxis()
    axes.set(xlabel="test accuracy in %", title="Ranking: mean and 95 % interval over seeds; bars: single seeds")
    sns.despine(figure, left=True)
    return figure, study.note(best)


def confusion(study: Study):
    """For each model the cell that validation picks: shares of the true class, mean over seeds."""
    counts = read(study.folder / "confusion.csv")
    counts = counts[counts["checkpoint"] == "best"]
    figure, grid = plt.subplots(1, len(study.models), figsize=(0.6 + 3.5 * len(study.models), 3.6), squeeze=False)
    for axes, model in zip(grid[0], study.models, strict=True):
        cell = study.chosen(model)
        if cell is None:
            axes.set_title(f"{model}: replicates diverged in every cell")
            continue
        table = counts[counts["cell"] == cell].pivot_table("images", "class", "predicted", aggfunc="mean")
        table = table.loc[study.classes, study.classes]
        shares = 100 * table.div(table.sum(axis=1), axis=0)
        sns.heatmap(shares, annot=True, fmt=".1f", cmap="Blues", vmin=0, vmax=100, cbar=False, square=True, ax=axes)
        axes.set(xlabel="predicted", ylabel="true" if axes is grid[0, 0] else "")
        axes.set_title(study.label(cell, study.axes).replace(", ", "\n", 1), fontsize=9)
        axes.tick_params(axis="x", rotation=30)
    figure.suptitle("Confusion in % of the true class, mean over seeds", fontsize=11)
    figure.tight_layout()
    return figure, study.note(study.means)


def roc(study: Study, model: str | None):
    """ROC on the test set of the cell that validation picks: each class, their mean and all pooled."""
    cell = study.chosen(model)
    figure, axes = plt.subplots(figsize=(4.8, 4.6))
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1, linestyle="--")
    if cell is not None:
        probabilities, labels = study.probabilities(cell)
        truth = np.eye(len(study.classes))[labels]
        usable = [p for p in probabilities if np.isfinite(p).all()]
        by_class = np.array([[_roc(truth[:, c], p[:, c]) for c in range(len(study.classes))] for p in usable])
        pooled = np.array([_roc(truth.ravel(), p.ravel()) for p in usable])
        lines = [*zip(study.classes, by_class.transpose(1, 0, 2), strict=True)]
        lines += [("mean of classes (macro)", by_class.mean(1)), ("all pooled (micro)", pooled)]
        areas = study.replicates[(study.replicates["cell"] == cell) & (study.replicates["checkpoint"] == "best")]
        per_class = read(study.folder / "per_class.csv")
        per_class = per_class[(per_class["cell"] == cell) & (per_class["checkpoint"] == "best")]
        values = [per_class.loc[per_class["class"] == name, "auc"] for name in study.classes]
        values += [areas["test_auc_macro"], areas["test_auc_micro"]]
        looks = itertools.chain(itertools.repeat("-", len(study.classes)), (":", "--"))
        for (name, line), area, look in zip(lines, values, looks, strict=True):
            mean, low, high = interval(area.to_numpy(float))
            label = f"{name}: AUC {mean:.4f}" + (f" [{low:.4f}, {min(high, 1):.4f}]" if np.isfinite(low) else "")
            (drawn,) = axes.plot(RATES, line.mean(0), look, linewidth=1.3, label=label)
            axes.fill_between(RATES, line.min(0), line.max(0), color=drawn.get_color(), alpha=0.15, linewidth=0)
        axes.legend(fontsize=7, loc="lower right", title="95 % intervals over seeds", title_fontsize=7)
    title = study.label(cell, study.axes) if cell else f"{model}: replicates diverged in every cell"
    axes.set(
        xlabel="false-positive rate",
        ylabel="true-positive rate",
        xlim=(-0.01, 1),
        ylim=(0, 1.01),
        aspect="equal",
    )
    axes.set_title(f"ROC: {title}", fontsize=9)
    return figure, study.note(study.of_model(study.means, model))


def _roc(truth: np.ndarray, score: np.ndarray) -> np.ndarray:
    false, true, _ = roc_curve(truth, score)
    interpolated = np.interp(RATES, false, true)
    interpolated[0] = 0
    return interpolated


def write_figures(settings: dict, folder: str, split: str, tensors: str) -> None:
    """Draw every figure of a study as PNG into `folder`/figures, which appears whole or not at all."""
    style.use()
    study = Study(settings, Path(folder))
    images = read(Path(split))
    todo = {"class_counts": lambda: (class_counts(study, images), settings["data"])}
    if settings["show_images"]:
        pixels = np.load(tensors, mmap_mode="r")
        todo["samples"] = lambda: (samples(study, images, pixels), settings["data"])
    todo |= {drawing.__name__: lambda d=drawing: d(study) for drawing in (heatmap, ranking, confusion)}
    for model in study.models:
        suffix = f"-{model}" if model else ""
        todo |= {f"{d.__name__}{suffix}": lambda d=d, m=model: d(study, m) for d in (curves, roc)}

    target, temporary = study.folder / "figures", study.folder / ".figures"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    for name, draw in tqdm(todo.items(), desc="figures", unit="figure"):
        figure, note = draw()
        style.save(figure, temporary / f"{name}.png", note)
    shutil.rmtree(target, ignore_errors=True)
    temporary.rename(target)
