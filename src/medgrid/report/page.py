"""A study's page: one HTML file that needs nothing beside it."""

import base64
import json
from pathlib import Path

import jinja2
import pandas as pd

from medgrid import __version__
from medgrid.data import PARTS
from medgrid.files import replacing
from medgrid.fingerprint import VERSIONS
from medgrid.report.study import Study, read, setting_name, setting_value

CAPTIONS = {
    "class_counts": "How many images of each class train, validate and test.",
    "samples": "Images of each class in each part, resized as for the networks.",
    "ranking": "Every cell of the grid by mean test accuracy. The interval covers the randomness of training "
    "(seeds), not the sampling of test images.",
    "heatmap": "Mean test accuracy over the grid.",
    "curves": "Loss (logarithmic) and accuracy after each epoch: mean over seeds, band from lowest to highest.",
    "confusion": "Where the chosen cells err: the cell of each model that validation picks.",
    "roc": "Bands span the lowest to the highest replicate.",
}
ORDER = list(CAPTIONS)
SHOWN = {
    "test_accuracy": "accuracy %", "test_f1_macro": "F1 macro %", "test_kappa": "kappa %",
    "test_auc_macro": "AUC macro %", "test_loss": "loss",
}  # fmt: skip


def _cell_rows(study: Study) -> list[dict]:
    best = study.means[study.means["checkpoint"] == "best"].sort_values("test_accuracy_mean", ascending=False)
    chosen = {study.chosen(model) for model in study.models}
    rows = []
    for _, row in best.iterrows():
        values = []
        for metric in SHOWN:
            scale, digits = (1, 3) if metric == "test_loss" else (100, 2)
            mean, low, high = (scale * row[f"{metric}_{s}"] for s in ("mean", "low", "high"))
            text = "diverged" if pd.isna(mean) else f"{mean:.{digits}f}"
            values.append((text, "" if pd.isna(low) else f"{low:.{digits}f} to {high:.{digits}f}"))
        rows.append(
            {
                "axes": [setting_value(row[axis]) for axis in study.axes],
                "values": values,
                "replicates": row["replicates"],
                "diverged": row["diverged"],
                "chosen": row["cell"] in chosen,
            }
        )
    return rows


def _figures(folder: Path) -> list[dict]:
    def place(path: Path) -> tuple[int, str]:
        return ORDER.index(path.stem.split("-")[0]), path.stem

    return [
        {
            "name": path.stem,
            "caption": CAPTIONS[path.stem.split("-")[0]],
            "photo": path.stem == "samples",
            "source": "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode(),
        }
        for path in sorted((folder / "figures").glob("*.png"), key=place)
    ]


def write_page(settings: dict, folder: str, inventory: str, split: str) -> None:
    """Write `folder`/index.html: figures embedded, no script, no network."""
    place = Path(folder)
    study = Study(settings, place)
    images = pd.read_csv(inventory, keep_default_na=False)
    readable = images[images["error"] == ""]
    parts = read(Path(split))
    packs = [json.loads((place / "packs" / pack / "pack.json").read_text()) for pack in settings["packs"]]
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("medgrid.report"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.get_template("study.html").render(
        study=settings,
        shown=list(SHOWN.values()),
        rows=_cell_rows(study),
        axes=[setting_name(name) for name in study.axes],
        figures=_figures(place),
        data={
            "images": len(images),
            "undecodable": images.loc[images["error"] != "", ["path", "error"]].to_dict("records"),
            "duplicates": int(readable["pixels_sha256"].duplicated().sum()),
            "groups": int(readable.loc[readable["group"] != "", "group"].nunique()),
            "parts": {part: int((parts["part"] == part).sum()) for part in PARTS},
            "formats": readable.groupby(["format", "mode"]).size().to_dict(),
        },
        packs=packs,
        replicates=int(study.means["replicates"].max()),
        version=__version__,
        rooms=VERSIONS,
    )
    with replacing(place / "index.html") as temporary:
        temporary.write_text(page, encoding="utf-8")
