"""A study's page: one HTML file that needs nothing beside it."""

import base64
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import PIL.Image

from medgrid.evaluation.wording import setting_name
from medgrid.files import replacing
from medgrid.fingerprint import manifest_name
from medgrid.report import sections
from medgrid.report.render import render
from medgrid.report.study import Study, read

CAPTIONS = {
    "class_counts": "How many images of each class train, validate and test.",
    "samples": "Images of each class in each part, resized as for the networks.",
    "ranking": "Every cell of the grid by mean test accuracy. The interval covers the randomness of training "
    "(seeds), not the sampling of test images.",
    "heatmap": "Mean test accuracy over the grid, at the best epoch by validation. Grey: no such cell; div.: every "
    "replicate diverged; *: some did, and are left out of the mean.",
    "published": "What the document prints beside our mean over seeds and its 95 % interval. The interval is of the "
    "mean: a single run, as most published numbers are, scatters more widely.",
    "auc_batch_size": "Area under the ROC curve on the test set, at the best epoch by validation. Hollow marks: what "
    "the document prints.",
    "best_worst": "Of each model, the cells that validation ranks first and last, without cells of which a replicate "
    "diverged; bars: 95 % interval over seeds.",
    "accuracy_parameters": "The cell of each model that validation picks; bars: 95 % interval over seeds. Hollow: "
    "parameters that train in that cell.",
    "speed": "Wall time of training, validation included. Heads that trained together, in one stack, share its time "
    "evenly. Features of frozen bases were computed once: that time is not in here.",
    "curves": "Loss and accuracy after each epoch: mean over seeds, band from lowest to highest. Where some seeds "
    "have stopped early, the mean of those left goes on in a fainter line.",
    "confusion": "Where the chosen cells err: the cell of each model that validation picks.",
    "roc": "The cell of each model that validation picks. Bands span the lowest to the highest replicate.",
}
HEADINGS = {"curves": "learning curves", "roc": "ROC curves", "published": "published beside ours"}
EXPLAINED = {
    "lime": "LIME: superpixels that speak for (green) and against (red) the class that each network names.",
    "gradcam": "Grad-CAM: where in the image each network's last feature map speaks for the class that it names.",
}
OPEN = 4  # figures of one kind that are shown; the rest unfold


def _embedded(path: Path, caption: str, photo: bool) -> dict:
    content, kind = path.read_bytes(), "png"
    if photo:  # a fifth of the size, and nothing that an eye would miss
        with PIL.Image.open(path) as image, io.BytesIO() as smaller:
            image.convert("RGB").save(smaller, "WEBP", quality=80)
            content, kind = smaller.getvalue(), "webp"
    source = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    return {"name": path.stem, "caption": caption, "photo": photo, "source": source}


def figure_groups(folder: Path) -> list[dict]:
    """The figures by kind, in the order of the captions."""
    groups = []
    for kind, caption in CAPTIONS.items():
        paths = sorted(path for path in (folder / "figures").glob("*.png") if path.stem.split("-")[0] == kind)
        figures = [_embedded(path, caption, kind == "samples") for path in paths]
        if figures:
            heading = HEADINGS.get(kind, kind.replace("_", " "))
            groups.append({"heading": heading, "open": figures[:OPEN], "more": figures[OPEN:]})
    return groups


def explanations(folder: Path) -> list[dict]:
    found = {path.stem: path for path in sorted((folder / "explanations").glob("*.png"))}
    paths = [found[name] for name in dict.fromkeys([*EXPLAINED, *found]) if name in found]
    return [_embedded(path, EXPLAINED.get(path.stem, path.stem.replace("_", " ")), True) for path in paths]


def summary(study: Study) -> dict:
    """What the front page says of a study."""
    settings, chosen = study.settings, study.chosen(None)
    found = {name: settings[name] for name in ("study", "title", "document", "data", "synthetic")}
    found |= {"cells": len(study.cells), "replicates": int(study.best["replicates"].max())}
    found |= {"select": settings["select"].replace("_", " "), "best": None}
    if chosen is not None:
        mean, low, high = (100 * study.best.loc[chosen, f"test_accuracy_{s}"] for s in ("mean", "low", "high"))
        found |= {"best": study.label(chosen), "header": study.header(), "accuracy": f"{mean:.2f}"}
        found["span"] = "" if np.isnan(low) else f"{low:.2f} to {high:.2f}"
    return found


def metrics(study: Study) -> dict:
    """Numbers of the cell of each model that validation picks, as `dvc metrics` compares them."""
    found: dict = {"cells": len(study.cells), "diverged": int(study.best["diverged"].sum())}
    for model in study.models or [None]:
        if (cell := study.chosen(model)) is not None:
            row = study.best.loc[cell]
            names = [
                f"{name}_{s}"
                for name in ("test_accuracy", "test_loss", "test_auc_macro")
                for s in ("mean", "low", "high")
            ]
            found[model or "best"] = {name: float(row[name]) for name in names if pd.notna(row[name])}
    return found


def write_page(settings: dict, folder: str, inventory: str, split: str) -> None:
    """Write `folder`/index.html, with figures embedded and no script; summary.json, metrics.json.

    summary.json names the manifest, so that a page of other settings is known as such.
    """
    place = Path(folder)
    study = Study(settings, place)
    header, networks = sections.networks(study)
    page = render(
        "study.html",
        study=settings,
        open=sections.OPEN,
        shown=list(sections.shown(study).values()),
        rows=sections.cell_rows(study),
        axes=[setting_name(name) for name in study.axes],
        varied=[setting_name(name) for name in study.varied],
        groups=figure_groups(place),
        # a licence that keeps the images to oneself keeps their explanations, too
        explanations=explanations(place) if settings["show_images"] else [],
        data=sections.data(pd.read_csv(inventory, keep_default_na=False, dtype=str), read(Path(split))),
        machines=sections.machines(study),
        published=sections.published(study),
        network_header=header,
        networks=networks,
        diagrams=sections.diagrams(place),
        reports=sections.classification(study),
        header=study.header(),
        submissions=sections.submissions(study) if settings["submission"] else [],
        replicates=int(study.means["replicates"].max()),
    )
    with replacing(place / "index.html") as temporary:
        temporary.write_text(page, encoding="utf-8")
    told = summary(study) | {"manifest": manifest_name(settings)}
    for name, content in (("metrics", metrics(study)), ("summary", told)):
        with replacing(place / f"{name}.json") as temporary:
            temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
