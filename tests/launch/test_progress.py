"""What is shown of a run, on a terminal and without one, and what is said of names that do not exist."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from conftest import TINY, Project

from medgrid.launch.progress import label, latest, tail

BAR = r"heads:  45%|####      | 45/100 [00:03<00:04, 12.3epoch/s]"
SNAKEFILE = f"""
rule all:
    input: expand("results/{{study}}.csv", study=["good", "bad"]), "plan.done"

rule train:
    output: "results/{{study}}.csv"
    log: "logs/{{study}}.log"
    shell:
        '''(printf '\\r%s' '{BAR}'; sleep 2; echo; echo 'medgrid: error: {{wildcards.study}} weights'
        [ {{wildcards.study}} = good ] && touch {{output}}) > {{log}} 2>&1'''

rule plan:
    output: touch("plan.done")
    shell: "echo 'three hours'; echo 'a warning' >&2"
"""
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COMMAND = [sys.executable, "-m", "medgrid", "run", "--cores", "2", "--keep-going"]


@pytest.fixture
def toy(tmp_path) -> Path:
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    return tmp_path


def on_terminal(command: list[str], folder: Path) -> tuple[int, str]:
    """Exit code of a command run on a terminal of its own, and everything that it drew there."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    environment = os.environ | {"TERM": "xterm"}
    run = subprocess.Popen(command, cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    drawn = b""
    try:
        while some := os.read(ours, 65536):
            drawn += some
    except OSError:  # the other side is closed
        pass
    os.close(ours)
    return run.wait(), drawn.decode()


def summed_up(said: str, folder: Path) -> None:
    """The failed job with its log, once in detail and once in the summary; the full log."""
    assert said.count("medgrid: error: bad weights") == 1
    assert "good weights" not in said
    assert "####" not in said
    assert said.count("failed: train bad after") == 1
    assert "log: logs/bad.log" in said
    # `all` waits for what has failed
    assert re.search(
        r"medgrid: 2 of 4 jobs done in 0:0\d:\d\d, 1 failed, 1 not started:\s+train bad: logs/bad.log\s", said
    )
    full = folder / re.search(r"full log: (\S+)", said)[1]
    assert "Error in rule train" in full.read_text()
    assert "Finished jobid" in full.read_text()
    for noise in ("CalledProcessError", "Select jobs", "Traceback"):
        assert noise not in said


@pytest.mark.slow
def test_a_terminal_shows_what_runs_how_far_it_is_and_what_failed(toy):
    status, drawn = on_terminal(COMMAND, toy)
    said = ESCAPE.sub("", drawn).replace("\r", "")
    assert status == 1
    summed_up(said, toy)
    assert re.search(r"[01] of 4 jobs .* 0:00:\d\d", said)
    assert re.search(r"  train good  0:00:\d\d  heads:  45% 45/100 ", said)
    assert said.count("three hours") == 1
    assert said.count("a warning\n") == 1
    assert "\x1b[?25h" in drawn.split("\x1b[?25l")[-1]  # the cursor is back


@pytest.mark.slow
def test_without_a_terminal_there_are_plain_lines(toy):
    result = subprocess.run(COMMAND, cwd=toy, capture_output=True, text=True)
    assert result.returncode == 1
    summed_up(result.stderr, toy)
    assert "\x1b" not in result.stderr
    assert "\r" not in result.stderr
    assert re.search(r"^\[0:00:\d\d\] started train good$", result.stderr, re.M)
    assert re.search(r"^\[0:00:\d\d\] finished train good \(0:00:\d\d; \d of 4\)$", result.stderr, re.M)
    assert result.stdout == "three hours\n"
    # once repaired, the rest runs; then there is nothing to do
    (toy / "Snakefile").write_text(SNAKEFILE.replace("= good ]", "!= none ]"))
    result = subprocess.run(COMMAND, cwd=toy, capture_output=True, text=True)
    assert result.returncode == 0
    assert re.search(r"^medgrid: \d of \d jobs done in 0:00:\d\d\nfull log: ", result.stderr, re.M)
    result = subprocess.run(COMMAND, cwd=toy, capture_output=True, text=True)
    assert "Nothing to be done" in result.stderr


@pytest.mark.slow
def test_an_interrupted_run_says_so_and_accuses_no_job(toy):
    run = subprocess.Popen(COMMAND, cwd=toy, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while not (toy / "logs/good.log").exists() and not (toy / "logs/bad.log").exists():
        assert run.poll() is None
        time.sleep(0.05)
    os.killpg(run.pid, signal.SIGINT)
    said = run.communicate(timeout=60)[1]
    assert run.returncode == 1
    assert re.search(r"medgrid: interrupted, \d of 4 jobs done in 0:00:\d\d", said)
    assert "failed" not in said


@pytest.mark.slow
def test_snakemake_s_own_words_can_be_had(toy):
    quiet = subprocess.run([*COMMAND, "--quiet", "all"], cwd=toy, capture_output=True, text=True)
    assert quiet.returncode == 1
    assert quiet.stderr == "a warning\n"
    dry = subprocess.run([*COMMAND, "-n", "-F"], cwd=toy, capture_output=True, text=True)
    assert re.search(r"^train +2$", dry.stdout, re.M)


@pytest.mark.slow
def test_a_plan_is_printed_to_a_pipe_and_to_a_terminal(toy):
    (toy / "params.yaml").write_text("studies: {}\n")
    command = [sys.executable, "-m", "medgrid", "plan", "--", "--cores", "1"]
    piped = subprocess.run([*command, "-F"], cwd=toy, capture_output=True, text=True)
    assert (piped.returncode, piped.stdout) == (0, "three hours\n")
    status, drawn = on_terminal([*command, "-F"], toy)
    assert status == 0
    assert ESCAPE.sub("", drawn).count("three hours") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["-n", "--", "brain_tumor_lr"], "target 'brain_tumor_lr'; did you mean 'brain_tumor_lr_batch'?\nStudies: "),
        (["audit_brain_tumor"], "target 'audit_brain_tumor'; did you mean 'audit_brain_tumor_mri'?"),
        (["--", "results/nothing/cells.csv"], "target 'results/nothing/cells.csv'\n"),
        (["-n", "--workflow-profile", "nothing"], "no profile 'nothing'; there are default, demo, slurm, smoke\n"),
        (["-n", "--configfile", "nothing.yaml"], "no file 'nothing.yaml' (--configfile)"),
    ],
)
def test_a_name_that_does_not_exist_is_answered_with_those_that_do(tmp_path, arguments, answer):
    project = Project(tmp_path, TINY)
    command = [sys.executable, "-m", "medgrid", "run", *arguments]
    result = subprocess.run(command, cwd=project.folder, capture_output=True, text=True)
    assert result.returncode == 1
    assert "medgrid: error: there is no " in result.stderr
    assert answer in result.stderr
    assert "Traceback" not in result.stderr
    assert "Snakefile" not in result.stderr


def test_jobs_are_named_without_fingerprints():
    assert label("train", {"study": "strokes", "job": "vgg16_lr=0.1-0123456789ab"}) == "train strokes vgg16_lr=0.1"
    assert label("fetch", {"dataset": "scans", "name": "scans-synthetic-0123456789ab"}) == "fetch scans-synthetic"
    assert label("manifest", {"study": "strokes", "name": "0123456789ab"}) == "manifest strokes"
    assert label("all", {}) == "all"


def test_logs_are_read_without_progress_bars(tmp_path):
    log = tmp_path / "job.log"
    unbounded = "synthetic: 12image [00:01, 9.9image/s]"
    log.write_text(
        f"medgrid: device cpu\n\r{BAR}\r{BAR}\n\r{unbounded}\nmedgrid: error: no weights\n  in here\n\r{BAR}"
    )
    assert tail(str(log)) == ["medgrid: device cpu", "medgrid: error: no weights", "  in here"]
    assert tail(str(log), 1) == ["  in here"]
    assert latest(str(log), 0) == "heads:  45% 45/100 [00:03<00:04, 12.3epoch/s]"
    assert latest(str(log), time.time() + 60) == ""  # of an earlier run
    assert tail(str(tmp_path / "none.log")) == []
    assert latest(str(tmp_path / "none.log"), 0) == ""
