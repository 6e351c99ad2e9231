"""Pages from the templates in this package."""

from typing import Any

import jinja2

from medgrid import __version__
from medgrid.grid.versions import VERSIONS
from medgrid.report.site.assets import static


def render(template: str, **values: Any) -> str:
    """A page as text, with the version of the code that made it.

    `root`: path from the page to the site's folder, which holds `assets`. If it is empty, the page is self-contained,
    with an embedded style sheet and no script.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("medgrid.report.site"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    # numbers embedded in a page: compact, in the given order
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    style = "" if "root" in values else static("site.css")
    return environment.get_template(template).render(version=__version__, versions=VERSIONS, style=style, **values)
