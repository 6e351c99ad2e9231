"""Start Snakemake so that a run killed at any moment can simply be started again."""

import contextlib
import fcntl
import importlib
import os
import re
import shutil
import subprocess
import sys
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path
from types import ModuleType
from typing import IO, NoReturn

import psutil

from medgrid.launch import progress, targets
from medgrid.utils.errors import MedgridError

# commands that write results
JOBS = {
    "inventory", "near_duplicates", "split", "findings", "tensors", "features", "summary", "train", "evaluate", "submissions",
    "figures", "explain", "page",
}  # fmt: skip
GONE_WITHIN = 60  # seconds that cancelled jobs may take to end


def _snakemake_here() -> int | None:
    """Number of a process that runs a plain `snakemake` in this folder, which does not hold our lock."""
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = process.info["cmdline"] or ()
        named = any(word.endswith(("snakemake", "snakemake/__main__.py")) for word in words)
        job = "--mode" in words  # of a run on SLURM, on a node that is this machine
        if named and not job and process.info["cwd"] == str(Path.cwd()) and process.pid != os.getpid():
            return process.pid
    return None


def _cancel_orphans() -> None:
    """Cancel what a killed run has left on SLURM, and wait until it is gone.

    Snakemake would submit it a second time; submitted again, a training goes on from its checkpoint.
    """
    logs = [path.read_text(errors="replace") for path in Path(".snakemake/log").glob("*.log")]
    names = ",".join(re.findall(r"SLURM run ID: (\S+)", "\n".join(logs)))
    if not names or not shutil.which("squeue"):
        return
    queued = ["squeue", "--noheader", f"--name={names}", "--format=%i"]
    for _ in range(GONE_WITHIN):
        asked = subprocess.run(queued, capture_output=True, text=True)
        if asked.returncode:
            raise MedgridError(f"a killed run may have left jobs on SLURM, and squeue fails: {asked.stderr.strip()}")
        if not (left := asked.stdout.split()):
            return
        print(f"medgrid: cancelling {len(left)} jobs of a killed run", file=sys.stderr, flush=True)
        subprocess.run(["scancel", *left], capture_output=True)  # noqa: S607
        time.sleep(1)
    raise MedgridError(
        f"jobs {', '.join(left)} of a killed run are still on SLURM; cancel them: scancel {' '.join(left)}"
    )


def lazy_import(name: str) -> None:
    """Let `import name` cost nothing until something of the module is used."""

    def load(attribute: str) -> object:
        sys.modules.pop(name, None)
        return getattr(importlib.import_module(name), attribute)

    sys.modules[name] = ModuleType(name)
    sys.modules[name].__getattr__ = load


def _end_orphans() -> None:
    """End the jobs of a killed run that still work here; later they would write over what the next run has made."""
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = process.info["cmdline"] or ()
        job = any(Path(word).name == "medgrid" for word in words[:2]) and JOBS.intersection(words[1:3])
        if job and process.info["cwd"] == str(Path.cwd()):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
                process.wait(GONE_WITHIN)


def acquire_lock() -> IO:
    """Hold this folder's lock, as long as what is returned stays open. Raises MedgridError when a run holds it."""
    if not Path("Snakefile").exists():
        raise MedgridError("there is no Snakefile here; run from the project's folder")
    Path(".snakemake").mkdir(exist_ok=True)
    lock = Path(".snakemake/medgrid.lock").open("a+")  # noqa: SIM115 (as long as the process lives)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        raise MedgridError(
            f"another `medgrid run` (process {lock.read() or 'unknown'}) is active in this folder; "
            "wait for it or stop it"
        ) from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def _parsed(arguments: list[str]) -> tuple[ArgumentParser, Namespace]:
    """Snakemake's parser and options, the profile's included. Raises MedgridError where they name missing files."""
    from snakemake.cli import parse_args
    from snakemake.exceptions import CliException

    try:
        parser, options = parse_args(arguments)
    except CliException as error:
        raise MedgridError(str(error)) from None
    profile = options.workflow_profile  # Snakemake ignores one that does not exist
    if profile and profile != "none" and not any(Path(folder, profile).exists() for folder in ("", "profiles")):
        names = sorted(path.name for path in Path("profiles").glob("*/"))
        raise MedgridError(f"there is no profile '{profile}'; there are {', '.join(names)}")
    for file in options.configfile or ():
        if not Path(file).exists():
            raise MedgridError(f"there is no file '{file}' (--configfile); targets come after `--`")
    return parser, options


def _show_progress(options: Namespace) -> None:
    """Let our display speak for Snakemake, unless options ask for its own words, or for none.

    Profiles are quiet for the sake of dry runs; the log file of a run leaves nothing out.
    """
    from snakemake.settings.enums import Quietness
    from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry

    own = options.dryrun or options.verbose or options.printshellcmds or options.debug_dag or options.logger
    if not own and {Quietness.ALL, Quietness.PROGRESS}.isdisjoint(options.quiet or ()):
        LoggerPluginRegistry().register_plugin("snakemake_logger_plugin_medgrid", progress)
        options.logger, options.quiet = ["medgrid"], set()


def run(arguments: list[str], lock: IO | None = None) -> NoReturn:
    """Become `snakemake ARGUMENTS`, the only one in this folder; `lock`: of `hold`, where it is held already.

    Snakemake's own lock outlives a SIGKILL and then needs a manual `--unlock`. Here the operating system's lock
    tells whether a run is alive, since it goes with the process. Raises MedgridError when one is.
    """
    lock = lock or acquire_lock()  # open in this process, not in the jobs that it starts
    # the SLURM plugin imports it for a report that the profile does not ask for, at every start
    lazy_import("pandas")
    parser, options = _parsed(arguments)
    if any(Path(".snakemake/locks").glob("*")):
        if active := _snakemake_here():
            raise MedgridError(f"snakemake (process {active}) is active in this folder; wait for it or stop it")
        _end_orphans()
        _cancel_orphans()
        unlock = [sys.executable, "-m", "snakemake", "--unlock", *arguments]
        unlocked = subprocess.run(unlock, capture_output=True, text=True)
        if unlocked.returncode:
            sys.exit(unlocked.stderr)
    _show_progress(options)
    targets.asked = list(options.targets)
    from snakemake.cli import args_to_api
    from snakemake.exceptions import print_exception

    sys.argv = ["snakemake", *arguments]
    try:
        sys.exit(0 if args_to_api(options, parser) else 1)
    except Exception as error:  # as Snakemake's own `main` does
        print_exception(error)
        sys.exit(1)
