"""The `medgrid` command: what the rules call, and a few helpers for people.

Everything heavy is imported by the job that needs it, never for `--help`.
"""

import argparse
import importlib
import json
import os
import sys
from pathlib import Path

from medgrid import __version__
from medgrid.utils.errors import MedgridError

# job: function, its files in order, and options beyond them
JOBS = {
    "fetch": ("medgrid.data.fetch:fetch", "target"),
    "inventory": ("medgrid.data.inventory:write_inventory", "archive target"),
    "near_duplicates": ("medgrid.data.near_duplicates:write_near_duplicates", "archive inventory target thumbnails"),
    "split": ("medgrid.data.split:write_split", "inventory near_duplicates target"),
    "findings": ("medgrid.report.site.audit:write_audit", "inventory near_duplicates thumbnails audit pairs page"),
    "tensors": ("medgrid.data.tensors:write_tensors", "archive inventory target"),
    "weights": ("medgrid.models.weights:fetch_weights", "target"),
    "features": ("medgrid.models.features:write_features", "tensors target stamp"),
    "summary": ("medgrid.models.summary:write_summary", "target"),
    "train": ("medgrid.training.job:train_job", "split target checkpoints"),
    "evaluate": ("medgrid.evaluation.evaluate:write_results", "folder split"),
    "prune": ("medgrid.grid.manifest:prune", "folder"),
    "submissions": ("medgrid.evaluation.submissions:write_submissions", "folder"),
    "figures": ("medgrid.report.figures.write:write_figures", "folder split tensors"),
    "explain": ("medgrid.report.explain:write_explanations", "folder split tensors weights"),
    "page": ("medgrid.report.site.page:write_cards_and_page", "folder inventory split tensors site"),
    "profile": ("medgrid.training.profile:write_profile", "target"),
    "costs": ("medgrid.training.profile:print_costs", ""),
    "index": ("medgrid.report.site.index:write_index", "folder"),
}
OPTIONS = {
    "fetch": ("mirror", "folder"),
    "inventory": ("threads",),
    "near_duplicates": ("threads",),
    "tensors": ("threads",),
    "weights": ("mirror",),
    "features": ("weights", "device", "threads", "slots"),
    "train": ("features", "stamp", "tensors", "weights", "device", "threads", "slots"),
    "profile": ("split", "device", "threads", "slots"),
    "explain": ("threads",),
    "page": ("audit",),
}
DEFAULTS = {"device": "auto", "threads": 0, "slots": 1}  # others: none


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is no number of threads")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="medgrid",
        description="Re-runs published deep-learning studies of medical images. "
        "`medgrid run` runs the pipeline; the other commands are its jobs and helpers.",
    )
    parser.add_argument("--version", action="version", version=f"medgrid {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    commands.add_parser("run", help="run Snakemake with the arguments that follow, also after a killed run")
    restoring = commands.add_parser(
        "restore",
        usage="medgrid restore [DVC PULL OPTIONS]",
        help="in a fresh clone, bring back the results that DVC noted for this commit",
    )
    restoring.add_argument("options", nargs=argparse.REMAINDER, help="such as --remote lab")
    verifying = commands.add_parser("verify", help="fail unless the results of a study are those of params.yaml")
    verifying.add_argument("study")
    planning = commands.add_parser(
        "plan",
        usage="medgrid plan [STUDY ...] [-- SNAKEMAKE OPTIONS]",
        help="say what studies cost here, before anything runs; by default those that params.yaml runs",
    )
    planning.add_argument("studies", nargs="*")
    digest = commands.add_parser("digest", help="print the content digest of a zip or folder, for params.yaml")
    digest.add_argument("path")
    auditing = commands.add_parser("audit", help="look for copies, conflicting labels and shortcuts in any images")
    auditing.add_argument("images", metavar="FOLDER", help="or zip; sub-folders name classes, and train/test splits")
    auditing.add_argument("--out", default="", metavar="DIR", help="for results; by default audit-FOLDER")
    auditing.add_argument("--group", default="", metavar="REGEX", help="finds the patient in an image's path")
    auditing.add_argument("--threads", type=_count, default=0, help="at most; by default, one for each core")
    auditing.add_argument(
        "--fail-on",
        default="",
        metavar="WHAT,…",
        help="exit with 1 if there are any: exact, near, conflicts, across-splits, unreadable",
    )
    commands.add_parser("schema", help="print the JSON schema of params.yaml")
    for name, (_, files) in JOBS.items():
        job = commands.add_parser(name, help="a job of the pipeline")
        job.add_argument("settings", help="JSON, or @FILE")
        for file in files.split():
            job.add_argument(file)
        for option in OPTIONS.get(name, ()):
            default = DEFAULTS.get(option, "")
            job.add_argument(f"--{option}", type=type(default), default=default)
    return parser


def _settings(text: str) -> dict:
    """Settings as JSON, or as `@FILE`: a command line holds 128 KiB, which large grids outgrow."""
    return json.loads(Path(text[1:]).read_text(encoding="utf-8") if text.startswith("@") else text)


def _job(name: str, arguments: dict) -> None:
    module, function = JOBS[name][0].split(":")
    settings = _settings(arguments.pop("settings"))
    getattr(importlib.import_module(module), function)(settings, **arguments)


def _audit(arguments: dict) -> None:
    from medgrid.audit.folder import FAIL_ON, audit_folder, failures, print_summary
    from medgrid.report.site.audit import write_audit_page

    asked = [word for word in arguments["fail_on"].split(",") if word]
    if unknown := [word for word in asked if word not in FAIL_ON]:
        raise MedgridError(f"--fail-on knows {', '.join(FAIL_ON)}, not '{unknown[0]}'")
    source = arguments["images"]
    out = Path(arguments["out"] or f"audit-{Path(source).resolve().name.removesuffix('.zip')}")
    findings = audit_folder(source, out, arguments["group"], arguments["threads"], write_audit_page)
    print_summary(findings)
    print(out / "index.html")
    if held := failures(findings, asked):
        sys.exit(f"medgrid: audit failed: {'; '.join(held)}")


def main() -> None:
    # threads of one job that wait for each other sleep; by default they spin, and on a machine that is shared keep
    # those they wait for from running (libgomp reads this when it is loaded, with torch or scikit-learn)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        if sys.argv[1:2] == ["run"]:  # everything behind it is Snakemake's own
            from medgrid.launch.run import run

            run(sys.argv[2:])
        if sys.argv[1:2] == ["restore"] and sys.argv[2:] not in (["-h"], ["--help"]):  # and here DVC's
            from medgrid.launch.restore import restore

            restore(sys.argv[2:])
        behind = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
        arguments = vars(_parser().parse_args(sys.argv[1:behind]))
        command = arguments.pop("command")
        if command == "plan":
            from medgrid.config import read_yaml
            from medgrid.launch.run import run

            known, named = read_yaml("params.yaml").get("studies", {}), arguments["studies"]
            # a configfile among the options may bring others
            if unknown := [] if "--" in sys.argv else [study for study in named if study not in known]:
                raise MedgridError(f"params.yaml has no study '{unknown[0]}'; it has {', '.join(known)}")
            targets = [f"plan_{study}" for study in arguments["studies"]] or ["plan"]
            run([*sys.argv[behind + 1 :], "--", *targets])
        if command == "verify":
            from medgrid.launch.restore import verify

            verify(arguments["study"])
        elif command == "audit":
            _audit(arguments)
        elif command == "digest":
            from medgrid.data.archive import content_digest

            print(content_digest(arguments["path"]))
        elif command == "schema":
            from medgrid.config import schema

            print(schema(), end="")
        else:
            _job(command, arguments)
    except MedgridError as error:
        sys.exit(f"medgrid: error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
