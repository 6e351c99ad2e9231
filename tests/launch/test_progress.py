"""The display of a run, on a terminal and without one, and errors on names that do not exist."""

import contextlib
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

from medgrid.launch.logs import last_lines, latest_progress
from medgrid.launch.run_state import RunState, describe_job, read_run_state

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


def read_state(folder: Path) -> RunState:
    """State of the latest run in `folder`."""
    with contextlib.chdir(folder):
        state = read_run_state()
    assert state is not None
    return state


def on_terminal(command: list[str], folder: Path) -> tuple[int, str]:
    """Exit code of a command that runs on a terminal of its own, and all of its output."""
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


def check_summary(text: str, folder: Path) -> None:
    """The failed job with its log is in the details and in the summary; the full log is named."""
    assert text.count("medgrid: error: bad weights") == 1
    assert "good weights" not in text
    assert "####" not in text
    assert text.count("failed: train bad after") == 1
    assert "log: logs/bad.log" in text
    # `all` waits for what has failed
    assert re.search(
        r"medgrid: 2 of 4 jobs done in 0:0\d:\d\d, 1 failed, 1 not started:\s+train bad: logs/bad.log\s", text
    )
    full = folder / re.search(r"full log: (\S+)", text)[1]
    assert "Error in rule train" in full.read_text()
    assert "Finished jobid" in full.read_text()
    for noise in ("CalledProcessError", "Select jobs", "Traceback"):
        assert noise not in text


@pytest.mark.slow
def test_a_terminal_shows_running_jobs_with_progress_and_failures(toy):
    status, drawn = on_terminal(COMMAND, toy)
    text = ESCAPE.sub("", drawn).replace("\r", "")
    assert status == 1
    check_summary(text, toy)
    assert re.search(r"[01] of 4 jobs .* 0:00:\d\d", text)
    assert re.search(r"  train good  0:00:\d\d  heads:  45% 45/100 ", text)
    assert text.count("three hours") == 1
    assert text.count("a warning\n") == 1
    assert "\x1b[?25h" in drawn.split("\x1b[?25l")[-1]  # the cursor is back


@pytest.mark.slow
def test_without_a_terminal_each_event_is_a_line(toy):
    result = subprocess.run(COMMAND, cwd=toy, capture_output=True, text=True)
    assert result.returncode == 1
    check_summary(result.stderr, toy)
    assert "\x1b" not in result.stderr
    assert "\r" not in result.stderr
    assert re.search(r"^\[0:00:\d\d\] started train good$", result.stderr, re.M)
    assert re.search(r"^\[0:00:\d\d\] finished train good \(0:00:\d\d; \d of 4\)$", result.stderr, re.M)
    assert result.stdout == "three hours\n"
    state = read_state(toy)
    assert state.ended >= state.started > 0
    assert state.planned == {"all": 1, "plan": 1, "train": 2, "total": 4}
    assert sorted((job.label, job.status) for job in state.jobs.values()) == [
        ("plan", "finished"), ("train bad", "failed"), ("train good", "finished"),
    ]  # fmt: skip
    # once repaired, the rest runs; then there is nothing to do
    (toy / "Snakefile").write_text(SNAKEFILE.replace("= good ]", "!= none ]"))
    result = subprocess.run(COMMAND, cwd=toy, capture_output=True, text=True)
    assert result.returncode == 0
    assert re.search(r"^medgrid: \d of \d jobs done in 0:00:\d\d\nfull log: ", result.stderr, re.M)
    result = subprocess.run(COMMAND, cwd=toy, capture_output=True, text=True)
    assert "Nothing to be done" in result.stderr


@pytest.mark.slow
def test_an_interrupted_run_is_not_a_failure_of_jobs(toy):
    run = subprocess.Popen(COMMAND, cwd=toy, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while not (toy / "logs/good.log").exists() and not (toy / "logs/bad.log").exists():
        assert run.poll() is None
        time.sleep(0.05)
    os.killpg(run.pid, signal.SIGINT)
    text = run.communicate(timeout=60)[1]
    assert run.returncode == 1
    assert re.search(r"medgrid: interrupted, \d of 4 jobs done in 0:00:\d\d", text)
    assert "failed" not in text
    state = read_state(toy)
    assert state.interrupted
    assert state.ended
    assert not state.with_status("failed")


@pytest.mark.slow
def test_options_choose_the_output_of_snakemake(toy):
    quiet = subprocess.run([*COMMAND, "--quiet", "all"], cwd=toy, capture_output=True, text=True)
    assert quiet.returncode == 1
    assert quiet.stderr == "a warning\n"
    recorded = read_state(toy)
    assert len(recorded.with_status("failed")) == 1
    dry = subprocess.run([*COMMAND, "-n", "-F"], cwd=toy, capture_output=True, text=True)
    assert re.search(r"^train +2$", dry.stdout, re.M)
    assert read_state(toy) == recorded  # a dry run is not a run


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
        (
            ["-n", "--workflow-profile", "nothing"],
            "no profile 'nothing'; the profiles are default, demo, ",
        ),
        (["-n", "--configfile", "nothing.yaml"], "no file 'nothing.yaml' (--configfile)"),
    ],
)
def test_errors_on_unknown_names_list_the_known_ones(tmp_path, arguments, answer):
    project = Project(tmp_path, TINY)
    command = [sys.executable, "-m", "medgrid", "run", *arguments]
    result = subprocess.run(command, cwd=project.folder, capture_output=True, text=True)
    assert result.returncode == 1
    assert "medgrid: error: there is no " in result.stderr
    assert answer in result.stderr
    assert "Traceback" not in result.stderr
    assert "Snakefile" not in result.stderr


@pytest.mark.parametrize(
    ("rule", "wildcards", "description"),
    [
        ("train", {"study": "strokes", "job": "vgg16_lr=0.1-0123456789ab"}, "train strokes vgg16_lr=0.1"),
        ("fetch", {"dataset": "scans", "name": "scans-synthetic-0123456789ab"}, "fetch scans-synthetic"),
        ("manifest", {"study": "strokes", "name": "0123456789ab"}, "manifest strokes"),
        ("all", {}, "all"),
    ],
)
def test_descriptions_of_jobs_leave_hashes_out(rule, wildcards, description):
    assert describe_job(rule, wildcards) == description


def test_logs_are_read_without_progress_bars(tmp_path):
    log = tmp_path / "job.log"
    unbounded = "synthetic: 12image [00:01, 9.9image/s]"
    log.write_text(
        f"medgrid: device cpu\n\r{BAR}\r{BAR}\n\r{unbounded}\nmedgrid: error: no weights\n  in here\n\r{BAR}"
    )
    assert last_lines(str(log)) == ["medgrid: device cpu", "medgrid: error: no weights", "  in here"]
    assert last_lines(str(log), 1) == ["  in here"]
    assert latest_progress(str(log), 0) == "heads:  45% 45/100 [00:03<00:04, 12.3epoch/s]"
    assert latest_progress(str(log), time.time() + 60) == ""  # of an earlier run
    assert last_lines(str(tmp_path / "none.log")) == []
    assert latest_progress(str(tmp_path / "none.log"), 0) == ""
