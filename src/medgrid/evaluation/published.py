"""Table of published numbers next to ours."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from medgrid.config.metrics import METRICS, SIZES
from medgrid.config.study import Published
from medgrid.evaluation.labels import describe_settings
from medgrid.evaluation.metrics import interval
from medgrid.evaluation.networks import network_row
from medgrid.evaluation.statistics import Estimate, estimate
from medgrid.grid.manifest import StudyManifest

COLUMNS = (
    "source", "setting", "cell", "class", "metric", "published", "ours", "low", "high", "difference",
    "predicted_low", "predicted_high", "predicted_over", "inside", "ours_last", "status", "weights", "data",
)  # fmt: skip


@dataclass(frozen=True)
class Tables:
    """Our tables that have a value for published numbers: cells.csv, per_class.csv and networks.csv.

    `estimates`: by cell and metric, our estimate at the best epoch, for metrics of cells.csv.
    """

    cells: pd.DataFrame
    per_class: pd.DataFrame
    networks: pd.DataFrame
    estimates: Callable[[str, str], Estimate]


def _of_cell(tables: Tables, cell: str, metric: str) -> dict[str, Any]:
    """A metric of cells.csv at the best epoch, with its interval, and its mean at the last epoch."""
    of_cell = tables.cells[tables.cells["cell"] == cell].set_index("checkpoint")
    best, last = of_cell.loc["best"], of_cell.loc["last"]
    bounds = {end: best.get(f"{metric}_{end}", np.nan) for end in ("low", "high")}
    row = {"status": "diverged"} if best["diverged"] == best["replicates"] else {}
    return row | {
        "ours": best[f"{metric}_mean"], **bounds, "ours_last": last[f"{metric}_mean"], "weights": best["weights"],
        "estimate": tables.estimates(cell, metric), "test_images": best["test_images"],
    }  # fmt: skip


def _of_class(per_class: pd.DataFrame, cell: str, name: str, metric: str) -> dict[str, Any]:
    """The same of a class, from per_class.csv, which has a row for each replicate; empty when it has no such row."""
    rows = per_class[(per_class["cell"] == cell) & (per_class["class"] == name)]
    if rows.empty:
        return {}
    rows = rows.assign(**{metric: rows[metric].where(rows["status"] == "ok")})
    values = {checkpoint: group[metric].to_numpy(float) for checkpoint, group in rows.groupby("checkpoint")}
    mean, low, high = interval(values["best"], metric)
    last = interval(values["last"], metric)[0]
    return {
        "ours": mean, "low": low, "high": high, "ours_last": last, "weights": rows["weights"].iloc[0],
        "estimate": estimate(values["best"]), "test_images": 1,
    }  # fmt: skip


def _ours(manifest: StudyManifest, tables: Tables, selection: dict, metric: str) -> list[dict]:
    """Our values for one published number: one for each cell with these settings, none when no such cell was run."""
    wanted = {name: value for name, value in selection.items() if name != "class"}
    values: list[dict] = []
    for cell, training in manifest.trainings.items():
        if any(getattr(training, name) != value for name, value in wanted.items()):
            continue
        if metric in SIZES:
            row = network_row(tables.networks, training, manifest.classes)
            # cells with the same network, or with networks of one size, give one row
            if row is not None and row[metric] not in [each["ours"] for each in values]:
                values.append({"cell": "", "ours": row[metric]})
        elif "class" in selection:
            of_class = _of_class(tables.per_class, cell, selection["class"], metric)
            values += [{"cell": cell, "class": selection["class"], **of_class}] if of_class else []
        else:
            values.append({"cell": cell, **_of_cell(tables, cell, metric)})
    return values


def _printed(manifest: StudyManifest) -> Iterator[tuple[Published, dict, dict, str]]:
    """Each number that a document gives: its source, columns of its row, its settings, and its metric."""
    for entry in manifest.published:
        for row in entry.rows:
            selection = dict(zip(entry.by, row[: len(entry.by)], strict=True))
            columns = {
                "source": entry.source,
                "setting": describe_settings(selection),
                "class": selection.get("class", ""),
                "data": manifest.data,
            }
            for metric, value in zip(entry.metrics, row[len(entry.by) :], strict=True):
                if value is not None:
                    yield entry, columns | {"metric": metric, "published": float(value)}, selection, metric


def _prediction(entry: Published, metric: str, measured: Estimate | None, test_images: int) -> dict[str, Any]:
    """Columns of the prediction interval of a published number; none without an estimate of ours, or an interval.

    `test_images`: number of ours.
    """
    if measured is None or not np.isfinite(measured.value):
        return {}
    low, high = measured.predicted(entry.runs, test_images / (entry.test_images or test_images))
    if np.isnan(low):
        return {}
    over = "runs and test images" if measured.clusters else "runs"
    low, high = max(low, METRICS[metric].low), min(high, METRICS[metric].high)
    return {"predicted_low": low, "predicted_high": high, "predicted_over": over}


def _inside(row: dict) -> str:
    if "predicted_low" not in row:
        return ""
    return "yes" if row["predicted_low"] <= row["published"] <= row["predicted_high"] else "no"


def published(manifest: StudyManifest, tables: Tables) -> pd.DataFrame:
    """One row per published number and cell of ours with its settings.

    Ours is the mean over seeds at the best epoch by validation, with its 95 % interval over seeds; `ours_last`: at
    the last epoch.

    `predicted_low`, `predicted_high`: 95 % prediction interval of what the document would find if its networks were
    like ours, trained on the same images and not selected: a mean of as many runs as it printed, on as many test
    images as it had (as ours had, where it does not say). `predicted_over`: runs, and for metrics that are means over
    test images also these. `inside`: whether the published number lies in it; empty when fewer than two replicates
    give none.

    `status` is `not run` when no cell of the grid has these settings, `diverged` when all replicates diverged.
    Numbers that the document does not give are left out.
    """
    rows = []
    for entry, columns, selection, metric in _printed(manifest):
        for ours in _ours(manifest, tables, selection, metric) or [{"status": "not run"}]:
            row = columns | ours | _prediction(entry, metric, ours.get("estimate"), ours.get("test_images", 1))
            row["difference"] = row.get("ours", np.nan) - row["published"]
            row.setdefault("status", "diverged" if pd.isna(row.get("ours")) else "ok")
            rows.append(row | {"inside": _inside(row)})
    return pd.DataFrame(rows, columns=list(COLUMNS))
