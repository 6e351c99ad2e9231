"""How much slower each job of the demo gets beside other processes: one busy process per core.

python benchmarks/shared_machine.py [-- SNAKEMAKE ARGUMENTS]

Runs the demo twice from nothing in a temporary folder: alone, and beside the busy processes. Prints each job's wall
time in both, from Snakemake's own benchmark files, and the ratio. Where every process gets its fair share it is
between 1 and 2 for two jobs at a time on two cores; threads that spin while they wait for each other make it 10.
"""

import argparse
import csv
import multiprocessing
import os
import subprocess
import sys
import tempfile
from pathlib import Path


def burn() -> None:
    while True:
        pass


def demo(folder: Path, arguments: list[str]) -> dict[str, float]:
    """Run the demo into `folder`; returns the wall time in seconds of each job, by rule and name."""
    command = [sys.executable, "-m", "medgrid", "run", "--workflow-profile", "demo", *arguments]
    command += ["--config", f"results={folder / 'results'}", f"data={folder / 'data'}"]
    subprocess.run(command, check=True, capture_output=True)
    files = sorted((folder / "data/benchmarks").rglob("*.tsv"))
    seconds = {}
    for file in files:
        with file.open(newline="") as handle:
            job = file.relative_to(folder / "data/benchmarks").with_suffix("")
            seconds[str(job)] = float(next(csv.DictReader(handle, delimiter="\t"))["s"])
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("snakemake", nargs="*", help="arguments for Snakemake, behind --")
    arguments = parser.parse_args().snakemake
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as scratch:
        alone = demo(Path(scratch, "alone"), arguments)
        busy = [multiprocessing.Process(target=burn, daemon=True) for _ in range(cores)]
        for process in busy:
            process.start()
        try:
            shared = demo(Path(scratch, "shared"), arguments)
        finally:
            for process in busy:
                process.terminate()
    print(f"{cores} cores, {cores} busy processes")
    print("| job | alone, s | shared, s | ratio |\n|---|---:|---:|---:|")
    for job in sorted(alone, key=lambda job: -shared[job] / max(alone[job], 0.01)):
        print(f"| {job} | {alone[job]:.2f} | {shared[job]:.2f} | {shared[job] / max(alone[job], 0.01):.1f} |")
    total, total_shared = sum(alone.values()), sum(shared.values())
    print(f"| all | {total:.1f} | {total_shared:.1f} | {total_shared / total:.1f} |")


if __name__ == "__main__":
    main()
