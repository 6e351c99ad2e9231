"""Figures of a page, with their captions."""

import shutil
from pathlib import Path

import PIL.Image

CAPTIONS = {
    "claims": "What the document claims, and what our replicates say: the estimate of each comparison with its 95 % "
    "interval. Where the ground is shaded the claim holds, where it is darker by more than the margin that matters; "
    "what surely lies outside of that is contradicted. Of many comparisons, those nearest to failing.",
    "curves": "Loss and accuracy after each epoch: mean over seeds, band from lowest to highest. Where some seeds "
    "have stopped early, the mean of those left goes on in a fainter line.",
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
    "evenly. Features of frozen backbones were computed once: that time is not in here.",
    "confusion": "Where the chosen cells err: the cell of each model that validation picks.",
    "reliability": "How often the chosen cells are right when they are as sure as that: the cell of each model that "
    "validation picks, as trained and with one temperature fitted on validation. Each mark holds as many images.",
    "roc": "The cell of each model that validation picks. Bands span the lowest to the highest replicate.",
}
HEADINGS = {"curves": "learning curves", "roc": "ROC curves", "published": "published beside ours"}
EXPLAINED = {
    "lime": "LIME: superpixels that speak for (green) and against (red) the class that each network names.",
    "gradcam": "Grad-CAM: where in the image each network's last feature map speaks for the class that it names.",
}
OPEN = 4  # figures of one kind that are shown; the rest unfold


def _copied(path: Path, page: Path, caption: str, photo: bool) -> dict:
    """A figure, copied into a folder of its own name beside the page in `page`: Git keeps the same file once."""
    link = Path(path.parent.name, path.name)
    (page / link.parent).mkdir(exist_ok=True)
    shutil.copyfile(path, page / link)
    with PIL.Image.open(path) as image:
        width, height = image.size
    return {
        "name": path.stem, "caption": caption, "photo": photo, "source": link.as_posix(), "width": width,
        "height": height,
    }  # fmt: skip


def figure_groups(folder: Path, page: Path) -> dict[str, dict]:
    """The figures of the study in `folder` by kind, in the order of the captions; copied beside its page."""
    groups = {}
    for kind, caption in CAPTIONS.items():
        paths = sorted(path for path in (folder / "figures").glob("*.png") if path.stem.split("-")[0] == kind)
        figures = [_copied(path, page, caption, kind == "samples") for path in paths]
        if figures:
            heading = HEADINGS.get(kind, kind.replace("_", " "))
            groups[kind] = {"kind": kind, "heading": heading, "open": figures[:OPEN], "more": figures[OPEN:]}
    return groups


def explanations(folder: Path, page: Path) -> list[dict]:
    """Likewise the study's explanations."""
    found = {path.stem: path for path in sorted((folder / "explanations").glob("*.png"))}
    paths = [found[name] for name in dict.fromkeys([*EXPLAINED, *found]) if name in found]
    return [_copied(path, page, EXPLAINED.get(path.stem, path.stem.replace("_", " ")), True) for path in paths]
