"""Which figures a study gets, by what varies in it, and where they are written."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from medgrid.report.figures import style
from medgrid.report.figures.claims import claims, stated
from medgrid.report.figures.classes import confusion, roc
from medgrid.report.figures.compare import best_worst, heatmap, ranking
from medgrid.report.figures.curves import curve_figures, curves
from medgrid.report.figures.images import class_counts, samples
from medgrid.report.figures.published import published, sources
from medgrid.report.figures.reliability import reliability_diagrams
from medgrid.report.figures.trends import accuracy_parameters, auc_batch_size, is_timed, sized, speed, speed_axis
from medgrid.report.study import Study, read

BATCH_SIZES = 3  # from which a trend can be seen


def drawings(study: Study) -> dict[str, Callable]:
    """The figures of a study's results by name; each call gives the figure and the line below it."""
    todo: dict[str, Callable] = {"claims": partial(claims, study)} if stated(study) else {}
    todo |= {"ranking": partial(ranking, study), "heatmap": partial(heatmap, study)}
    beside = list(sources(study))
    for i, source in enumerate(beside, start=1):
        todo["published" if len(beside) == 1 else f"published-{i:02d}"] = partial(published, study, source)
    if "batch_size" in study.varied and len(study.values["batch_size"]) >= BATCH_SIZES and len(sized(study)):
        todo["auc_batch_size"] = partial(auc_batch_size, study)
    if len(study.models) > 1:
        if any(len(study.scores(model)) > 1 for model in study.models):
            todo["best_worst"] = partial(best_worst, study)
        if any(study.chosen(model) for model in study.models):
            todo["accuracy_parameters"] = partial(accuracy_parameters, study)
    if speed_axis(study) and is_timed(study.replicates):
        todo["speed"] = partial(speed, study)
    todo |= {name: partial(curves, study, *of_figure) for name, of_figure in curve_figures(study).items()}
    todo["confusion"] = partial(confusion, study)
    todo |= {f"roc-{model}" if model else "roc": partial(roc, study, model) for model in study.models}
    todo["reliability"] = partial(reliability_diagrams, study)
    return todo


def write_figures(settings: dict, folder: str, split: str, tensors: str) -> None:
    """Draw every figure of a study as PNG into `folder`/figures, which appears whole or not at all."""
    style.use()
    study = Study(settings, Path(folder))
    images = read(Path(split))
    todo: dict[str, Callable] = {"class_counts": lambda: (class_counts(study, images), settings["data"])}
    if settings["show_images"]:
        pixels = np.load(tensors, mmap_mode="r")
        todo["samples"] = lambda: (samples(study, images, pixels), settings["data"])
    todo |= drawings(study)

    target, temporary = study.folder / "figures", study.folder / ".figures"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    for name, draw in tqdm(todo.items(), desc="figures", unit="figure"):
        figure, note = draw()
        style.save(figure, temporary / f"{name}.png", note)
    shutil.rmtree(target, ignore_errors=True)
    temporary.rename(target)
