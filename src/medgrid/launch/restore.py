"""Results and DVC: check that they match params.yaml, and restore them in a fresh clone."""

import json
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

from medgrid.config import load, read_yaml
from medgrid.grid.layout import lay_out
from medgrid.launch.params import PARAMS
from medgrid.launch.run import acquire_lock, run
from medgrid.utils.errors import MedgridError

LOCK = "dvc.lock"


def verify(study: str) -> None:
    """Raise MedgridError unless the results of `study`, in the folder that dvc.yaml records, match params.yaml."""
    results = Path("results", study)
    manifests = lay_out(load(read_yaml(PARAMS))).manifests
    if study not in manifests:
        raise MedgridError(f"{PARAMS} has no study '{study}'; its studies are {', '.join(manifests)}")
    manifest = manifests[study]
    expected = {manifest.tables_name, f"page-{manifest.page_name}"}
    files = {file.stem for file in (results / "manifest").glob("*.json")}
    summary = results / "summary.json"
    if not files:
        raise MedgridError(f"{results} has no results yet; run the study: medgrid run -- {study}")
    shown = json.loads(summary.read_text(encoding="utf-8")).get("manifest") if summary.exists() else None
    if files != expected or shown != manifest.page_name:
        raise MedgridError(
            f"{results} does not match the settings of {PARAMS}: was the file edited during the run, or does a "
            "profile change settings? Nothing was recorded; run the stage again, with all settings in params.yaml"
        )


def _dvc(*arguments: str, capture_output: bool = False) -> subprocess.CompletedProcess:
    """Run DVC; exit when it fails, after its own message."""
    result = subprocess.run([sys.executable, "-m", "dvc", *arguments], text=True, capture_output=capture_output)
    if result.returncode:
        sys.exit(result.returncode)
    return result


def _recorded() -> list[str]:
    """Stages of the lock file for data sets and studies that params.yaml still has."""
    if not Path(LOCK).exists():
        raise MedgridError(f"there is no {LOCK} here: run `dvc repro` where the results are, and commit its {LOCK}")
    params = read_yaml(PARAMS)
    possible = {f"data@{name}" for name in params["datasets"]} | {f"study@{name}" for name in params["studies"]}
    if stages := sorted(possible.intersection(read_yaml(LOCK).get("stages") or ())):
        return stages
    raise MedgridError(f"{LOCK} records no data set or study of {PARAMS}")


def restore(arguments: list[str]) -> NoReturn:
    """Run `dvc pull ARGUMENTS` (without a remote, `dvc checkout`), then mark the files as up to date for Snakemake.

    The last step is necessary because Snakemake compares modification times, which a clone does not keep. Raises
    MedgridError when nothing was recorded, when files differ from the record, or while a run is active.
    """
    stages = _recorded()
    lock = acquire_lock()
    remotes = _dvc("remote", "list", capture_output=True).stdout
    if arguments and not remotes:
        raise MedgridError("no remote is configured; add one: dvc remote add --default NAME URL")
    _dvc("pull" if remotes else "checkout", *arguments, *stages)
    changed = json.loads(_dvc("status", "--json", *stages, capture_output=True).stdout)
    if changed:
        raise MedgridError(
            f"{', '.join(changed)}: settings or files differ from those recorded in {LOCK}; "
            "`dvc status` shows the differences, `git stash --include-untracked` stashes them"
        )
    studies = [name.removeprefix("study@") for name in stages if name.startswith("study@")]
    for study in studies:
        verify(study)
    print(f"medgrid: restored {', '.join(studies) or 'data only'}", file=sys.stderr)
    run(["--touch", "--forceall", "--quiet", "all", "--", *studies], lock)
