"""Start Snakemake so that a run killed at any moment can simply be started again."""

import contextlib
import fcntl
import importlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path
from types import ModuleType
from typing import IO, Any, NoReturn

import psutil

from medgrid.jobs import JOBS
from medgrid.launch import progress, run_state, targets
from medgrid.launch.params import check_configfiles, profile_folder
from medgrid.utils.errors import MedgridError

CANCEL_SECONDS = 60  # that cancelled jobs may take to end
LOCK = Path(".snakemake/medgrid.lock")
LOCK_ATTEMPTS, LOCK_PAUSE = 5, 0.1  # seconds; `medgrid status` holds the lock for a moment
# jobs that could still write over results of the next run
WRITERS = {name for name, job in JOBS.items() if job.writes_results}


def _other_snakemake() -> int | None:
    """Process number of a plain `snakemake` that runs in this folder without our lock, if there is one."""
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = process.info["cmdline"] or ()
        is_snakemake = any(word.endswith(("snakemake", "snakemake/__main__.py")) for word in words)
        is_job = "--mode" in words  # of a run on SLURM, on a node that is this machine
        here = process.info["cwd"] == str(Path.cwd())
        if is_snakemake and not is_job and here and process.pid != os.getpid():
            return process.pid
    return None


def _cancel_slurm_jobs() -> None:
    """Cancel the SLURM jobs of a killed run, and wait until they have ended.

    Snakemake would submit them a second time; training then resumes from its checkpoint. Raises MedgridError when
    they do not end within CANCEL_SECONDS.
    """
    logs = [path.read_text(errors="replace") for path in Path(".snakemake/log").glob("*.log")]
    names = ",".join(re.findall(r"SLURM run ID: (\S+)", "\n".join(logs)))
    if not names or not shutil.which("squeue"):
        return
    jobs: list[str] = []
    for _ in range(CANCEL_SECONDS):
        jobs = _queued_jobs(names)
        if not jobs:
            return
        print(f"medgrid: cancelling {len(jobs)} jobs of a killed run", file=sys.stderr, flush=True)
        subprocess.run(["scancel", *jobs], capture_output=True)  # noqa: S607
        time.sleep(1)
    raise MedgridError(
        f"jobs {', '.join(jobs)} of a killed run are still on SLURM; cancel them: scancel {' '.join(jobs)}"
    )


def _queued_jobs(names: str) -> list[str]:
    """Numbers of the SLURM jobs with these names, separated by commas. Raises MedgridError when squeue fails."""
    command = ["squeue", "--noheader", f"--name={names}", "--format=%i"]
    queue = subprocess.run(command, capture_output=True, text=True)
    if queue.returncode:
        raise MedgridError(f"a killed run may have left jobs on SLURM, and squeue fails: {queue.stderr.strip()}")
    return queue.stdout.split()


def lazy_import(name: str) -> None:
    """Defer the import of a module until one of its attributes is used.

    Unlike with importlib's LazyLoader, an import statement alone does not load the module.
    """
    stand_in = ModuleType(name)

    def load(attribute: str) -> Any:
        if sys.modules.get(name) is stand_in:
            del sys.modules[name]
        return getattr(importlib.import_module(name), attribute)

    stand_in.__spec__ = importlib.util.find_spec(name)
    stand_in.__dict__["__getattr__"] = load
    sys.modules[name] = stand_in


def _is_writer(words: list[str]) -> bool:
    """Whether a command line is `medgrid job NAME`, for a job that writes results."""
    for i, word in enumerate(words[:2]):  # `medgrid`, or an interpreter that runs the script `medgrid`
        if Path(word).name == "medgrid":
            return words[i + 1 : i + 2] == ["job"] and not WRITERS.isdisjoint(words[i + 2 : i + 3])
    return False


def _end_orphaned_jobs() -> None:
    """Kill jobs of a killed run that still work in this folder: they could write over results of the next run."""
    for process in psutil.process_iter(["cmdline", "cwd"]):
        if _is_writer(process.info["cmdline"] or []) and process.info["cwd"] == str(Path.cwd()):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
                process.wait(CANCEL_SECONDS)


def acquire_lock() -> IO:
    """Take this folder's lock, which is held as long as the returned file is open.

    The operating system releases it with the process, so a killed run leaves nothing to clean up. Raises MedgridError
    when a run holds the lock, or when there is no Snakefile.
    """
    if not Path("Snakefile").exists():
        raise MedgridError("there is no Snakefile here; run from the project's folder")
    LOCK.parent.mkdir(exist_ok=True)
    lock = LOCK.open("a+")
    for attempt in range(LOCK_ATTEMPTS):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if attempt == LOCK_ATTEMPTS - 1:
                raise MedgridError(
                    f"another `medgrid run` (process {lock_owner() or 'unknown'}) is active in this folder; "
                    "wait for it or stop it; `medgrid status` shows its progress"
                ) from None
            time.sleep(LOCK_PAUSE)
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def lock_owner() -> int | None:
    """Process number of the run that is active in this folder; None when there is none."""
    if not LOCK.exists():
        return None
    with LOCK.open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return None
        except BlockingIOError:
            return int(lock.read() or 0)


def _parse(arguments: list[str]) -> tuple[ArgumentParser, Namespace]:
    """Snakemake's parser and its options, including those of the profile.

    Raises MedgridError for options that are not valid, and for profiles and files that do not exist.
    """
    from snakemake.cli import parse_args
    from snakemake.exceptions import CliException

    try:
        parser, options = parse_args(arguments)
    except CliException as error:
        raise MedgridError(str(error)) from None
    profile = options.workflow_profile  # Snakemake ignores one that does not exist
    if profile and profile != "none":
        profile_folder(profile)
    check_configfiles(map(str, options.configfile or ()))
    return parser, options


def _register_loggers(options: Namespace) -> None:
    """Record the state of the run for `medgrid status`, and show its progress.

    Snakemake's own output is kept when options ask for it, or for none. Profiles are quiet for dry runs only; the log
    file of a run is complete.
    """
    from snakemake.settings.enums import Quietness
    from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry

    if options.dryrun or options.touch or options.logger:
        return
    registry = LoggerPluginRegistry()
    registry.register_plugin("snakemake_logger_plugin_medgrid_state", run_state)
    options.logger = ["medgrid-state"]
    run_state.current.profile = options.workflow_profile or ""
    run_state.current.configfiles = [str(file) for file in options.configfile or ()]
    run_state.current.targets = list(options.targets)
    run_state.current.local = options.executor in (None, "local")
    verbose = options.verbose or options.printshellcmds or options.debug_dag
    if not verbose and {Quietness.ALL, Quietness.PROGRESS}.isdisjoint(options.quiet or ()):
        registry.register_plugin("snakemake_logger_plugin_medgrid", progress)
        options.logger.append("medgrid")
        options.quiet = set()


def _clean_up_killed_run(arguments: list[str]) -> None:
    """End what a killed run has left running, and release Snakemake's lock, which outlives a SIGKILL."""
    if not any(Path(".snakemake/locks").glob("*")):
        return
    if active := _other_snakemake():
        raise MedgridError(f"snakemake (process {active}) is active in this folder; wait for it or stop it")
    _end_orphaned_jobs()
    _cancel_slurm_jobs()
    unlock = [sys.executable, "-m", "snakemake", "--unlock", *arguments]
    unlocked = subprocess.run(unlock, capture_output=True, text=True)
    if unlocked.returncode:
        sys.exit(unlocked.stderr)


def run(arguments: list[str], lock: IO | None = None) -> NoReturn:
    """Run `snakemake ARGUMENTS` in this process, as the only run in this folder; does not return.

    `lock`: the result of `acquire_lock`, if the lock is already held. Raises MedgridError when a run is active.
    """
    lock = lock or acquire_lock()  # open in this process only, not in the jobs that it starts
    # Snakemake and its SLURM plugin import it at every start, for features that are not used here
    lazy_import("pandas")
    parser, options = _parse(arguments)
    _clean_up_killed_run(arguments)
    _register_loggers(options)
    targets.requested = list(options.targets)
    from snakemake.cli import args_to_api
    from snakemake.exceptions import print_exception

    sys.argv = ["snakemake", *arguments]
    try:
        sys.exit(0 if args_to_api(options, parser) else 1)
    except Exception as error:  # as Snakemake's own `main` does
        print_exception(error)
        sys.exit(1)
