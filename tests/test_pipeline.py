"""The whole pipeline as users run it: to the page, again, killed, with bad input."""

import csv
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import ROOT, TINY, Project, merged

from medgrid.config import load
from medgrid.grid.layout import lay_out

STUDY = "brain_tumor_lr_batch"
pytestmark = pytest.mark.pipeline


def text_of(path) -> pd.DataFrame:
    """A table as it is written, but for how long trainings took."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    return table[[column for column in table if not column.startswith("seconds")]]


def rows(path) -> list[dict]:
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle))


def test_every_cell_and_replicate_is_there(finished):
    results = finished.folder / "results" / STUDY / "tables"
    cells = rows(results / "cells.csv")
    assert len(cells) == 2 * 2 * 2 * 2  # models, batch sizes, rates; best and last epoch
    assert len(rows(results / "replicates.csv")) == len(cells) * 2
    assert len({cell["cell"] for cell in cells}) == 8
    assert all(0 <= float(cell["test_accuracy_mean"]) <= 1 for cell in cells)
    for table in ("cells", "replicates", "per_class", "confusion", "curves"):
        read = pd.read_csv(results / f"{table}.csv")
        assert set(read["data"]) == {"synthetic images"}
        assert set(read["weights"]) == {"random"}
    test_images = sum(int(r["images"]) for r in rows(results / "confusion.csv")) / len(cells) / 2
    split = pd.read_csv(next((finished.folder / "data/splits").iterdir()))
    assert test_images == (split["part"] == "test").sum()


def test_the_demo_s_networks_learn(finished):
    """Four classes: a head at the high rate is far from chance, on images that it never saw."""
    cells = pd.read_csv(finished.folder / "results" / STUDY / "tables/curves.csv")
    last = cells[(cells["epoch"] == 15) & cells["cell"].str.endswith("_lr=0.01")]
    assert last["validation_accuracy_mean"].max() > 0.4


def test_a_second_run_has_nothing_to_do(finished):
    again = finished.run()
    assert again.returncode == 0
    assert "Nothing to be done" in again.stdout + again.stderr


def test_synthetic_files_say_so_in_their_names(finished):
    for folder in ("archives/brain_tumor_mri", "inventories", "near_duplicates", "splits", "tensors", "features"):
        (files := list((finished.folder / "data" / folder).iterdir()))
        assert files
        assert all("-synthetic-" in file.name for file in files)


def test_what_is_missing_is_made_again_and_nothing_else(finished, tmp_path):
    folder = tmp_path / "copy"
    subprocess.run(["cp", "-a", str(finished.folder), str(folder)], check=True)
    subprocess.run(["rm", "-r", str(folder / "results" / STUDY / "figures")], check=True)
    assert planned(Project(folder)) == {STUDY: "1", "figures": "1", "page": "1", "total": "3"}


def planned(project, *arguments: str) -> dict[str, str]:
    plan = project.run("-n", *arguments)
    assert plan.returncode == 0, plan.stdout + plan.stderr
    return dict(re.findall(r"^(\w+) +(\d+)$", plan.stdout + plan.stderr, re.M))


def test_the_page_stands_alone(finished):
    place = finished.folder / "results/report" / STUDY
    page = (place / "index.html").read_text()

    class Links(HTMLParser):
        found: list[str] = []

        def handle_starttag(self, tag, attributes):
            for name, value in attributes:
                if name in ("src", "href", "srcset"):
                    self.found.append(value)
                if tag == "img":
                    assert dict(attributes).get("alt")

    parser = Links()
    parser.feed(page)
    pictures = [link for link in parser.found if link.endswith(".png")]
    others = set(parser.found)
    assert len(pictures) == len(list((finished.folder / "results" / STUDY).glob("*/*.png"))) >= 12
    assert all(link.startswith("#") or (place / link).exists() for link in others)
    assert {"../index.html", "tables/cells.csv", "settings.yaml"} <= others
    assert not re.search(r"https?://|@import|url\(", page)
    assert "Synthetic images." in page
    assert "not for clinical use" in page
    assert "Testing/" in page or "Training/" in page  # the damaged file is named


def test_figures_are_as_promised(finished):
    figures = {path.stem for path in (finished.folder / "results" / STUDY / "figures").glob("*.png")}
    assert figures == {
        "class_counts", "samples", "heatmap", "ranking", "confusion", "best_worst", "accuracy_parameters", "speed",
        "curves-resnet18", "curves-mobilenet_v2", "roc-resnet18", "roc-mobilenet_v2", "reliability", "claims",
    }  # fmt: skip


def test_snakemake_s_own_report_works(finished):
    result = subprocess.run(
        [sys.executable, "-m", "snakemake", "--configfile", "tiny.yaml", "--report", "report.html"],
        cwd=finished.folder, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    report = (finished.folder / "report.html").read_text()
    assert "ranking.png" in report
    assert "cells.csv" in report


def test_broken_params_give_one_message(project):
    params = project.folder / "params.yaml"
    good = params.read_text()
    params.write_text(good.replace("lr: [0.00001,", "lr: [-1,"))
    result = subprocess.run(
        [sys.executable, "-m", "snakemake", "-n"], cwd=project.folder, capture_output=True, text=True
    )
    assert result.returncode == 1
    said = result.stdout + result.stderr
    assert f"studies.{STUDY}.axes.lr[0]: Input should be greater than 0 (it is -1)" in said
    assert "Traceback" not in said
    params.write_text(good.replace("run: [", "run: [["))
    result = subprocess.run(
        [sys.executable, "-m", "snakemake", "-n"], cwd=project.folder, capture_output=True, text=True
    )
    assert result.returncode == 1
    said = result.stdout + result.stderr
    assert re.search(r"params.yaml, line \d+, column \d+: invalid YAML", said)
    assert "Traceback" not in said


def test_a_dry_run_imports_little(tmp_path):
    code = (
        "import sys\n"
        "from medgrid.cli import main\n"
        "sys.argv = ['medgrid', 'run', '-n']\n"
        "try:\n    main()\n"
        "except SystemExit as e:\n    assert not e.code, e.code\n"
        "heavy = ('torch', 'pandas.core', 'matplotlib', 'sklearn', 'rich')\n"
        "print('HEAVY', [name for name in heavy if sys.modules.get(name)])\n"
    )
    project = Project(tmp_path, TINY)
    result = subprocess.run([sys.executable, "-c", code], cwd=project.folder, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "train" in result.stdout
    assert "HEAVY []" in result.stdout


def test_every_study_and_profile_plans(tmp_path, params):
    """In an empty folder, so that nothing is finished yet: each study's jobs are scheduled, and no other's."""
    empty = Project(tmp_path, TINY)
    profiles = ROOT / "workflow/profiles"
    overridden = {
        name: merged(params, yaml.safe_load((profiles / name / "params.yaml").read_text()))
        for name in ("demo", "smoke")
    }
    cases = [((study,), params, [study]) for study in params["studies"]]
    cases += [(("--workflow-profile", f"workflow/profiles/{n}"), o, o["run"]) for n, o in overridden.items()]
    for arguments, settings, studies in cases:
        layout = lay_out(load(settings))
        result = subprocess.run(
            [sys.executable, "-m", "snakemake", "-n", *arguments],
            cwd=empty.folder, capture_output=True, text=True,
        )  # fmt: skip
        assert result.returncode == 0, result.stderr
        jobs = sum(len(layout.blocks_of(key, job, [])) for key in studies for job in layout.manifests[key].all_jobs)
        assert re.search(rf"^train +{jobs}$", result.stdout + result.stderr, re.M), arguments


def test_a_run_killed_at_any_stage_is_completed(project, finished):
    """SIGKILL to Snakemake alone, then to all of its processes; the same command again, nothing by hand."""
    log = project.folder / "run.log"
    for stage, kill in [
        ("data/inventories/*.csv", os.kill),  # its jobs live on as orphans
        ("data/features/*.npy", os.killpg),
        ("data/checkpoints/*/*/*.pt", os.killpg),
        ("results/*/jobs/*/seeds-*/predictions.npz", os.killpg),
    ]:
        with log.open("a") as output:
            run = subprocess.Popen(
                project.command(), cwd=project.folder, stdout=output, stderr=output, start_new_session=True
            )
        deadline = time.monotonic() + 240
        while not list(project.folder.glob(stage)):
            assert run.poll() is None, log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        kill(run.pid, signal.SIGKILL)
        run.wait()
    (job, *_) = project.folder.glob("results/*/jobs/*/seeds-*/predictions.npz")
    made = job.stat().st_mtime_ns
    again = project.run()
    assert again.returncode == 0, again.stderr
    # a finished job that Snakemake had not heard of is put together again, but none of it is trained again
    log_file = project.folder / f"data/logs/train/{STUDY}/{job.parent.parent.name}/{job.parent.name}.log"
    assert job.stat().st_mtime_ns == made or "4 of 4 " in log_file.read_text()
    assert not list(project.folder.glob("data/checkpoints/*/*"))
    for table in ("cells", "replicates", "curves"):
        ours, theirs = (text_of(p.folder / "results" / STUDY / f"tables/{table}.csv") for p in (project, finished))
        assert ours.equals(theirs)


def test_only_one_run_at_a_time(project):
    log = (project.folder / "run.log").open("w")
    first = subprocess.Popen(project.command(), cwd=project.folder, stdout=log, stderr=log, start_new_session=True)
    while not list(project.folder.glob(".snakemake/locks/*")):
        assert first.poll() is None
        time.sleep(0.02)
    second = project.run()
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    assert second.returncode == 1
    assert f"another `medgrid run` (process {first.pid}) is active in this folder" in second.stderr


def test_a_changed_setting_asks_for_new_results_and_no_stale_one_is_shown(finished, tmp_path):
    """A rate taken away: its rows leave the tables, although its job still lies there."""
    folder = tmp_path / "copy"
    subprocess.run(["cp", "-a", str(finished.folder), str(folder)], check=True)
    # as in a fresh clone: Snakemake has forgotten everything
    subprocess.run(["rm", "-rf", str(folder / ".snakemake")], check=True)
    overrides = json.loads(json.dumps(TINY))
    overrides["studies"][STUDY]["axes"]["lr"] = [0.01]
    (folder / "tiny.yaml").write_text(yaml.safe_dump(overrides))
    command = [sys.executable, "-m", "medgrid", "run", "--cores", "2", "--configfile", "tiny.yaml"]
    command += ["--until", "evaluate"]  # the reports behind it follow the same manifest
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "started train" in result.stderr
    assert {cell["lr"] for cell in rows(folder / "results" / STUDY / "tables/cells.csv")} == {"0.01"}
    # and back: the old jobs are right by construction, only the reports are made again
    (folder / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "started train" not in result.stderr
    tables = [text_of(p / "results" / STUDY / "tables/cells.csv") for p in (folder, finished.folder)]
    assert tables[0].equals(tables[1])


def test_dry_run_is_quick():
    """Cheap parsing, as a ratio within one run: the plan costs less than three times `snakemake --version`."""

    def seconds(*arguments: str) -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "snakemake", *arguments], cwd=ROOT, capture_output=True, check=True)
        return time.perf_counter() - began

    pairs = [(seconds("-n", "--nolock"), seconds("--version")) for _ in range(3)]
    assert statistics.median(plan / bare for plan, bare in pairs) < 3


def test_a_study_cannot_be_named_like_a_rule(project):
    overrides = yaml.safe_load((project.folder / "tiny.yaml").read_text())
    overrides["studies"]["figures"] = yaml.safe_load((ROOT / "params.yaml").read_text())["studies"][STUDY]
    (project.folder / "tiny.yaml").write_text(yaml.safe_dump(overrides))
    result = project.run("-n")
    assert result.returncode == 1
    assert "'figures' is the name of a rule; choose another name for the study" in result.stdout + result.stderr


def test_more_cells_than_a_command_line_holds(project):
    """400 rates of one head."""
    overrides = yaml.safe_load((project.folder / "tiny.yaml").read_text())
    study = overrides["studies"][STUDY]
    study["axes"] = {"model": ["resnet18"], "batch_size": [32], "lr": [round(1e-4 * (1 + i), 6) for i in range(400)]}
    study |= {"replicates": 1, "fixed": {"epochs": 1}}
    (project.folder / "tiny.yaml").write_text(yaml.safe_dump(overrides))
    result = project.run("--until", "train")
    assert result.returncode == 0, result.stderr
    (job,) = project.folder.glob("results/*/jobs/*/seeds-0/predictions.npz")
    with np.load(job) as predictions:
        assert len(predictions["cells"]) == 400


def test_more_splits_train_only_the_new_ones(finished, tmp_path):
    """On the images, features and first split of a study with one split; killed on the way; tables without jobs."""
    folder = tmp_path / "copy"
    subprocess.run(["cp", "-a", str(finished.folder), str(folder)], check=True)
    kept = [*folder.glob("results/*/jobs/*/*/*"), *folder.glob("data/features/*"), *folder.glob("data/splits/*")]
    times = {path: path.stat().st_mtime_ns for path in kept}
    overrides = yaml.safe_load((folder / "tiny.yaml").read_text())
    overrides["studies"][STUDY]["replicates"] = {"splits": 3, "seeds": 2}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(overrides))
    project = Project(folder)
    with (folder / "run.log").open("w") as log:
        run = subprocess.Popen(project.command(), cwd=folder, stdout=log, stderr=log, start_new_session=True)
    while not list(folder.glob("results/*/jobs/*/seeds-?000-?001")):
        assert run.poll() is None, (folder / "run.log").read_text()
        time.sleep(0.02)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    result = project.run()
    assert result.returncode == 0, result.stderr
    assert {path: path.stat().st_mtime_ns for path in times} == times
    blocks = sorted(path.name for path in folder.glob("results/*/jobs/*/*"))
    assert blocks == ["seeds-0-1", "seeds-0-1", *["seeds-1000-1001"] * 2, *["seeds-2000-2001"] * 2]
    assert len(list(folder.glob("data/splits/*"))) == 3
    assert not list(folder.glob("data/checkpoints/*/*"))
    tested = [
        set(table.loc[table["part"] == "test", "path"]) for table in map(pd.read_csv, folder.glob("data/splits/*"))
    ]
    assert tested[0] != tested[1] != tested[2]
    table = pd.read_csv(folder / "results" / STUDY / "tables/splits.csv")
    assert set(table["splits"]) == {3}
    first = text_of(folder / "results" / STUDY / "tables/replicates.csv")
    assert first.equals(text_of(finished.folder / "results" / STUDY / "tables/replicates.csv"))
    assert planned(project) == {}
    command = [sys.executable, "-m", "medgrid"]
    status = subprocess.run([*command, "status", STUDY, "--configfile", "tiny.yaml"], cwd=folder, capture_output=True)
    assert re.search(rf"^{STUDY} +6 +6 +0 ", status.stdout.decode(), re.M)
    subprocess.run(["rm", "-rf", str(folder / "results" / STUDY / "jobs"), str(folder / "data")], check=True)
    again = subprocess.run([*command, "verdicts", STUDY], cwd=folder, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert re.search(r"^claims.json: unchanged$", again.stdout, re.M)
    assert re.search(r"^splits.csv: (unchanged|numbers differ)", again.stdout, re.M)


def test_more_replicates_train_only_the_new_seeds(finished, tmp_path):
    """Every kind of training: see also tests/training, and for the names tests/grid."""
    folder = tmp_path / "copy"
    subprocess.run(["cp", "-a", str(finished.folder), str(folder)], check=True)
    trained = {path: path.stat().st_mtime_ns for path in folder.glob("results/*/jobs/*/*/*")}
    assert trained
    overrides = yaml.safe_load((folder / "tiny.yaml").read_text())
    overrides["studies"][STUDY]["replicates"] = 4  # 2 before
    (folder / "tiny.yaml").write_text(yaml.safe_dump(overrides))
    project = Project(folder)
    result = project.run("--until", "evaluate")
    assert result.returncode == 0, result.stderr
    for path, time_of_change in trained.items():
        assert path.stat().st_mtime_ns == time_of_change
    assert {path.name for path in folder.glob("results/*/jobs/*/*")} == {"seeds-0-1", "seeds-2-3"}
    replicates = pd.read_csv(folder / "results" / STUDY / "tables/replicates.csv")
    assert set(replicates["seed"]) == {0, 1, 2, 3}
    before = text_of(finished.folder / "results" / STUDY / "tables/replicates.csv")
    after = text_of(folder / "results" / STUDY / "tables/replicates.csv")
    assert after[after["seed"].isin(["0", "1"])].reset_index(drop=True).equals(before)
    # and back: the new seeds are ignored, not removed
    (folder / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    result = project.run("--until", "evaluate")
    assert result.returncode == 0, result.stderr
    assert "started train" not in result.stderr
    assert text_of(folder / "results" / STUDY / "tables/replicates.csv").equals(before)
