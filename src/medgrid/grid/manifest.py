"""What a study's tables and page show."""

import json
import shutil
from pathlib import Path

from medgrid.grid.versions import manifest_name
from medgrid.utils.errors import MedgridError
from medgrid.utils.files import atomic_write


def prune(settings: dict, folder: str) -> None:
    """Remove the jobs in `folder` that the manifest `settings` does not name."""
    for job in Path(folder).glob("*/"):
        if job.name not in settings["jobs"]:
            shutil.rmtree(job)


def write_manifest(settings: dict, target: str) -> None:
    """Note what a study's tables and page show (its jobs, title, labels), in a file named after all that.

    Nothing that params no longer ask for can linger then: another set of jobs is another file, and the only one in
    its folder. Raises MedgridError when `target` is not named after `settings`.
    """
    if Path(target).stem != manifest_name(settings):
        raise MedgridError("settings changed while the run was starting; start it again")
    for earlier in Path(target).parent.glob("*.json"):
        earlier.unlink()
    if not settings["submission"]:
        shutil.rmtree(Path(target).parent.with_name("submissions"), ignore_errors=True)
    with atomic_write(target) as temporary:
        temporary.write_text(json.dumps(settings, indent=2) + "\n")
