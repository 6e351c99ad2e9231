"""The page that leads to every study's own."""

import json
from pathlib import Path

from medgrid.files import replacing
from medgrid.report.render import render


def write_front(settings: dict, folder: str) -> None:
    """Write `folder`/index.html, which links the page of each study that has one there.

    `settings`: studies, their names in order. Read is the `summary.json` that lies beside each page.
    """
    places = [Path(folder, study) for study in settings["studies"]]
    finished = [place for place in places if (place / "index.html").exists() and (place / "summary.json").exists()]
    entries = [json.loads((place / "summary.json").read_text(encoding="utf-8")) for place in finished]
    page = render("front.html", studies=entries, synthetic=any(entry["synthetic"] for entry in entries))
    with replacing(Path(folder, "index.html")) as temporary:
        temporary.write_text(page, encoding="utf-8")
