"""The `medgrid` command line: commands for users, and `medgrid job`, which the rules call.

Each command imports the modules that it needs, so that `--help` is fast.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from medgrid import __version__
from medgrid.utils.errors import MedgridError

Options = argparse.Namespace


@dataclass(frozen=True)
class Command:
    """A command: a line of help, an example, its function, and the function that adds its arguments to a parser."""

    summary: str
    example: str
    function: Callable[[Options], None]
    add_arguments: Callable[[argparse.ArgumentParser], None]


def _run(options: Options) -> None:
    from medgrid.launch.run import run

    run(options.arguments)


def _run_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "medgrid run [SNAKEMAKE OPTIONS] [-- TARGET ...]"
    parser.epilog = """\
targets: names of studies, all (those under `run` in params.yaml; the default), studies (all of them),
plan_STUDY, prune_STUDY, data_DATASET, audit_DATASET, or files

options that are often used (`snakemake --help` lists all):
  -n                                  print what would run
  --cores N                           use at most N cores
  --config KEY=VALUE                  override settings, such as device=cpu
  --configfile FILE                   override settings with those of a file
  --workflow-profile NAME             demo, smoke, slurm: a folder of workflow/profiles
  --forcerun RULE                     run a rule again"""


def _plan(options: Options) -> None:
    from medgrid.config import read_yaml
    from medgrid.launch.run import run

    known = read_yaml("params.yaml").get("studies", {})
    # a configfile among Snakemake's options may define others
    unknown = [] if options.arguments else [study for study in options.studies if study not in known]
    if unknown:
        raise MedgridError(f"params.yaml has no study '{unknown[0]}'; its studies are {', '.join(known)}")
    targets = [f"plan_{study}" for study in options.studies] or ["plan"]
    run([*options.arguments, "--", *targets])


def _plan_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "medgrid plan [STUDY ...] [-- SNAKEMAKE OPTIONS]"
    parser.add_argument("studies", nargs="*", metavar="STUDY", help="default: those under `run` in params.yaml")


def _status(options: Options) -> None:
    from medgrid.grid.layout import lay_out
    from medgrid.launch.params import read_params
    from medgrid.status import check_studies, print_status, read_status

    params = read_params(options.workflow_profile, options.configfile)
    layout = lay_out(params)
    check_studies(options.studies, layout)
    status = read_status(params, layout, options.studies, options.workflow_profile, options.configfile)
    if options.json:
        print(json.dumps(status.to_dict(), indent=1))
    else:
        print_status(status)


def _status_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("studies", nargs="*", metavar="STUDY", help="default: all studies")
    parser.add_argument("--json", action="store_true", help="print JSON, for scripts")
    _add_settings_options(parser)


def _add_settings_options(parser: argparse.ArgumentParser) -> None:
    """Options that select the settings of a run, and therefore the folders that it wrote."""
    parser.add_argument("--workflow-profile", default="", metavar="NAME", help="profile of the run, such as demo")
    parser.add_argument("--configfile", nargs="+", default=[], metavar="FILE", help="settings files of the run")


def _open(options: Options) -> None:
    from medgrid.launch.open_page import open_page, page_path
    from medgrid.launch.params import read_params

    params = read_params(options.workflow_profile, options.configfile)
    open_page(page_path(params.results, options.study, list(params.studies)))


def _open_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "study", nargs="?", default="", metavar="STUDY", help="default: the front page of all studies"
    )
    _add_settings_options(parser)


def _verdicts(options: Options) -> None:
    from medgrid.launch.params import read_params
    from medgrid.verdicts import recompute

    recompute(options.study, read_params(options.workflow_profile, options.configfile).results, options.out)


def _verdicts_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", metavar="STUDY", help="name of the study, as in params.yaml")
    parser.add_argument("--out", default="recomputed", metavar="DIR", help="for tables and page; default: recomputed")
    _add_settings_options(parser)


def _check_claims(options: Options) -> None:
    from medgrid.check_claims import print_checks
    from medgrid.launch.params import read_params

    print_checks(read_params(options.workflow_profile, options.configfile), options.study)


def _check_claims_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "study", nargs="?", default="", metavar="STUDY", help="default: one study of each publication in params.yaml"
    )
    _add_settings_options(parser)


def _audit(options: Options) -> None:
    from medgrid.audit.folder import FAIL_ON, audit_folder, failures, print_summary
    from medgrid.report.site.audit import write_audit_page

    kinds = [kind for kind in options.fail_on.split(",") if kind]
    if unknown := [kind for kind in kinds if kind not in FAIL_ON]:
        raise MedgridError(f"--fail-on accepts {', '.join(FAIL_ON)}, not '{unknown[0]}'")
    out = Path(options.out or f"audit-{Path(options.images).resolve().name.removesuffix('.zip')}")
    findings = audit_folder(options.images, out, options.group, options.threads, write_audit_page)
    print_summary(findings)
    print(out / "index.html")
    if faults := failures(findings, kinds):
        sys.exit(f"medgrid: audit failed: {'; '.join(faults)}")


def _thread_count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is not a valid number of threads")
    return int(text)


def _audit_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", metavar="FOLDER", help="folder or zip; its sub-folders are the classes and splits")
    parser.add_argument("--out", default="", metavar="DIR", help="output folder; default: audit-FOLDER")
    parser.add_argument("--group", default="", metavar="REGEX", help="matches the patient in an image path")
    parser.add_argument(
        "--threads", type=_thread_count, default=0, help="maximum number of threads; default: one per core"
    )
    parser.add_argument(
        "--fail-on",
        default="",
        metavar="WHAT,…",
        help="exit with code 1 if the audit finds any of: exact, near, conflicts, across-splits, unreadable",
    )


def _restore(options: Options) -> None:
    from medgrid.launch.restore import restore

    restore(options.arguments)


def _restore_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "medgrid restore [DVC PULL OPTIONS]"
    parser.epilog = "Options are passed to `dvc pull`, such as --remote lab; `dvc pull --help` lists them."


def _verify(options: Options) -> None:
    from medgrid.launch.restore import verify

    verify(options.study)


def _verify_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", metavar="STUDY", help="name of the study, as in params.yaml")


def _digest(options: Options) -> None:
    from medgrid.data.archive import content_digest

    print(content_digest(options.path))


def _digest_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", help="a zip or a folder")


def _schema(_: Options) -> None:
    from medgrid.config import schema

    print(schema(), end="")


def _no_arguments(_: argparse.ArgumentParser) -> None:
    pass


COMMANDS = {
    "run": Command("run studies, or continue an interrupted run", "medgrid run -- STUDY", _run, _run_arguments),
    "plan": Command(
        "estimate time, memory and disk of studies on this machine", "medgrid plan STUDY", _plan, _plan_arguments
    ),
    "status": Command(
        "show the progress of each study and the expected end of the run",
        "medgrid status",
        _status,
        _status_arguments,
    ),
    "open": Command("open the report, or a study's page, in a browser", "medgrid open", _open, _open_arguments),
    "verdicts": Command(
        "recompute tables, verdicts and page from committed predictions",
        "medgrid verdicts STUDY",
        _verdicts,
        _verdicts_arguments,
    ),
    "check-claims": Command(
        "compare a publication's claims with its own printed numbers",
        "medgrid check-claims STUDY",
        _check_claims,
        _check_claims_arguments,
    ),
    "audit": Command(
        "find near-duplicates, conflicting labels and shortcuts in a folder of images",
        "medgrid audit FOLDER",
        _audit,
        _audit_arguments,
    ),
    "restore": Command(
        "restore the results that DVC recorded for this commit", "medgrid restore", _restore, _restore_arguments
    ),
    "verify": Command(
        "check that a study's results match params.yaml", "medgrid verify STUDY", _verify, _verify_arguments
    ),
    "digest": Command(
        "print the content digest of a zip or folder, for params.yaml",
        "medgrid digest images.zip",
        _digest,
        _digest_arguments,
    ),
    "schema": Command("print the JSON schema of params.yaml", "medgrid schema", _schema, _no_arguments),
}
# the arguments of these commands are options of another program
PASSED_ON = ("run", "restore")


def _overview() -> str:
    """The commands with an example each, for `medgrid --help`."""
    lines = ["commands:"]
    for name, command in COMMANDS.items():
        lines += [f"  {name:<14}{command.summary}", f"  {'':<14}  {command.example}"]
    return "\n".join([*lines, "", "`medgrid COMMAND --help` shows the options of a command."])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="medgrid",
        usage="medgrid COMMAND ...",
        description="Re-runs published deep-learning studies of medical images.",
        epilog=_overview(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"medgrid {__version__}")
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True, prog="medgrid", help=argparse.SUPPRESS
    )
    for name, command in COMMANDS.items():
        subparser = commands.add_parser(
            name,
            description=f"{command.summary[0].upper()}{command.summary[1:]}.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_arguments(subparser)
    return parser


def _parse(words: list[str]) -> Options:
    """Options of a command. Its `arguments` are options of another program."""
    if words[:1] and words[0] in PASSED_ON and words[1:] not in (["-h"], ["--help"]):
        return Options(command=words[0], arguments=words[1:])
    end = words.index("--") if "--" in words and words[0] == "plan" else len(words)
    options = _parser().parse_args(words[:end])
    options.arguments = words[end + 1 :]
    return options


def main() -> None:
    # by default, threads that wait for each other spin, which slows other processes on a shared machine; libgomp
    # reads this when torch or scikit-learn loads it
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        if sys.argv[1:2] == ["job"]:
            from medgrid.jobs import run_job

            run_job(sys.argv[2:])
        else:
            options = _parse(sys.argv[1:])
            COMMANDS[options.command].function(options)
    except MedgridError as error:
        sys.exit(f"medgrid: error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # whoever read the output has stopped, such as `head`; Python would complain when it closes standard output
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
