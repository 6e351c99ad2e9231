"""The command line for people: help, errors that name the way out, and what is imported."""

import subprocess
import sys

import pytest
from conftest import ROOT, medgrid

from medgrid import cli


def test_help_shows_each_command_with_an_example():
    text = medgrid("--help").stdout
    order = [
        "run", "plan", "status", "open", "verdicts", "check-claims", "audit", "restore", "verify", "digest", "schema",
    ]  # fmt: skip
    assert list(cli.COMMANDS) == order
    for name, command in cli.COMMANDS.items():
        assert f"  {name:<14}{command.summary}\n" in text
        assert command.example.startswith(f"medgrid {name}")
        assert f"  {command.example}\n" in text
    assert " job" not in text  # for rules; it has help of its own


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_each_command_has_help_of_its_own(name):
    result = medgrid(name, "--help")
    assert result.returncode == 0
    assert result.stdout.startswith(f"usage: medgrid {name}")


def test_the_command_line_imports_no_heavy_module():
    heavy = ("torch", "pandas", "numpy", "snakemake", "pydantic")
    code = f"import sys, medgrid, medgrid.cli, medgrid.jobs; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plan", "nothing"], "params.yaml has no study 'nothing'; its studies are "),
        (["status", "nothing"], "there is no study 'nothing'; the studies are "),
        (["status", "--workflow-profile", "nothing"], "there is no profile 'nothing'; the profiles are default"),
        (["status", "--configfile", "nothing.yaml"], "there is no file 'nothing.yaml' (--configfile)"),
        (["open", "nothing"], "there is no study 'nothing' in params.yaml; its studies are "),
    ],
)
def test_errors_name_the_way_out(arguments, message):
    result = medgrid(*arguments, cwd=ROOT)
    assert result.returncode == 1
    assert result.stderr.startswith(f"medgrid: error: {message}")
    assert "Traceback" not in result.stderr


def test_arguments_of_snakemake_and_dvc_are_passed_on():
    assert cli._parse(["run", "-n", "--", "all"]).arguments == ["-n", "--", "all"]
    assert cli._parse(["restore", "--remote", "lab"]).arguments == ["--remote", "lab"]
    options = cli._parse(["plan", "one", "two", "--", "--cores", "1"])
    assert (options.studies, options.arguments) == (["one", "two"], ["--cores", "1"])


def test_options_of_commands():
    options = cli._parse(["audit", "images", "--threads", "2", "--fail-on", "near,exact"])
    assert (options.images, options.threads, options.fail_on, options.out) == ("images", 2, "near,exact", "")
    with pytest.raises(SystemExit):
        cli._parse(["audit", "images", "--threads", "-1"])
