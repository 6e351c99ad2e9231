"""What a document prints, beside what this run found."""

from typing import Any

import numpy as np
import pandas as pd

from medgrid.config.metrics import SIZES
from medgrid.evaluation.labels import describe
from medgrid.evaluation.metrics import interval

# what tells the rows of models.csv apart
NETWORK = ("model", "mode", "unfrozen", "outputs")
COLUMNS = (
    "source", "setting", "cell", "class", "metric", "published", "ours", "low", "high", "difference", "inside",
    "ours_last", "status", "weights", "data",
)  # fmt: skip


def network_of(training: dict, classes: list[str]) -> dict[str, Any]:
    """A training's settings as models.csv names them: one output where the loss wants a single logit."""
    outputs = 1 if training["loss"] == "binary_cross_entropy" else len(classes)
    return {**{name: training[name] for name in NETWORK[:-1]}, "outputs": outputs}


def sizes(models: pd.DataFrame, training: dict, classes: list[str]) -> pd.Series | None:
    """The row of models.csv that a training's network has."""
    found = models
    for name, value in network_of(training, classes).items():
        if name in found:
            found = found[found[name] == value]
    return None if found.empty else found.iloc[0]


def _of_cell(cells: pd.DataFrame, cell: str, metric: str) -> dict:
    """A metric of cells.csv at the best epoch, with its interval, and its mean at the last epoch."""
    of_cell = cells[cells["cell"] == cell].set_index("checkpoint")
    best, last = of_cell.loc["best"], of_cell.loc["last"]
    bounds = {"low": best.get(f"{metric}_low", np.nan), "high": best.get(f"{metric}_high", np.nan)}
    return {"ours": best[f"{metric}_mean"], **bounds, "ours_last": last[f"{metric}_mean"], "weights": best["weights"]}


def _of_class(per_class: pd.DataFrame, cell: str, name: str, metric: str) -> dict:
    """Likewise of per_class.csv, which holds every replicate."""
    rows = per_class[(per_class["cell"] == cell) & (per_class["class"] == name)]
    if rows.empty:
        return {}
    rows = rows.assign(**{metric: rows[metric].where(rows["status"] == "ok")})
    values = {checkpoint: group[metric].to_numpy(float) for checkpoint, group in rows.groupby("checkpoint")}
    mean, low, high = interval(values["best"], metric)
    own = {"ours": mean, "low": low, "high": high, "ours_last": interval(values["last"], metric)[0]}
    return own | {"weights": rows["weights"].iloc[0]}


def _ours(settings: dict, tables: tuple, selection: dict, metric: str) -> list[dict]:
    """Our values of one published number: a row for each cell that its settings pick, none where none was run."""
    cells, per_class, models = tables
    wanted = {name: value for name, value in selection.items() if name != "class"}
    matching = [
        cell
        for cell, training in settings["trainings"].items()
        if all(training[name] == value for name, value in wanted.items())
    ]
    found: list[dict] = []
    for cell in matching:
        if metric in SIZES:
            row = sizes(models, settings["trainings"][cell], settings["classes"])
            # cells that share a network, or networks of one size, say the same thing once
            if row is not None and row[metric] not in [each["ours"] for each in found]:
                found.append({"cell": "", "ours": row[metric]})
        elif "class" in selection:
            of_class = _of_class(per_class, cell, selection["class"], metric)
            found += [{"cell": cell, "class": selection["class"], **of_class}] if of_class else []
        else:
            found.append({"cell": cell, **_of_cell(cells, cell, metric)})
    return found


def _inside(row: dict) -> str:
    low, high = row.get("low", np.nan), row.get("high", np.nan)
    return "" if pd.isna(low) else "yes" if low <= row["published"] <= high else "no"


def compare(settings: dict, cells: pd.DataFrame, per_class: pd.DataFrame, models: pd.DataFrame) -> pd.DataFrame:
    """One row per published number and cell of ours that it belongs to.

    Ours is the mean over seeds at the best epoch by validation, with its 95 % interval; `ours_last`: at the last.
    `inside`: whether the published number lies within the interval; empty where fewer than two replicates give none.
    `status` is `not run` where no cell of the grid has these settings, `diverged` where no replicate survived.
    Numbers that the document does not give are left out.
    """
    rows = []
    for entry in settings["published"]:
        for values in entry["rows"]:
            selection = dict(zip(entry["by"], values[: len(entry["by"])], strict=True))
            for metric, published in zip(entry["metrics"], values[len(entry["by"]) :], strict=True):
                if published is None:
                    continue
                shared = {
                    "source": entry["source"],
                    "setting": describe(selection),
                    "class": selection.get("class", ""),
                }
                shared |= {"metric": metric, "published": float(published), "data": settings["data"]}
                for ours in _ours(settings, (cells, per_class, models), selection, metric) or [{"status": "not run"}]:
                    row = shared | ours
                    row["difference"] = row.get("ours", np.nan) - row["published"]
                    row.setdefault("status", "diverged" if pd.isna(row.get("ours")) else "ok")
                    rows.append(row | {"inside": _inside(row)})
    return pd.DataFrame(rows, columns=list(COLUMNS))
