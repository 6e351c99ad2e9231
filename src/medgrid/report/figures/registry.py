"""The registry of figures: what each one shows, when it applies and where the page shows it.

Every module of this package but those in SHARED registers one figure as `FIGURE`. Adding a figure is adding a module.
"""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt

import medgrid.report.figures as package
from medgrid.report.labelled_results import LabelledResults

SECTIONS = ("claims", "results", "curves", "published", "classes", "more")  # of a study's page
SHARED = ("registry", "style", "write")

Drawn = tuple[plt.Figure, str]  # the figure, and the note in small print below it


def _once(study: LabelledResults) -> dict[str, tuple]:
    return {"": ()}


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A kind of figure.

    `name`: of its file, without `.png`; `caption`: below it on the page. `draw(study, *arguments)` draws one file.
    `variants(study)`: the arguments of `draw` for each file, by the suffix of the file's name (`roc-resnet50` has the
    suffix `resnet50`); by default one file without suffix and arguments. An empty dict means that the figure does not
    apply to this study.
    `section` and `position`: where the page shows it. `heading`: plural name, where some files are folded away.
    `photo`: photographs keep their colours in dark mode.
    """

    name: str
    caption: str
    draw: Callable[..., Drawn]
    variants: Callable[[LabelledResults], dict[str, tuple]] = _once
    section: str = "more"
    position: int = 100
    heading: str = ""
    photo: bool = False

    def __post_init__(self) -> None:
        if self.section not in SECTIONS:
            raise ValueError(f"figure {self.name}: section {self.section!r} is none of {', '.join(SECTIONS)}")
        if "-" in self.name:
            raise ValueError(f"figure {self.name}: a hyphen separates a name from its suffix")

    @property
    def plural(self) -> str:
        return self.heading or self.name.replace("_", " ")

    def files(self, folder: Path) -> list[Path]:
        """Files of this figure in `folder`, in alphabetical order."""
        return sorted(path for path in folder.glob("*.png") if path.stem.split("-")[0] == self.name)


def registered() -> list[Figure]:
    """All figures, in the order of the page.

    Raises TypeError for a module of this package that registers no figure, ValueError for two of the same name.
    """
    figures: dict[str, Figure] = {}
    for module in pkgutil.iter_modules(package.__path__):
        if module.name in SHARED:
            continue
        figure = getattr(importlib.import_module(f"{package.__name__}.{module.name}"), "FIGURE", None)
        if not isinstance(figure, Figure):
            raise TypeError(f"{package.__name__}.{module.name} registers no figure as FIGURE")
        if figure.name in figures:
            raise ValueError(f"two modules register a figure named {figure.name}")
        figures[figure.name] = figure
    return sorted(figures.values(), key=lambda each: (SECTIONS.index(each.section), each.position, each.name))


def drawings(study: LabelledResults) -> dict[str, Callable[[], Drawn]]:
    """Functions that draw a study's figures, by file name without `.png`."""
    return {
        f"{figure.name}-{suffix}" if suffix else figure.name: partial(figure.draw, study, *arguments)
        for figure in registered()
        for suffix, arguments in figure.variants(study).items()
    }
