"""Figures and explanations of a page, with their captions."""

import shutil
from pathlib import Path
from typing import Any

import PIL.Image

from medgrid.report.figures.registry import Figure, registered
from medgrid.utils.errors import MedgridError

EXPLANATIONS = {
    "lime": "LIME: superpixels that support (green) or oppose (red) the class that each network predicts.",
    "gradcam": "Grad-CAM: regions of each network's last feature map that support the class that it predicts.",
}
OPEN = 4  # figures of one kind that are shown; the others are folded away


def _copy(path: Path, page: Path, caption: str, photo: bool) -> dict[str, Any]:
    """Copy an image into a folder of its own name below `page`, unchanged: Git stores equal files once."""
    link = Path(path.parent.name, path.name)
    (page / link.parent).mkdir(exist_ok=True)
    shutil.copyfile(path, page / link)
    with PIL.Image.open(path) as image:
        width, height = image.size
    return {
        "name": path.stem, "caption": caption, "photo": photo, "source": link.as_posix(), "width": width,
        "height": height,
    }  # fmt: skip


def _group(figure: Figure, paths: list[Path], page: Path) -> dict[str, Any]:
    images = [_copy(path, page, figure.caption, figure.photo) for path in paths]
    return {"name": figure.name, "plural": figure.plural, "open": images[:OPEN], "more": images[OPEN:]}


def figures_by_section(folder: Path, page: Path) -> dict[str, list[dict[str, Any]]]:
    """The figures of the study in `folder`, copied below `page`: by section of the page, a group for each kind.

    Raises MedgridError for a file that belongs to no registered figure, which the page would lack.
    """
    unknown = set((folder / "figures").glob("*.png"))
    sections: dict[str, list[dict[str, Any]]] = {}
    for figure in registered():
        if paths := figure.files(folder / "figures"):
            sections.setdefault(figure.section, []).append(_group(figure, paths, page))
            unknown -= set(paths)
    if unknown:
        raise MedgridError(f"{min(unknown)} belongs to no registered figure; draw the study's figures again")
    return sections


def explanations(folder: Path, page: Path) -> list[dict[str, Any]]:
    """The explanations of the study in `folder`, copied below `page`."""
    paths = {path.stem: path for path in sorted((folder / "explanations").glob("*.png"))}
    return [
        _copy(paths[name], page, EXPLANATIONS.get(name, name.replace("_", " ")), photo=True)
        for name in dict.fromkeys([*EXPLANATIONS, *paths])
        if name in paths
    ]
