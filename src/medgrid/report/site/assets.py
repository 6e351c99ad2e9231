"""Style sheet, scripts and charting library that the pages of a site share."""

import importlib.resources
from functools import cache
from importlib.metadata import version
from pathlib import Path

import vl_convert

from medgrid.grid.versions import fingerprint
from medgrid.utils.files import atomic_write

STATIC = importlib.resources.files("medgrid.report.site") / "static"


def static(name: str) -> str:
    return (STATIC / name).read_text(encoding="utf-8")


@cache
def _bundle(script: str) -> str:
    return vl_convert.javascript_bundle(script)


def _charts(target: Path) -> None:
    """Write Vega, bundled with the script that uses it; this takes seconds, so it is skipped if `target` has it."""
    script = static("curves.js")
    first_line = f"// {fingerprint(version('vl-convert-python'), script)}\n"
    if target.exists() and target.read_text(encoding="utf-8").startswith(first_line):
        return
    with atomic_write(target) as temporary:
        # inside a function: the bundle's short names would be global
        temporary.write_text(f"{first_line}(() => {{\n{_bundle(script)}\n}})();\n", encoding="utf-8")


def write_assets(site: Path) -> None:
    """Write those of `site`/assets that have changed; several jobs may do so at a time."""
    for name in ("site.css", "site.js"):
        target, content = site / "assets" / name, static(name)
        if not target.exists() or target.read_text(encoding="utf-8") != content:
            with atomic_write(target) as temporary:
                temporary.write_text(content, encoding="utf-8")
    _charts(site / "assets" / "charts.js")
