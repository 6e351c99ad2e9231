"""The tables of a study's page, as rows of text."""

from pathlib import Path

import pandas as pd

from medgrid.config.metrics import SIZES
from medgrid.data import PARTS
from medgrid.evaluation.labels import ABSENT, setting_name
from medgrid.evaluation.metrics import interval
from medgrid.report.figures.published import is_share, metric_name, settings_of
from medgrid.report.study import Study, read

SHOWN = {
    "test_accuracy": "accuracy %", "test_accuracy_deduplicated": "without near-duplicates %",
    "test_recall_macro": "balanced accuracy %", "test_f1_macro": "F1 macro %", "test_kappa": "kappa %",
    "test_auc_macro": "AUC macro", "test_loss": "loss", "test_loss_with_penalty": "loss with penalty",
    "validation_accuracy": "validation accuracy %",
}  # fmt: skip
PER_CLASS = ("precision", "recall", "f1")


def shown(study: Study) -> dict[str, str]:
    """Metrics of the table of cells and their headings, without those that say what another one says.

    A loss with penalty only where there is a penalty; accuracy without near-duplicates only where there are near-duplicates.
    """
    idle = set()
    if not (study.best["penalty_mean"] > 0).any():
        idle.add("test_loss_with_penalty")
    if (study.best["test_images_deduplicated"] == study.best["test_images"]).all():
        idle.add("test_accuracy_deduplicated")
    return {name: heading for name, heading in SHOWN.items() if name not in idle}


def _number(value: float, metric: str) -> str:
    if pd.isna(value):
        return ABSENT
    if metric in (*SIZES, "support"):
        return f"{value:,.0f}"
    return f"{100 * value:.2f}" if is_share(metric) else f"{value:.4f}"


def _span(low: float, high: float, metric: str) -> str:
    return "" if pd.isna(low) else f"{_number(low, metric)} to {_number(high, metric)}"


def axes(study: Study) -> list[dict]:
    """The axes as columns; by those of several values, a reader chooses rows."""
    raw = study.settings["cells"]
    return [
        {
            "name": setting_name(axis),
            "number": not any(isinstance(cell[axis], str | list) for cell in raw),
            "several": len(study.values[axis]) > 1,
        }
        for axis in study.axes
    ]


def cell_rows(study: Study) -> list[dict]:
    """Every cell, best test accuracy first."""
    best = study.best.sort_values("test_accuracy_mean", ascending=False, kind="stable")
    chosen = {study.chosen(model) for model in study.models}
    rows = []
    for cell, row in best.iterrows():
        values = []
        for metric in shown(study):
            mean, low, high = (row[f"{metric}_{s}"] for s in ("mean", "low", "high"))
            diverged = pd.isna(row["test_accuracy_mean"])
            values.append(("diverged" if diverged else _number(mean, metric), _span(low, high, metric)))
        rows.append(
            {
                "axes": list(study.cells.loc[cell]),
                "values": values,
                "replicates": row["replicates"],
                "diverged": row["diverged"],
                "chosen": cell in chosen,
            }
        )
    return rows


def published(study: Study) -> list[dict]:
    """By source: what the document prints, ours, and whether the one lies within the interval of the other."""
    table = read(study.folder / "published.csv")
    sections = []
    for source, entries in table.groupby("source", sort=False):
        rows = []
        labels = settings_of(study, entries)
        for label, row in zip(labels, entries.to_dict("records"), strict=True):
            metric = row["metric"]
            exact = metric in SIZES
            rows.append(
                {
                    "setting": label,
                    "metric": metric_name(metric) + (" %" if is_share(metric) else ""),
                    "published": _number(row["published"], metric),
                    "ours": row["status"] if pd.isna(row["ours"]) else _number(row["ours"], metric),
                    "span": _span(row["low"], row["high"], metric),
                    "difference": "" if pd.isna(row["difference"]) else _signed(row["difference"], metric),
                    "inside": ("equal" if row["difference"] == 0 else "") if exact else _word(row["inside"]),
                    "last": "" if exact or pd.isna(row["ours_last"]) else _number(row["ours_last"], metric),
                }
            )
        judged = entries["inside"].isin(["yes", "no"])
        sections.append(
            {
                "source": source,
                "rows": rows,
                "exact": bool(entries["metric"].isin(SIZES).all()),
                "judged": int(judged.sum()),
                "inside": int((entries["inside"] == "yes").sum()),
                "absent": int((entries["status"] == "not run").sum()),
            }
        )
    return sections


def _word(inside: str | float) -> str:
    return {"yes": "inside", "no": "outside"}.get(inside, "")


def _signed(difference: float, metric: str) -> str:
    text = _number(abs(difference), metric)
    return text if difference == 0 else f"{'+' if difference > 0 else '−'}{text}"  # noqa: RUF001


def networks(study: Study) -> tuple[list[str], list[list[str]]]:
    """Header and rows of models.csv; what is the same in every row is left out, but for sizes."""
    table = read(study.folder / "models.csv")
    columns = [
        name for name in table if name == "model" or name in SIZES or name == "trains" or table[name].nunique() > 1
    ]
    texts = pd.DataFrame(
        {
            name: table[name].map(lambda value, name=name: ABSENT if pd.isna(value) else _cell(value, name))
            for name in columns
        }
    )
    return [name.replace("_", " ") for name in columns], texts.to_numpy().tolist()


def _cell(value, name: str) -> str:
    return f"{value:,.0f}" if name in SIZES else f"{value:g}" if isinstance(value, float) else str(value)


def classification(study: Study) -> list[dict]:
    """For each model's chosen cell: precision, recall, F1 and support per class, with the mean of the classes."""
    table = read(study.folder / "per_class.csv")
    table = table[table["checkpoint"] == "best"]
    reports = []
    for model in study.models:
        cell = study.chosen(model)
        if cell is None:
            continue
        of_cell = table[table["cell"] == cell]
        support = of_cell.groupby("class")["support"].first().astype(int)
        rows = []
        for name in study.classes:
            of_class = of_cell[of_cell["class"] == name]
            rows.append((name, [_interval(of_class[metric], metric) for metric in PER_CLASS], support[name]))
        macro = of_cell.groupby("seed")[list(PER_CLASS)].mean()
        rows.append(
            ("mean of classes", [_interval(macro[metric], metric) for metric in PER_CLASS], int(support.sum()))
        )
        reports.append({"cell": study.label(cell), "rows": rows})
    return reports


def _interval(values: pd.Series, metric: str) -> tuple[str, str]:
    mean, low, high = interval(values.to_numpy(float), metric)
    return _number(mean, metric), _span(low, high, metric)


def machines(study: Study) -> list[dict]:
    """One row per model and what its trainings start from, and where its jobs were made."""
    rows: dict[tuple[str, str], dict] = {}
    for job in study.jobs:
        backbone, training = job["backbone"], job["training"]
        row = rows.setdefault(
            (backbone["model"], backbone["weights"]),
            {
                "model": backbone["model"],
                "architecture": backbone.get("architecture"),
                "weights": backbone["weights"],
                "note": study.settings["notes"].get(backbone["model"], "") if backbone["sha256"] else "",
                "sha256": backbone["sha256"],
                "jobs": 0,
                "features": {},
                "training": {},
                "precision": {},
                "torch": {},
                "python": {},
            },
        )
        row["jobs"] += 1
        # dicts keep what is distinct, in order
        row["features"] |= {backbone.get("device") or ABSENT: None}
        row["training"] |= {training["device"]: None}
        row["precision"] |= {training["precision"]: None}
        row["torch"] |= {training["torch"]: None}
        row["python"] |= {training.get("python") or ABSENT: None}
    return [
        {name: ", ".join(map(str, value)) if isinstance(value, dict) else value for name, value in row.items()}
        for row in rows.values()
    ]


def data(inventory: pd.DataFrame, split: pd.DataFrame) -> dict:
    """What the page says of the images; those without a label are counted apart."""
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
        "formats": readable.groupby(["format", "mode"]).size().to_dict(),
    }


def submissions(study: Study) -> list[dict]:
    """Of each submission file, the command that hands it in; the cell that validation picks comes first."""
    chosen = study.chosen(None)
    files = {path.stem: path for path in sorted((study.folder / "submissions").glob("*.csv"))}
    slug, key = study.settings["competition"], study.settings["study"]
    return [
        {
            "cell": study.label(cell),
            "chosen": cell == chosen,
            "file": files[cell].as_posix(),
            "command": f'kaggle competitions submit -c {slug} -f "{files[cell].as_posix()}" -m "{key} {cell}"'
            if slug
            else "",
        }
        for cell in sorted(study.cells.index, key=lambda cell: cell != chosen)
        if cell in files
    ]


def diagrams(folder: Path) -> dict[str, str]:
    """By model, the drawing of its network."""
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted((folder / "models").glob("*.txt"))}
