"""The page that leads to every study's own."""

import json
from pathlib import Path

from medgrid.report.site.assets import write_assets
from medgrid.report.site.claims import claims
from medgrid.report.site.render import render
from medgrid.utils.files import atomic_write


def _entry(results: Path, site: Path, study: str) -> dict | None:
    """What the front page says of a study; none before it has a page."""
    summary = results / study / "summary.json"
    if not summary.exists() or not (site / study / "index.html").exists():
        return None
    entry = json.loads(summary.read_text(encoding="utf-8"))
    audit = f"audits/{entry['dataset']}/index.html"
    return entry | {"claims": claims(results / study), "audit": audit if (site / audit).exists() else None}


def write_index(settings: dict, folder: str) -> None:
    """Write `folder`/report/index.html, which links each study's page there and each audit, and what pages share.

    `settings`: studies, their names in order. Read are `summary.json` and `claims.json` in each study's folder.
    """
    results, site = Path(folder), Path(folder, "report")
    entries = [entry for study in settings["studies"] if (entry := _entry(results, site, study))]
    write_assets(site)
    synthetic = any(entry["synthetic"] for entry in entries)
    real = "../../report/index.html"  # from a demo's site in a folder of its own: results of real images
    page = render(
        "index.html",
        root="",
        studies=entries,
        synthetic=synthetic,
        real=real if synthetic and (site / real).exists() else None,
    )
    with atomic_write(site / "index.html") as temporary:
        temporary.write_text(page, encoding="utf-8")
