"""What a study's tables and page show."""

import json
import shutil
from pathlib import Path

from medgrid.files import replacing


def write_manifest(settings: dict, target: str) -> None:
    """Note what a study's tables and page show (its packs, title, labels), in a file named after all that.

    Nothing that params no longer ask for can linger then: another set of packs is another file, and the only one in
    its folder.
    """
    for earlier in Path(target).parent.glob("*.json"):
        earlier.unlink()
    if not settings["submission"]:
        shutil.rmtree(Path(target).parent.with_name("submissions"), ignore_errors=True)
    with replacing(target) as temporary:
        temporary.write_text(json.dumps(settings, indent=2) + "\n")
