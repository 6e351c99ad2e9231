"""Slots of GPUs, with invented ones: which job gets which, which waits, and what a kill releases."""

import subprocess
import sys
import time

from medgrid.models.gpu_lock import acquire

ACQUIRE = "import sys, time; from medgrid.models.gpu_lock import acquire; from pathlib import Path; \
position, slot = acquire(['GPU-a', 'GPU/b'], 2, Path(sys.argv[1])); print(position, flush=True); time.sleep(60)"


def job(folder) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", ACQUIRE, folder], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_jobs_spread_over_devices_and_then_share_them(tmp_path):
    held = [acquire(["GPU-a", "GPU/b"], 2, tmp_path) for _ in range(4)]
    assert [position for position, _ in held] == [0, 1, 0, 1]


def test_a_device_is_the_same_one_whatever_else_a_job_sees(tmp_path):
    first = acquire(["GPU-a", "GPU-b"], 1, tmp_path)
    second = acquire(["GPU-b", "GPU-a"], 1, tmp_path)  # seen in another order: b, at position 0
    assert (first[0], second[0]) == (0, 0)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_job_without_a_slot_waits_until_another_is_killed(tmp_path):
    jobs = [job(tmp_path) for _ in range(4)]
    try:
        assert sorted(int(each.stdout.readline()) for each in jobs) == [0, 0, 1, 1]
        late = job(tmp_path)
        jobs.append(late)
        assert "waiting for one of 2 x 2 GPU slots" in late.stderr.readline()
        assert late.poll() is None
        jobs[2].kill()
        began = time.monotonic()
        assert int(late.stdout.readline()) in (0, 1)
        assert time.monotonic() - began < 20
    finally:
        for each in jobs:
            each.kill()
            each.communicate()


def test_another_users_lock_file_is_shared(tmp_path):
    acquire(["GPU-a"], 1, tmp_path)[1].close()
    (lock,) = tmp_path.iterdir()
    assert lock.stat().st_mode & 0o777 == 0o666
