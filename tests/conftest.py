"""Small data, a project folder of its own for runs, and a loopback server for downloads."""

import base64
import copy
import hashlib
import http.server
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import factories
import pytest
import torch
import yaml

from medgrid.config import Synthetic, Training
from medgrid.utils.files import file_lock

ROOT = Path(__file__).parent.parent
CLASSES = ["glioma", "meningioma", "notumor", "pituitary"]

# two test workers share the machine
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def one_thread():
    """Undo what a command sets that is called in this process: all later tests would compute with its threads."""
    yield
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def closed():
    """Close the figures that a test has drawn; matplotlib keeps them."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture(scope="session")
def params() -> dict:
    """The project's own params.yaml; copy it deeply before changing it."""
    return yaml.safe_load((ROOT / "params.yaml").read_text())


def merged(backbone: dict, overrides: dict) -> dict:
    """As Snakemake merges a configfile into an earlier one."""
    both = dict(backbone)
    for key, value in overrides.items():
        nested = isinstance(value, dict) and isinstance(both.get(key), dict)
        both[key] = merged(both[key], value) if nested else value
    return both


@pytest.fixture(scope="session")
def archive(tmp_path_factory) -> Path:
    """A synthetic archive: 80 phantoms of 48 px, with copies and two damaged files."""
    from medgrid.data.synthetic import generate

    target = tmp_path_factory.mktemp("archive") / "phantoms.zip"
    settings = Synthetic(
        template="{split}/{label}/s{subject}_{n:04d}.jpg",
        splits={"Training": 0.8, "Testing": 0.2},
        images=80,
        size=48,
        undecodable=2,
        duplicates=0.1,
    )
    generate(settings, CLASSES, target)
    return target


READING = {
    "dataset": "phantoms",
    "images": r"^(?P<split>Training|Testing)/(?P<label>[^/]+)/[^/]+\.jpg$",
    "group": r"(?P<group>s\d+)_\d+\.jpg$",
    "classes": CLASSES,
    "labels": None,
    "ids": None,
    "unlabelled": None,
    "max_undecodable": 0.05,
}


@pytest.fixture(scope="session")
def inventory(archive) -> Path:
    from medgrid.data.inventory import write_inventory

    target = archive.with_name("inventory.csv")
    write_inventory(READING, str(archive), str(target))
    return target


def training(**changes) -> Training:
    settings = {
        "model": "resnet18", "mode": "head_only", "loss": "cross_entropy", "optimizer": "adamw",
        "weight_decay": 0.01, "momentum": 0.0, "epochs": 3, "batch_size": 32, "lr": 1e-3,
    }  # fmt: skip
    return Training(**settings | changes)


# the smallest whole study: two models, two rates, on phantoms
TINY = {
    "source": "synthetic",
    "datasets": {
        "brain_tumor_mri": {
            "group": r"(?P<group>s\d+)_\d+\.jpg$",
            "synthetic": {"images": 100, "size": 48, "undecodable": 1},
        }
    },
    "weights": {"resnet18": "random", "mobilenet_v2": "random"},
    "studies": {
        "brain_tumor_lr_batch": {
            "split": {"test": 0.3, "validation": 0.2},
            "image": {"size": 48},
            "fixed": {"epochs": 15},
            "replicates": 2,
            "axes": {"model": ["resnet18", "mobilenet_v2"], "batch_size": [16, 32], "lr": [0.0001, 0.01]},
        }
    },
}


# heads on a frozen backbone (one job, CPU) and whole networks (a job each, which ask for a GPU)
GRID = {
    "source": "synthetic",
    "run": ["grid"],
    "gpu_slots": 8,
    "datasets": {"brain_tumor_mri": {"synthetic": {"images": 60, "size": 32}}},
    "weights": {"resnet18": "random"},
    "studies": {
        "grid": {
            "title": "Grid", "dataset": "brain_tumor_mri", "split": {"test": 0.2, "validation": 0.2},
            "image": {"size": 32},
            "models": {
                "plain": {
                    "layers": [{"conv": 8, "activation": "relu"}, {"pool": "global_average"}, {"dense": 8}]
                }
            },
            "fixed": {"optimizer": "adam", "epochs": 3, "batch_size": 16},
            "axes": {"model": ["plain"], "mode": ["scratch"], "lr": [0.1, 0.01, 0.001]},
            "extra": [{"model": "resnet18", "mode": "head_only", "lr": [0.01, 0.001]}],
            "replicates": 2,
        }
    },
}  # fmt: skip


# a second study of the same images, whose one network trains on pixels
OTHER = {
    "title": "Other", "dataset": "brain_tumor_mri", "image": {"size": 32}, "split": {"test": 0.2, "validation": 0.2},
    "models": GRID["studies"]["grid"]["models"],
    "fixed": {"model": "plain", "mode": "scratch", "lr": 0.01, "batch_size": 16, "epochs": 2},
    "axes": {"optimizer": ["adam"]}, "replicates": 2,
}  # fmt: skip


def two_studies(params: dict) -> dict:
    """params.yaml with the studies `grid` and `other` alone."""
    both = merged(params, GRID)
    both["datasets"] = {"brain_tumor_mri": both["datasets"]["brain_tumor_mri"]}
    both["studies"] = {"grid": both["studies"]["grid"], "other": OTHER}
    return copy.deepcopy(both) | {"run": ["grid", "other"], "device": "cpu"}


class Project:
    """A folder with the workflow and the tiny study, where commands run as a user runs them."""

    def __init__(self, folder: Path, overrides: dict | None = None):
        self.folder = folder
        if overrides is None:
            return
        for name in ("Snakefile", "params.yaml"):
            shutil.copy(ROOT / name, folder)
        shutil.copytree(ROOT / "workflow", folder / "workflow")
        (folder / "profiles").symlink_to("workflow/profiles")
        (folder / "tiny.yaml").write_text(yaml.safe_dump(overrides))

    def command(self, *arguments: str) -> list[str]:
        command = [sys.executable, "-m", "medgrid", "run", "--cores", "2", "--configfile", "tiny.yaml"]
        return [*command, *arguments, "--", "brain_tumor_lr_batch"]

    def run(self, *arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(self.command(*arguments), cwd=self.folder, capture_output=True, text=True, timeout=500)


@pytest.fixture
def project(tmp_path) -> Project:
    return Project(tmp_path, TINY)


def code_digest() -> str:
    """Of all that decides what a run makes."""
    files = [
        ROOT / name for name in ("Snakefile", "params.yaml", "dvc.yaml", "requirements.lock", "tests/conftest.py")
    ]
    for folder in ("src", "workflow"):
        files += sorted(path for path in (ROOT / folder).rglob("*") if path.is_file() and path.suffix != ".pyc")
    digest = hashlib.sha256(sys.version.encode())
    for file in files:
        digest.update(f"{file.relative_to(ROOT)} {file.stat().st_size}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:16]


@pytest.fixture(scope="session")
def finished_project(request, tmp_path_factory, worker_id):
    """Copies of what takes long to make: made once, by one worker, and kept while the code is the same.

    They are kept in pytest's cache, which `pytest --cache-clear` empties.
    """
    store = request.config.cache.mkdir("finished")
    shared = tmp_path_factory.getbasetemp()
    shared = shared if worker_id == "master" else shared.parent

    def copied(name: str, make: Callable[[Path], None]) -> Path:
        copy = shared / name
        with file_lock(shared / f"{name}.lock", "another worker's run"):
            if copy.exists():
                return copy
            kept = store / f"{name}-{code_digest()}"
            if not kept.exists():
                for outdated in store.glob(f"{name}-*"):
                    shutil.rmtree(outdated)
                made = tmp_path_factory.mktemp(name)
                make(made)
                subprocess.run(["cp", "-a", str(made), f"{kept}.part"], check=True)
                Path(f"{kept}.part").rename(kept)
            subprocess.run(["cp", "-a", str(kept), str(copy)], check=True)
        return copy

    return copied


@pytest.fixture(scope="session")
def large_study(finished_project, params) -> Path:
    """Folder of the largest grid, as if trained, with its tables; to be copied before it is changed."""

    def make(folder: Path) -> None:
        settings, jobs = factories.settings_of(factories.shortened(params, "stroke_transfer"), "stroke_transfer")
        factories.write_study(folder, settings, jobs)
        factories.evaluate(folder, settings)

    return finished_project("large", make)


def run_tiny_study(folder: Path) -> None:
    result = Project(folder, TINY).run()
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.fixture(scope="session")
def finished(finished_project) -> Project:
    """A project whose tiny study has run to its page."""
    return Project(finished_project("tiny", run_tiny_study))


class Standin(http.server.ThreadingHTTPServer):
    """A loopback stand-in for Kaggle and for file servers: also speaks as an HTTP proxy.

    `content` is served at every GET, with ranges; `cuts` is how many transfers to drop midway; `statuses` are
    answered first, in order; `md5` overrides the hash header.
    """

    daemon_threads = True

    def __init__(self, content: bytes):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content, self.cuts, self.statuses, self.md5 = content, 0, [], None
        self.requests: list[tuple[str, str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def _refused(self) -> bool:
        if not self.server.statuses:
            return False
        self.send_response(self.server.statuses.pop(0))
        self.send_header("Content-Length", "0")
        self.end_headers()
        return True

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.requests.append(("POST", self.path, None))
        if not self._refused():
            self.send_response(302)
            self.send_header("Location", "http://storage.localhost/archive.zip")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def do_GET(self):
        wanted = self.headers.get("Range")
        self.server.requests.append(("GET", self.path, wanted))
        if self._refused():
            return
        content = self.server.content
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        if start >= len(content):
            self.send_response(416)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("Accept-Ranges", "bytes")
        digest = self.server.md5 or base64.b64encode(hashlib.md5(content).digest()).decode()
        self.send_header("x-goog-hash", f"md5={digest}")
        self.end_headers()
        rest = content[start:]
        if self.server.cuts:
            self.server.cuts -= 1
            rest = rest[: len(rest) // 2]
        self.wfile.write(rest)
        self.close_connection = True


@pytest.fixture
def standin():
    servers = []

    def start(content: bytes) -> Standin:
        server = Standin(content)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def closed_port() -> int:
    """A loopback port that refuses connections."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def medgrid(*arguments: str, env: dict | None = None, cwd: Path | None = None) -> subprocess.CompletedProcess:
    """Run the command line as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "medgrid", *arguments],
        capture_output=True, text=True, env=os.environ | (env or {}), cwd=cwd, timeout=300,
    )  # fmt: skip


def medgrid_job(name: str, settings: dict, folder: Path, *arguments: str, env: dict | None = None):
    """Run `medgrid job NAME` with settings from a file in `folder`."""
    file = folder / f"{name}-settings.json"
    file.write_text(json.dumps(settings))
    return medgrid("job", name, str(file), *arguments, env=env)
