"""The tables of a study's page, as rows of text."""

from pathlib import Path
from typing import Any

import pandas as pd

from medgrid.config.metrics import METRICS, SIZES, Metric
from medgrid.data import PARTS
from medgrid.evaluation.labels import ABSENT, setting_name
from medgrid.evaluation.metrics import interval
from medgrid.evaluation.results import read_table
from medgrid.report.figures.published import row_labels
from medgrid.report.labelled_results import LabelledResults

PER_CLASS = ("precision", "recall", "f1")
MINUS = "−"  # noqa: RUF001


def number(value: float, metric: str) -> str:
    return ABSENT if pd.isna(value) else METRICS[metric].format(value)


def span(low: float, high: float, metric: str) -> str:
    return "" if pd.isna(low) else f"{number(low, metric)} to {number(high, metric)}"


def mean_and_span(values: pd.Series, metric: str) -> tuple[str, str]:
    """Mean of the values of seeds, and the interval of the mean."""
    mean, low, high = interval(values.to_numpy(float), metric)
    return number(mean, metric), span(low, high, metric)


def signed(difference: float, metric: str) -> str:
    text = number(abs(difference), metric)
    return text if difference == 0 or pd.isna(difference) else f"{'+' if difference > 0 else MINUS}{text}"


# cells


def shown_metrics(study: LabelledResults) -> list[Metric]:
    """Metrics of the table of cells, without those that repeat another one.

    There is a loss with penalty only where there is a penalty, and an accuracy without near-duplicates only where
    there are near-duplicates.
    """
    repeated = set()
    if not (study.best["penalty_mean"] > 0).any():
        repeated.add("test_loss_with_penalty")
    if (study.best["test_images_deduplicated"] == study.best["test_images"]).all():
        repeated.add("test_accuracy_deduplicated")
    return [metric for metric in METRICS.values() if metric.in_cells_table and metric.name not in repeated]


def heading(metric: Metric) -> str:
    return metric.heading + " %" * metric.percent


def axis_columns(study: LabelledResults) -> list[dict[str, Any]]:
    """The axes as columns of the table of cells; those of several values get a filter."""
    return [
        {
            "name": setting_name(axis),
            "number": not any(isinstance(cell[axis], str | list) for cell in study.manifest.cells),
            "filter": len(study.values[axis]) > 1,
        }
        for axis in study.axes
    ]


def cell_rows(study: LabelledResults) -> list[dict[str, Any]]:
    """Every cell, best test accuracy first."""
    selected, metrics = {study.best_cell(model) for model in study.models}, shown_metrics(study)
    means = study.best["test_accuracy_mean"].where(study.best["diverged"] < study.best["replicates"])
    best = study.best.loc[means.sort_values(ascending=False, kind="stable").index]
    return [
        {
            "axes": list(study.settings_of(cell).values()),
            "values": _cell_values(row, metrics),
            "replicates": row["replicates"],
            "diverged": row["diverged"],
            "selected": cell in selected,
        }
        for cell, row in zip(best["cell"], best.to_dict("records"), strict=True)
    ]


def _cell_values(row: dict[Any, Any], metrics: list[Metric]) -> list[tuple[str, str]]:
    """Mean and interval of each metric of a row of cells.csv."""
    diverged = row["diverged"] == row["replicates"]
    values = []
    for name in (metric.name for metric in metrics):
        mean, low, high = (row[f"{name}_{statistic}"] for statistic in ("mean", "low", "high"))
        values.append(("diverged" if diverged else number(mean, name), span(low, high, name)))
    return values


# published numbers


def published(study: LabelledResults) -> list[dict[str, Any]]:
    """By source: published values, our values, and whether the former are as the latter predict."""
    sections = []
    for source, entries in study.table("published").groupby("source", sort=False):
        labels = row_labels(study, entries)
        sections.append(
            {
                "source": source,
                "rows": [_published_row(*each) for each in zip(labels, entries.to_dict("records"), strict=True)],
                "exact": bool(entries["metric"].isin(SIZES).all()),
                "compared": int(entries["inside"].isin(["yes", "no"]).sum()),
                "inside": int((entries["inside"] == "yes").sum()),
                "not_run": int((entries["status"] == "not run").sum()),
            }
        )
    return sections


def _published_row(label: str, row: dict[Any, Any]) -> dict[str, str]:
    """A row of published.csv as text. Sizes of networks have no interval: they are equal or not."""
    metric = row["metric"]
    exact = metric in SIZES
    inside = {"yes": "as predicted", "no": "outside"}.get(row["inside"], "")
    return {
        "setting": label,
        "metric": METRICS[metric].title + " %" * METRICS[metric].percent,
        "published": number(row["published"], metric),
        "ours": number(row["ours"], metric) if row["status"] == "ok" else row["status"],
        "span": span(row["low"], row["high"], metric),
        "difference": "" if pd.isna(row["difference"]) else signed(row["difference"], metric),
        "predicted": span(row["predicted_low"], row["predicted_high"], metric),
        "inside": ("equal" if row["difference"] == 0 else "") if exact else inside,
        "last": "" if exact or pd.isna(row["ours_last"]) else number(row["ours_last"], metric),
    }


# networks


def networks(study: LabelledResults) -> tuple[list[str], list[list[str]]]:
    """Header and rows of networks.csv, without columns that are the same in every row; sizes are always shown."""
    table = read_table(study.folder / "networks" / "networks.csv")
    columns = [name for name in map(str, table) if name in ("model", "trains", *SIZES) or table[name].nunique() > 1]
    texts = pd.DataFrame({name: [_network_text(value, name) for value in table[name]] for name in columns})
    return [name.replace("_", " ") for name in columns], texts.to_numpy().tolist()


def _network_text(value: Any, column: str) -> str:
    if pd.isna(value):
        return ABSENT
    return number(value, column) if column in SIZES else f"{value:g}" if isinstance(value, float) else str(value)


def diagrams(folder: Path) -> dict[str, str]:
    """By model, the drawing of its network."""
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted((folder / "networks").glob("*.txt"))}


# classes


def class_reports(study: LabelledResults) -> list[dict[str, Any]]:
    """For each model's selected cell: precision, recall, F1 and support per class, with the mean of the classes."""
    table = study.table("per_class")
    table = table[table["checkpoint"] == "best"]
    cells = [cell for model in study.models if (cell := study.best_cell(model)) is not None]
    return [
        {"cell": study.label(cell), "rows": _class_rows(table[table["cell"] == cell], study.classes)}
        for cell in cells
    ]


def _class_rows(table: pd.DataFrame, classes: list[str]) -> list[tuple[str, list[tuple[str, str]], int]]:
    """Name, values and support of each class, and of their mean, from the rows of one cell."""
    support = table.groupby("class")["support"].first().astype(int)
    rows = []
    for name in classes:
        of_class = table[table["class"] == name]
        rows.append((name, [mean_and_span(of_class[metric], metric) for metric in PER_CLASS], support[name]))
    macro = table.groupby("seed")[list(PER_CLASS)].mean()
    values = [mean_and_span(macro[metric], metric) for metric in PER_CLASS]
    return [*rows, ("mean of classes", values, int(support.sum()))]


# data and submissions


def data(inventory: pd.DataFrame, split: pd.DataFrame) -> dict[str, Any]:
    """What the page reports of the images; those without a label are counted separately."""
    labelled = split[split["part"].isin(PARTS)]
    unlabelled = set(split.loc[~split["part"].isin(PARTS), "path"])
    inventory = inventory[~inventory["path"].isin(unlabelled)]
    readable = inventory[inventory["error"] == ""]
    paths = {part: set(labelled.loc[labelled["part"] == part, "path"]) for part in PARTS}
    return {
        "images": len(inventory),
        "unlabelled": len(unlabelled),
        "undecodable": inventory.loc[inventory["error"] != "", ["path", "error"]].to_dict("records"),
        "duplicates": int(readable["pixels_sha256"].duplicated().sum()),
        "groups": int(readable.loc[readable["group"] != "", "group"].nunique()),
        "parts": {part: len(members) for part, members in paths.items()},
        "near_duplicates": int(((split["part"] == "test") & (split["near_duplicate"] == "yes")).sum()),
        "tests_validate": bool(paths["validation"] & paths["test"]),
        "unused": len(readable) - len(set().union(*paths.values())),
        "formats": readable.groupby(["format", "mode"]).size().reset_index().to_numpy().tolist(),
    }


def submissions(study: LabelledResults) -> list[dict[str, Any]]:
    """Each submission file and the command that submits it; the cell that is best by validation comes first."""
    best, manifest = study.best_cell(), study.manifest
    files = {path.stem: path.as_posix() for path in sorted((study.folder / "submissions").glob("*.csv"))}
    command = f"kaggle competitions submit -c {manifest.competition}"
    return [
        {
            "cell": study.label(cell),
            "selected": cell == best,
            "file": files[cell],
            "command": f'{command} -f "{files[cell]}" -m "{manifest.study} {cell}"' if manifest.competition else "",
        }
        for cell in sorted(study.cells, key=lambda cell: cell != best)
        if cell in files
    ]
