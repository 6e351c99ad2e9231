"""Recorded by DVC: changes under `dvc repro` and Snakemake themselves, experiments, and what a clone gets back."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, two_studies

from medgrid.config import load
from medgrid.grid.layout import lay_out

pytestmark = pytest.mark.pipeline
REPORTS = dict.fromkeys(["networks", "evaluate", "leakage", "explain", "figures", "page"], 1) | {"manifest": 2}


def both(**jobs: int) -> dict[str, int]:
    """Jobs of both studies: reports of each."""
    return {rule: 2 * count for rule, count in REPORTS.items()} | jobs


class Recorded:
    """A clone of the project with two small studies, run by `dvc repro` and committed."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "GIT_AUTHOR_NAME": "A Reader",
            "GIT_AUTHOR_EMAIL": "reader@example.org",
            "GIT_COMMITTER_NAME": "A Reader",
            "GIT_COMMITTER_EMAIL": "reader@example.org",
        }

    def call(self, *command: str) -> str:
        done = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @property
    def params(self) -> dict:
        return yaml.safe_load((self.folder / "params.yaml").read_text())

    def write(self, params: dict) -> None:
        (self.folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.folder / file
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new, 1))

    def jobs(self, *arguments: str) -> dict[str, int]:
        """What Snakemake would run, by rule."""
        command = ["medgrid", "run", "-n", *arguments, "--", "grid", "other"]
        return _jobs(self.call("env", "PYTHONPATH=src", *command))

    def stages(self) -> set[str]:
        """What DVC would run."""
        return set(json.loads(self.call("dvc", "status", "--json")))

    def copy(self, folder: Path) -> "Recorded":
        subprocess.run(["cp", "-a", str(self.folder), str(folder)], check=True)
        return Recorded(folder)

    def clone(self, folder: Path) -> "Recorded":
        self.call("git", "clone", "-q", str(self.folder), str(folder))
        return Recorded(folder)


def _jobs(said: str) -> dict[str, int]:
    counts = {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", said, re.M)}
    return {rule: count for rule, count in counts.items() if rule not in ("total", "grid", "other")}


def record(folder: Path, params: dict) -> None:
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True).stdout.split("\0")
    for name in files:
        if name and not name.startswith(("results/", "tests/", "docs/", "benchmarks/")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name, follow_symlinks=False)
    project = Recorded(folder)
    project.write(two_studies(params))
    project.call("git", "init", "-q")
    project.call("git", "add", ".")
    project.call("git", "commit", "-q", "-m", "settings")
    project.call("dvc", "repro")
    project.call("git", "add", ".")
    project.call("git", "commit", "-q", "-m", "results")


@pytest.fixture(scope="session")
def recorded(finished_project, params) -> Recorded:
    return Recorded(finished_project("recorded", lambda folder: record(folder, params)))


def setting(path: str, value: object):
    """A change of params.yaml."""

    def change(project: Recorded) -> None:
        params = project.params
        *way, last = path.split(".")
        place = params
        for key in way:
            place = place[int(key)] if isinstance(place, list) else place[key]
        place[last] = value
        project.write(params)

    return change


def version(package: str):
    """A version number of code raised, since its numbers or its looks changed."""

    def change(project: Recorded) -> None:
        file = project.folder / "src/medgrid/grid/versions.py"
        number = re.search(rf'"{package}": (\d+)', file.read_text())[1]
        project.edit("src/medgrid/grid/versions.py", f'"{package}": {number}', f'"{package}": {int(number) + 1}')

    return change


def same_numbers(project: Recorded) -> None:
    """Changes that no number follows from: of code, a renamed function, a docstring, a rule's text, touched files."""
    project.edit("src/medgrid/models/layers.py", "\ndef ", "\nUNUSED = 1\n\n\ndef ")
    project.edit("src/medgrid/models/layers.py", '"""', '"""Also: ')
    for file in ("layers", "networks"):
        path = project.folder / f"src/medgrid/models/{file}.py"
        path.write_text(path.read_text().replace("penalised", "penalized_weights"))
    project.edit("workflow/rules/training.smk", '"medgrid job train ', '"medgrid job  train ')
    for folder in ("archives/brain_tumor_mri", "inventories", "near_duplicates", "splits", "tensors", "features"):
        for file in (project.folder / "data" / folder).iterdir():
            os.utime(file)


def prepared_away(project: Recorded) -> None:
    for folder in ("inventories", "near_duplicates", "splits", "tensors", "features", "checkpoints"):
        shutil.rmtree(project.folder / "data" / folder)


AUDIT = "audit@brain_tumor_mri"
ONE = {"study@grid"}
OTHER_ONE = {"study@other"}
BOTH = ONE | OTHER_ONE | {AUDIT}
# all other changes, and the rows of docs/versions.md: `test_changes.py`
ROWS = {
    "one learning rate changed": (setting("studies.grid.axes.lr", [0.1, 0.02, 0.001]), REPORTS | {"train": 1}, ONE),
    "a study's split": (setting("studies.grid.split.test", 0.25), REPORTS | {"split": 1, "train": 4}, ONE),
    "images of another size": (
        setting("studies.other.image.size", 24), REPORTS | {"tensors": 1, "train": 1}, OTHER_ONE,
    ),
    "what counts as a near-duplicate": (
        version("near_duplicates"), both(near_duplicates=1, split=1, train=5), BOTH,
    ),
    "style of pages": (version("report"), {"manifest": 2, "figures": 2, "page": 2}, BOTH),
    "what no number follows from": (same_numbers, {}, set()),
    "prepared files deleted": (prepared_away, {}, set()),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_only_what_changed_runs(recorded, tmp_path, name):
    change, jobs, stages = ROWS[name]
    project = recorded.copy(tmp_path / "project")
    change(project)
    assert project.jobs() == jobs
    assert project.stages() == stages


def test_an_audit_by_other_code_is_made_again(recorded, tmp_path):
    copy = recorded.copy(tmp_path / "copy")
    versions = (copy.folder / "src/medgrid/grid/versions.py").read_text()
    version("audit")(copy)
    for target in ("audit_brain_tumor_mri", "studies"):
        said = copy.call("env", "PYTHONPATH=src", "medgrid", "run", "-n", "--", target)
        assert _jobs(said)["audit"] == 1, said
    (copy.folder / "src/medgrid/grid/versions.py").write_text(versions)
    said = copy.call("env", "PYTHONPATH=src", "medgrid", "run", "-n", "--", "audit_brain_tumor_mri")
    assert "audit" not in _jobs(said)


def test_nothing_changed_nothing_runs(recorded):
    assert recorded.jobs() == {}
    assert recorded.stages() == set()
    assert recorded.call("git", "status", "--porcelain") == ""


@pytest.fixture(scope="module")
def checked_out(recorded, tmp_path_factory) -> Recorded:
    """As `dvc exp run --temp` begins: a copy with what DVC keeps, without what Snakemake remembers or prepared."""
    clone = recorded.clone(tmp_path_factory.mktemp("checked_out") / "project")
    clone.call("dvc", "cache", "dir", "--local", str(recorded.folder / ".dvc/cache"))
    clone.call("dvc", "checkout")
    return clone


EXPERIMENTS = {
    "one learning rate changed": (setting("studies.grid.axes.lr", [0.1, 0.02, 0.001]), {"train": 1}),
    "a study's epochs": (setting("studies.grid.fixed.epochs", 4), {"train": 4, "features": 1}),
    "style of figures": (version("report"), {}),
}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_in_a_copy_trains_the_same(checked_out, tmp_path, name):
    change, jobs = EXPERIMENTS[name]
    project = checked_out.copy(tmp_path / "project")
    change(project)
    command = ["medgrid", "run", "-n", "--forcerun", "manifest", "--", "prune_grid", "grid"]
    prepared = {"inventory": 1, "near_duplicates": 1, "split": 1, "tensors": 1}
    assert _jobs(project.call("env", "PYTHONPATH=src", *command)) == REPORTS | jobs | prepared | {"prune_grid": 1}


def test_dvc_repro_trains_what_changed_and_records_it(recorded, tmp_path):
    project = recorded.copy(tmp_path / "project")
    setting("studies.grid.axes.lr", [0.1, 0.02])(project)
    before = {path: path.stat().st_mtime for path in (project.folder / "results").rglob("job.json")}
    project.call("dvc", "repro")
    jobs = {path.parent.parent.name for path in (project.folder / "results/grid/jobs").glob("*/*/job.json")}
    assert jobs == set(lay_out(load(project.params)).manifests["grid"].jobs)
    after = {path: path.stat().st_mtime for path in (project.folder / "results").rglob("job.json")}
    assert len(set(after) & set(before)) == 3
    assert all(after[path] == before[path] for path in set(after) & set(before))
    lock = yaml.safe_load((project.folder / "dvc.lock").read_text())
    recorded_params = lock["stages"]["study@grid"]["params"]["params.yaml"]
    assert recorded_params["studies.grid"]["axes"]["lr"] == [0.1, 0.02]
    assert project.jobs() == {}
    assert project.stages() == set()
    # what was recorded shows, and how it differs from what was committed
    assert "lr=0.02" in (project.folder / "results/grid/tables/cells.csv").read_text()
    assert "plain.test_accuracy_mean" in project.call("dvc", "metrics", "show")
    diff = json.loads(project.call("dvc", "metrics", "diff", "--json"))
    assert diff["results/grid/metrics.json"]["cells"] == {"old": 5, "new": 4, "diff": -1}
    assert "study@grid" in project.call("dvc", "dag")
    project.call("dvc", "plots", "show", "--out", "plots")
    assert (project.folder / "plots/index.html").exists()


def test_an_experiment_records_its_own_settings(recorded, tmp_path):
    """Never results of other settings under these: run in a copy, where only names can tell."""
    project = recorded.copy(tmp_path / "project")
    project.call(
        "dvc", "exp", "run", "--temp", "--name", "longer", "-S", "studies.other.fixed.epochs=5", "study@other"
    )
    assert project.stages() == set()
    project.call("dvc", "exp", "apply", "longer")
    assert project.params["studies"]["other"]["fixed"]["epochs"] == 5
    with (project.folder / "results/other/tables/curves.csv").open(newline="") as handle:
        assert max(int(row["epoch"]) for row in csv.DictReader(handle)) == 5
    # taken over, both tools take it as it is
    project.call("medgrid", "restore")
    assert project.jobs() == {}
    assert project.stages() == set()


def refused(project: Recorded, *command: str) -> str:
    done = subprocess.run(command, cwd=project.folder, env=project.environment, capture_output=True, text=True)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_results_of_other_settings_are_never_recorded(recorded, tmp_path):
    """DVC reads params.yaml when a stage has ended; the stage's last command does so just before."""
    project = recorded.copy(tmp_path / "project")
    project.call("medgrid", "verify", "grid")
    setting("studies.grid.title", "Edited during the run")(project)
    said = refused(project, "env", "PYTHONPATH=src", "medgrid", "verify", "grid")
    assert "results/grid does not match the settings of params.yaml" in said
    stage = yaml.safe_load((project.folder / "dvc.yaml").read_text())["stages"]["study"]["do"]
    assert stage["cmd"][-1].endswith("medgrid verify ${key}")


def test_tables_that_git_brings_back_are_made_anew(recorded, tmp_path):
    project = recorded.copy(tmp_path / "project")
    setting("studies.grid.title", "Another")(project)
    project.call("env", "PYTHONPATH=src", "medgrid", "run", "--until", "manifest", "--", "grid")
    for file in (project.folder / "results/grid").rglob("*"):
        if file.parent.name != "manifest":
            os.utime(file)  # tables of the other title, newer than this one's manifest
    assert project.jobs() == REPORTS | {"stale": 1}


def restored(clone: Recorded) -> None:
    clone.call("medgrid", "restore")
    assert clone.jobs() == {}
    assert clone.stages() == set()
    assert "up to date" in clone.call("dvc", "repro")
    assert clone.call("git", "status", "--porcelain") == ""
    # and what changes then trains alone
    setting("studies.grid.axes.lr", [0.1, 0.01, 0.001, 0.02])(clone)
    assert clone.jobs()["train"] == 1


def test_a_fresh_clone_is_restored_from_a_folder(recorded, tmp_path):
    project = recorded.copy(tmp_path / "project")
    project.call("dvc", "remote", "add", "--default", "lab", str(tmp_path / "lab"))
    project.call("git", "commit", "-q", "-a", "-m", "remote")
    project.call("dvc", "push")
    restored(project.clone(tmp_path / "clone"))


def test_a_fresh_clone_is_restored_from_s3(recorded, tmp_path, monkeypatch):
    from moto.server import ThreadedMotoServer

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        project = recorded.copy(tmp_path / "project")
        project.call("dvc", "remote", "add", "--default", "lab", "s3://lab/medgrid")
        project.call("dvc", "remote", "modify", "lab", "endpointurl", f"http://{host}:{port}")
        project.call("python", "-c", f"import boto3; boto3.client('s3', endpoint_url='http://{host}:{port}', "
                     "region_name='us-east-1').create_bucket(Bucket='lab')")  # fmt: skip
        project.call("git", "commit", "-q", "-a", "-m", "remote")
        project.call("dvc", "push")
        restored(project.clone(tmp_path / "clone"))
    finally:
        server.stop()


def test_restoring_what_was_never_recorded_or_has_changed_says_so(recorded, tmp_path):
    project = recorded.copy(tmp_path / "project")
    restore = ("medgrid", "restore")
    assert "no remote is configured" in refused(project, *restore, "--remote", "lab")
    assert "params.yaml has no study 'nothing'" in refused(project, "medgrid", "verify", "nothing")
    setting("studies.grid.fixed.epochs", 9)(project)
    assert "study@grid: settings or files differ from those recorded in dvc.lock" in refused(project, *restore)
    (project.folder / "dvc.lock").write_text("schema: '2.0'\n")
    assert "dvc.lock records no data set or study of params.yaml" in refused(project, *restore)
    (project.folder / "dvc.lock").unlink()
    assert "there is no dvc.lock here" in refused(project, *restore)


def test_every_image_and_weight_stays_out_of_git(recorded):
    tracked = recorded.call("git", "ls-files").splitlines()
    assert not [name for name in tracked if name.startswith("data/") or "/jobs/" in name]
    assert [name for name in tracked if name.startswith("results/grid/")]
