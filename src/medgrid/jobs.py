"""The pipeline's jobs: one table, used by the command line, by `medgrid run` and by the tests of the rules.

A rule calls `medgrid job NAME SETTINGS.json FILES... --OPTIONS`. Modules of a job are imported when it runs.
"""

import argparse
import importlib
import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medgrid.utils.errors import MedgridError

OPTION_DEFAULTS: dict[str, str | int] = {"device": "auto", "threads": 0, "slots": 1}  # of the others: empty text


@dataclass(frozen=True)
class Job:
    """A job: its function and the parameters that follow the settings.

    `files` are positional arguments of the command line, `options` are optional ones. `writes_results`: whether a job
    that a killed run has left behind could still write over results of the next run.
    """

    function: str  # module:function
    files: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    writes_results: bool = True

    def load(self) -> Callable[..., None]:
        """Import and return the function."""
        module, name = self.function.split(":")
        return getattr(importlib.import_module(module), name)


DEVICE = ("device", "threads", "slots")

JOBS = {
    "fetch": Job("medgrid.data.fetch:fetch", ("target",), ("mirror", "folder"), writes_results=False),
    "inventory": Job("medgrid.data.inventory:write_inventory", ("archive", "target"), ("groups", "threads")),
    "near_duplicates": Job(
        "medgrid.data.near_duplicates:write_near_duplicates",
        ("archive", "inventory", "target", "thumbnails"),
        ("threads",),
    ),
    "split": Job("medgrid.data.split:write_split", ("inventory", "near_duplicates", "thumbnails", "target")),
    "tensors": Job("medgrid.data.tensors:write_tensors", ("archive", "inventory", "target"), ("threads",)),
    "weights": Job("medgrid.models.weights:fetch_weights", ("target",), ("mirror",), writes_results=False),
    "features": Job("medgrid.models.features:write_features", ("tensors", "target", "stamp"), ("weights", *DEVICE)),
    "networks": Job("medgrid.models.network_sizes:write_networks", ("target",)),
    "train": Job(
        "medgrid.training.job:train_job",
        ("split", "target", "checkpoints"),
        ("features", "stamp", "tensors", "weights", *DEVICE),
    ),
    "evaluate": Job("medgrid.evaluation.evaluate:write_results", ("folder", "split")),
    "leakage": Job("medgrid.audit.leakage:write_leakage", ("inventory", "near_duplicates", "split", "target")),
    "submissions": Job("medgrid.evaluation.submissions:write_submissions", ("folder",)),
    "figures": Job("medgrid.report.figures.write:write_figures", ("folder", "split", "tensors")),
    "explain": Job(
        "medgrid.report.explanations.write:write_explanations",
        ("folder", "split", "tensors", "weights"),
        ("threads",),
    ),
    "page": Job(
        "medgrid.report.site.page:write_cards_and_page",
        ("folder", "inventory", "split", "tensors", "site"),
        ("audit",),
    ),
    "audit": Job(
        "medgrid.report.site.audit:write_audit",
        ("inventory", "near_duplicates", "thumbnails", "audit", "pairs", "page"),
    ),
    "manifest": Job("medgrid.grid.manifest:write_manifest", ("target",)),
    "prune": Job("medgrid.grid.manifest:prune", ("folder",), writes_results=False),
    "profile": Job("medgrid.training.profile:write_profile", ("target",), ("split", *DEVICE), writes_results=False),
    "plan_report": Job("medgrid.training.plan_report:print_plans", writes_results=False),
    "index": Job("medgrid.report.site.index:write_index", ("folder",), writes_results=False),
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="medgrid job",
        description="Run one job of the pipeline, as the rules in workflow/rules do.",
        epilog="`medgrid job NAME --help` lists the files and options of a job.",
    )
    names = parser.add_subparsers(dest="name", metavar="NAME", required=True)
    for name, job in JOBS.items():
        arguments = names.add_parser(name, help=f"calls {job.function}")
        arguments.add_argument("settings", metavar="SETTINGS.json", help="settings of a job, or manifest of a study")
        for file in job.files:
            arguments.add_argument(file)
        for option in job.options:
            default = OPTION_DEFAULTS.get(option, "")
            arguments.add_argument(f"--{option}", type=type(default), default=default)
    return parser


def read_settings(function: Callable[..., None], file: str) -> Any:
    """Settings of a job from a JSON file; validated by the pydantic model of the function's first parameter, if any.

    Raises MedgridError when the file does not exist or is not JSON.
    """
    model = next(iter(inspect.signature(function).parameters.values())).annotation
    try:
        text = Path(file).read_text(encoding="utf-8")
        return model.model_validate_json(text) if hasattr(model, "model_validate_json") else json.loads(text)
    except FileNotFoundError:
        raise MedgridError(f"{file} does not exist; SETTINGS.json must be the path of an existing file") from None
    except ValueError as error:
        raise MedgridError(f"{file} does not contain valid settings of this job: {error}") from None


def run_job(arguments: list[str]) -> None:
    """Run `medgrid job ARGUMENTS`."""
    options = vars(_parser().parse_args(arguments))
    function = JOBS[options.pop("name")].load()
    function(read_settings(function, options.pop("settings")), **options)
