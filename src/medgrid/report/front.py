"""The page that leads to every study's own."""

import json
from pathlib import Path

from medgrid.files import replacing
from medgrid.report.render import render


def write_front(settings: dict, folder: str) -> None:
    """Write `folder`/index.html, which links the page of each study that has one there.

    `settings`: studies, their names in order. Read is the `summary.json` that lies beside each page.
    """
    summaries = [Path(folder, study, "summary.json") for study in settings["studies"]]
    entries = [json.loads(path.read_text(encoding="utf-8")) for path in summaries if path.exists()]
    page = render("front.html", studies=entries, synthetic=any(entry["synthetic"] for entry in entries))
    with replacing(Path(folder, "index.html")) as temporary:
        temporary.write_text(page, encoding="utf-8")
