"""Pages from the templates of this package."""

import jinja2

from medgrid import __version__
from medgrid.grid.versions import VERSIONS
from medgrid.report.site.assets import static


def render(template: str, **values) -> str:
    """A page as text, with the version of the code that made it.

    `root`: the way from the page to the site's folder, where `assets` lie. A page that is given none stands alone,
    with the style inside and no script.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("medgrid.report.site"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    # numbers that a page carries: compact, in the order that they were given
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    style = "" if "root" in values else static("site.css")
    return environment.get_template(template).render(version=__version__, versions=VERSIONS, style=style, **values)
