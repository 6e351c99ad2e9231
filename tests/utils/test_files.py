import os
import platform
import subprocess
import sys
import time

import pytest

from medgrid.utils.files import atomic_write, file_lock


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "table.csv"
    target.write_text("old")
    with pytest.raises(RuntimeError), atomic_write(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_what_killed_processes_left_goes_and_what_lives_stays(tmp_path):
    target = tmp_path / "tensors.npy"
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = tmp_path / f".tensors~{platform.node()}~{dead.pid}.npy"
    alive = tmp_path / f".tensors~{platform.node()}~{os.getppid()}.npy"
    elsewhere = tmp_path / f".tensors~another-host~{dead.pid}.npy"
    for path in (left, alive, elsewhere):
        path.touch()
    with atomic_write(target) as temporary:
        temporary.touch()
    assert set(tmp_path.iterdir()) == {target, alive, elsewhere}


def test_success_replaces(tmp_path):
    with atomic_write(tmp_path / "new" / "table.csv") as temporary:
        temporary.write_text("whole")
    assert (tmp_path / "new" / "table.csv").read_text() == "whole"
    assert (tmp_path / "new" / "table.csv").stat().st_mode & 0o444 == 0o444


def test_a_lock_goes_with_its_owner(tmp_path):
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
