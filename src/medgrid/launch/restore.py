"""Bring back, in a fresh clone, what DVC noted for the commit; and see that it notes what is true."""

import json
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

from medgrid.config import load, read_yaml
from medgrid.grid.layout import lay_out
from medgrid.launch.run import acquire_lock, run
from medgrid.utils.errors import MedgridError

LOCK, PARAMS = "dvc.lock", "params.yaml"


def verify(study: str) -> None:
    """Raise MedgridError unless the results of `study`, where dvc.yaml has them, are those of params.yaml."""
    results = Path("results", study)
    known = {study: manifest.page_name for study, manifest in lay_out(load(read_yaml(PARAMS))).manifests.items()}
    if study not in known:
        raise MedgridError(f"{PARAMS} has no study '{study}'; it has {', '.join(known)}")
    wanted = known[study]
    there = [file.stem for file in (results / "manifest").glob("*.json")]
    summary = results / "summary.json"
    shown = json.loads(summary.read_text(encoding="utf-8")).get("manifest") if summary.exists() else None
    if there != [wanted] or shown != wanted:
        raise MedgridError(
            f"{results} does not show the settings of {PARAMS}: was it edited during the run, or does a profile "
            "change settings? Nothing was recorded; run the stage again, with all settings in params.yaml"
        )


def _dvc(*arguments: str, **options) -> subprocess.CompletedProcess:
    """Run DVC; leaves when it fails, since it has said why."""
    result = subprocess.run([sys.executable, "-m", "dvc", *arguments], text=True, **options)
    if result.returncode:
        sys.exit(result.returncode)
    return result


def _recorded() -> list[str]:
    """Stages of the lock file whose data set or study params.yaml still has."""
    if not Path(LOCK).exists():
        raise MedgridError(f"there is no {LOCK} here: `dvc repro` notes what a run made, for others to restore")
    params = read_yaml(PARAMS)
    asked = {f"data@{name}" for name in params["datasets"]} | {f"study@{name}" for name in params["studies"]}
    if stages := sorted(asked.intersection(read_yaml(LOCK).get("stages") or ())):
        return stages
    raise MedgridError(f"{LOCK} records no data set or study of {PARAMS}")


def restore(arguments: list[str]) -> NoReturn:
    """`dvc pull ARGUMENTS` of what was recorded (without a remote, checkout); then Snakemake takes files as they are.

    Without the last step Snakemake would go by the times of files, which a clone does not keep. Raises MedgridError
    when nothing was recorded, when files differ from what was, or while a run is active.
    """
    stages = _recorded()
    lock = acquire_lock()
    remotes = _dvc("remote", "list", capture_output=True).stdout
    if arguments and not remotes:
        raise MedgridError("no remote is configured: dvc remote add --default NAME URL")
    _dvc("pull" if remotes else "checkout", *arguments, *stages)
    changed = json.loads(_dvc("status", "--json", *stages, capture_output=True).stdout)
    if changed:
        raise MedgridError(
            f"{', '.join(changed)}: settings or files here are not those recorded in {LOCK}; "
            "`dvc status` shows what differs, `git stash --include-untracked` sets it aside"
        )
    studies = [name.removeprefix("study@") for name in stages if name.startswith("study@")]
    for study in studies:
        verify(study)
    print(f"medgrid: restored {', '.join(studies) or 'data only'}", file=sys.stderr)
    run(["--touch", "--forceall", "--quiet", "all", "--", *studies], lock)
