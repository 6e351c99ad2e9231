"""The index page of the site, which links every study's page."""

import json
from pathlib import Path
from typing import Any

from medgrid.evaluation.hypotheses import VERDICTS
from medgrid.report.site.assets import write_assets
from medgrid.report.site.claims import claims
from medgrid.report.site.render import render
from medgrid.utils.files import atomic_write

# from the site of a demo, which has a folder of its own: results on real images
REAL_RESULTS = "../../report/index.html"


def _entry(results: Path, site: Path, study: str) -> dict[str, Any] | None:
    """Entry of a study on the index page; None before the study has a page."""
    summary = results / study / "summary.json"
    if not summary.exists() or not (site / study / "index.html").exists():
        return None
    entry = json.loads(summary.read_text(encoding="utf-8"))
    audit = f"audits/{entry['dataset']}/index.html"
    return entry | {"claims": claims(results / study), "audit": audit if (site / audit).exists() else None}


def write_index(settings: dict, folder: str) -> None:
    """Write `folder`/report/index.html, which links each study's page and each audit there, and the shared assets.

    `settings`: studies, their names in order. summary.json and tables/claims.json in their folders are read.
    """
    results, site = Path(folder), Path(folder, "report")
    entries = [entry for study in settings["studies"] if (entry := _entry(results, site, study))]
    synthetic = any(entry["synthetic"] for entry in entries)
    real = REAL_RESULTS if synthetic and (site / REAL_RESULTS).exists() else None
    write_assets(site)
    page = render("index.html", root="", studies=entries, synthetic=synthetic, real=real, verdicts=VERDICTS)
    with atomic_write(site / "index.html") as temporary:
        temporary.write_text(page, encoding="utf-8")
