import os
import platform
import signal
import subprocess
import sys
import time

import pytest

from medgrid.utils.files import atomic_folder, atomic_write, file_lock


def ended_process() -> int:
    """Id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "table.csv"
    target.write_text("old")
    with pytest.raises(RuntimeError), atomic_write(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_files_of_killed_processes_are_removed_but_not_those_of_running_ones(tmp_path):
    target, ended = tmp_path / "tensors.npy", ended_process()
    leftover = tmp_path / f".tensors~{platform.node()}~{ended}.npy"
    running = tmp_path / f".tensors~{platform.node()}~{os.getppid()}.npy"
    other_host = tmp_path / f".tensors~another-host~{ended}.npy"
    for path in (leftover, running, other_host):
        path.touch()
    with atomic_write(target) as temporary:
        temporary.touch()
    assert set(tmp_path.iterdir()) == {target, running, other_host}


def test_a_finished_file_replaces_the_old_one(tmp_path):
    for text in ("old", "new"):
        with atomic_write(tmp_path / "deep" / "table.csv") as temporary:
            temporary.write_text(text)
    assert (tmp_path / "deep" / "table.csv").read_text() == "new"
    assert (tmp_path / "deep" / "table.csv").stat().st_mode & 0o444 == 0o444


def test_a_file_without_a_suffix_on_a_host_with_a_domain(tmp_path, monkeypatch):
    monkeypatch.setattr(platform, "node", lambda: "node1.example.org")
    (tmp_path / f".weights~node1.example.org~{ended_process()}").touch()
    with atomic_write(tmp_path / "weights") as temporary:
        temporary.touch()
    assert list(tmp_path.iterdir()) == [tmp_path / "weights"]


def test_a_finished_folder_replaces_the_old_one(tmp_path):
    target = tmp_path / "deep" / "figures"
    for name in ("old.png", "new.png"):
        with atomic_folder(target) as temporary:
            assert temporary.is_dir()
            assert not list(temporary.iterdir())
            (temporary / name).touch()
    assert list(target.parent.iterdir()) == [target]
    assert list(target.iterdir()) == [target / "new.png"]


def test_a_failed_folder_leaves_the_old_one_and_nothing_else(tmp_path):
    target = tmp_path / "figures"
    with pytest.raises(RuntimeError), atomic_folder(target):
        raise RuntimeError
    assert not list(tmp_path.iterdir())
    target.mkdir()
    (target / "old.png").touch()
    with pytest.raises(RuntimeError), atomic_folder(target) as temporary:
        (temporary / "half.png").touch()
        raise RuntimeError
    assert list(tmp_path.iterdir()) == [target]
    assert list(target.iterdir()) == [target / "old.png"]


def test_folders_of_killed_processes_are_removed_but_not_those_of_running_ones(tmp_path):
    target = tmp_path / "jobs" / "seeds-0-4"
    code = (
        "import os, signal\nfrom medgrid.utils.files import atomic_folder\n"
        f"with atomic_folder({str(target)!r}) as folder:\n"
        "    (folder / 'half').touch()\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    (leftover,) = target.parent.iterdir()
    assert leftover.name.startswith(".seeds-0-4~")
    running = leftover.with_name(f".seeds-0-4~{platform.node()}~{os.getppid()}")
    running.mkdir()
    with atomic_folder(target) as temporary:
        (temporary / "whole").touch()
    assert set(target.parent.iterdir()) == {target, running}
    assert list(target.iterdir()) == [target / "whole"]


def test_a_lock_is_released_when_its_owner_is_killed(tmp_path):
    lock = tmp_path / "lock"
    code = (
        "import time\nfrom medgrid.utils.files import file_lock\n"
        f"with file_lock({str(lock)!r}, 'x'):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert owner.stdout.readline() == "held\n"
    owner.kill()
    owner.wait()
    began = time.monotonic()
    with file_lock(lock, "nobody"):
        assert time.monotonic() - began < 5
