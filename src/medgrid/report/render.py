"""Pages from the templates of this room."""

import jinja2

from medgrid import __version__
from medgrid.fingerprint import VERSIONS


def render(template: str, **values) -> str:
    """A page as text, with the version of the code that made it."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("medgrid.report"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(template).render(version=__version__, rooms=VERSIONS, **values)
