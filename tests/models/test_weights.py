"""Weight files over HTTP, from mirror folders and from paths."""

import hashlib
import random
import socket

import pytest

from medgrid.models.weights import fetch_weights
from medgrid.utils import retry
from medgrid.utils.errors import MedgridError

CONTENT = random.Random(0).randbytes(5_000_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
NAME = f"net-{DIGEST[:8]}.pth"


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(retry, "FIRST_PAUSE", 0.01)


def test_interrupted_transfers_resume(standin, tmp_path):
    server = standin(CONTENT)
    server.cuts = 2
    fetch_weights({"file": NAME, "url": f"{server.url}/{NAME}"}, str(tmp_path / NAME))
    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert [wanted is not None for _, _, wanted in server.requests] == [False, True, True]
    assert not list(tmp_path.glob("*.partial"))


def test_a_killed_download_resumes(standin, tmp_path):
    server = standin(CONTENT)
    (tmp_path / NAME).with_suffix(".partial").write_bytes(CONTENT[:1_000_000])
    fetch_weights({"file": NAME, "url": f"{server.url}/{NAME}"}, str(tmp_path / NAME))
    assert server.requests == [("GET", f"/{NAME}", "bytes=1000000-")]
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_a_whole_partial_file_is_verified_too(standin, tmp_path):
    server = standin(CONTENT)
    (tmp_path / NAME).with_suffix(".partial").write_bytes(b"x" * len(CONTENT))
    with pytest.raises(MedgridError, match="expected"):
        fetch_weights({"file": NAME, "url": f"{server.url}/{NAME}"}, str(tmp_path / NAME))
    # the wrong content was removed, so that the next attempt starts from the beginning
    fetch_weights({"file": NAME, "url": f"{server.url}/{NAME}"}, str(tmp_path / NAME))
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_wrong_content_is_never_written(standin, tmp_path):
    server = standin(CONTENT)
    with pytest.raises(MedgridError, match=f"sha256 {DIGEST}, expected 00000000"):
        fetch_weights({"file": "net-00000000.pth", "url": server.url}, str(tmp_path / "net.pth"))
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".lock"]


def test_refusals_are_final_and_server_errors_are_not(standin, tmp_path):
    server = standin(CONTENT)
    server.statuses = [503, 404]
    with pytest.raises(MedgridError, match="returned HTTP 404"):
        fetch_weights({"file": NAME, "url": server.url}, str(tmp_path / NAME))
    assert len(server.requests) == 2


def test_a_server_that_stays_busy(standin, tmp_path):
    server = standin(CONTENT)
    server.statuses = [503] * 10
    with pytest.raises(MedgridError, match=r"could not be fetched \(HTTP 503, 6 attempts\)"):
        fetch_weights({"file": NAME, "url": server.url}, str(tmp_path / NAME))
    assert len(server.requests) == 6


def test_an_unreachable_server_is_tried_once(tmp_path, capsys):
    with socket.socket() as free:  # bound, but nobody listens: its port refuses connections
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with pytest.raises(MedgridError, match=rf"no connection to 127.0.0.1:{port} \(.*refused") as refused:
            fetch_weights({"file": NAME, "url": f"http://127.0.0.1:{port}"}, str(tmp_path / NAME))
    assert f"put {NAME} into a folder and pass --config mirror=DIR" in str(refused.value)
    assert "attempt" not in capsys.readouterr().err


def test_a_failed_handshake_is_final(standin, tmp_path, capsys):
    server = standin(CONTENT)
    with pytest.raises(MedgridError, match=r"no connection to 127.0.0.1 \(.*SSL"):  # it speaks plain HTTP
        fetch_weights({"file": NAME, "url": server.url.replace("http", "https")}, str(tmp_path / NAME))
    assert "attempt" not in capsys.readouterr().err


def test_mirrors_and_own_files(tmp_path):
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    with pytest.raises(MedgridError, match=f"weights {NAME} not found"):
        fetch_weights({"file": NAME}, str(tmp_path / "out.pth"), str(mirror))
    (mirror / NAME).write_bytes(CONTENT)
    fetch_weights({"file": NAME}, str(tmp_path / "out.pth"), str(mirror))
    assert (tmp_path / "out.pth").read_bytes() == CONTENT
    file = tmp_path / "mine.pth"
    file.write_bytes(CONTENT)
    fetch_weights({"file": str(file), "sha256": DIGEST}, str(tmp_path / "again.pth"))
    assert (tmp_path / "again.pth").read_bytes() == CONTENT
    with pytest.raises(MedgridError, match=f"{file} has the sha256"):
        fetch_weights({"file": str(file), "sha256": "0" * 64}, str(tmp_path / "no.pth"))
    assert not (tmp_path / "no.pth").exists()
