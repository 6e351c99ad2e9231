"""Bring back, in a fresh clone, what DVC noted for the commit."""

import json
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

from medgrid.config import read_yaml
from medgrid.errors import MedgridError
from medgrid.run import run

LOCK = "dvc.lock"


def _dvc(*arguments: str, **options) -> subprocess.CompletedProcess:
    """Run DVC; leaves when it fails, since it has said why."""
    result = subprocess.run([sys.executable, "-m", "dvc", *arguments], text=True, **options)
    if result.returncode:
        sys.exit(result.returncode)
    return result


def restore(arguments: list[str]) -> NoReturn:
    """`dvc pull ARGUMENTS` of what was recorded (without a remote, checkout); then Snakemake takes files as they are.

    Without the last step Snakemake would go by the times of files, which a clone does not keep. Raises MedgridError
    when nothing was recorded or when files differ from what was.
    """
    if not Path(LOCK).exists():
        raise MedgridError(f"there is no {LOCK} here: `dvc repro` notes what a run made, for others to restore")
    stages = list(read_yaml(LOCK)["stages"])
    remotes = _dvc("remote", "list", capture_output=True).stdout
    _dvc("pull" if remotes else "checkout", *arguments, *stages)
    changed = json.loads(_dvc("status", "--json", *stages, capture_output=True).stdout)
    if changed:
        raise MedgridError(
            f"{', '.join(changed)}: settings or files here are not those recorded in {LOCK}; "
            "`dvc status` shows what differs, `git stash` sets it aside"
        )
    studies = [name.removeprefix("study@") for name in stages if name.startswith("study@")]
    print(f"medgrid: restored {', '.join(studies) or 'data only'}", file=sys.stderr)
    run(["--touch", "--forceall", "--quiet", "all", "--", *studies])
