"""The pages of the report, opened in a browser."""

import os
import sys
import webbrowser
from collections.abc import Iterable
from pathlib import Path

from medgrid.utils.errors import MedgridError


def page_path(results: str, study: str = "", studies: Iterable[str] = ()) -> Path:
    """Path of a study's page, or of the front page. Raises MedgridError when it does not exist.

    `studies`: names in params.yaml; no other study can be created.
    """
    site = Path(results, "report")
    page = site / study / "index.html"
    if page.is_file():
        return page
    if study and studies and study not in studies:
        raise MedgridError(f"there is no study '{study}' in params.yaml; its studies are {', '.join(studies)}")
    pages = sorted(path.parent.name for path in site.glob("*/index.html"))
    if not pages:
        raise MedgridError(f"{site} has no pages yet; create them: medgrid run -- {study or 'STUDY'}")
    if study:
        raise MedgridError(
            f"'{study}' has no page in {site}, which has {', '.join(pages)}; create it: medgrid run -- {study}"
        )
    raise MedgridError(f"{page} does not exist; create it: medgrid run -- {pages[0]}")


def has_display() -> bool:
    """Whether a browser can open a window here."""
    return sys.platform == "darwin" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def open_page(page: Path) -> None:
    """Print the URL of a file, and open it in a browser if there is a display."""
    url = page.resolve().as_uri()
    print(url)
    if has_display():
        webbrowser.open(url)
