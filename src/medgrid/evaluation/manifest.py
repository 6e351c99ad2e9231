"""Which packs a study's tables show."""

import json
from pathlib import Path

from medgrid.files import replacing


def write_manifest(settings: dict, target: str) -> None:
    """Note the exact packs that a study's tables show, in a file named after them.

    A pack that params no longer ask for then cannot linger in a table: another set of packs is another file.
    """
    for earlier in Path(target).parent.glob("manifest-*.json"):
        earlier.unlink()
    with replacing(target) as temporary:
        temporary.write_text(json.dumps(settings, indent=2) + "\n")
