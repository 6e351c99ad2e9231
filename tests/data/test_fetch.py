"""Every way to get a data set, over real HTTP where there is any."""

import json
import random
import zipfile

import pytest
from conftest import CLASSES, medgrid

from medgrid import retry
from medgrid.data.archive import content_digest
from medgrid.data.fetch import fetch
from medgrid.errors import MedgridError

HANDLE = "owner/phantoms/versions/1"


def settings(archive, handle=HANDLE, **changes) -> dict:
    declared = {"dataset": "phantoms", "kaggle": {"handle": handle}, "classes": CLASSES, "synthetic": None}
    return declared | {"sha256": content_digest(archive)} | changes


def environment(server, tmp_path, known=False) -> dict:
    """Point Kaggle's client at the stand-in."""
    credentials = {"KAGGLE_USERNAME": "someone", "KAGGLE_KEY": "secret"} if known else {}
    return credentials | {
        "KAGGLE_API_ENVIRONMENT": "LOCALHOST", "http_proxy": server.url, "no_proxy": "", "NO_PROXY": "",
        "HOME": str(tmp_path), "KAGGLE_CONFIG_DIR": str(tmp_path),
    }  # fmt: skip


def files(folder) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"]


def from_kaggle(server, tmp_path, wanted, known=False):
    target = tmp_path / "archives" / "phantoms.zip"
    result = medgrid("fetch", json.dumps(wanted), str(target), env=environment(server, tmp_path, known))
    return target, result


def test_a_data_set_comes_without_credentials(archive, standin, tmp_path):
    server = standin(archive.read_bytes())
    target, result = from_kaggle(server, tmp_path, settings(archive))
    assert result.returncode == 0, result.stderr
    assert content_digest(target) == content_digest(archive)
    assert files(target.parent) == ["phantoms.zip"]


def test_a_cut_transfer_resumes(standin, tmp_path):
    large = tmp_path / "large.zip"  # longer than one chunk of the client
    with zipfile.ZipFile(large, "w") as archive:
        archive.writestr("noise.bin", random.Random(0).randbytes(8_000_000))
    server = standin(large.read_bytes())
    # the first transfer; then a request whose answer the client leaves unread, and the transfer of the rest
    server.cuts = 3
    target, result = from_kaggle(server, tmp_path, settings(large))
    assert result.returncode == 0, result.stderr
    assert content_digest(target) == content_digest(large)
    starts = [int(wanted.removeprefix("bytes=")[:-1]) for _, _, wanted in server.requests if wanted]
    assert len(starts) == 2
    assert 0 < starts[0] < starts[1] < 8_000_000


def test_a_busy_server_is_asked_again(archive, standin, tmp_path):
    server = standin(archive.read_bytes())
    server.statuses = [429]
    target, result = from_kaggle(server, tmp_path, settings(archive))
    assert result.returncode == 0, result.stderr
    assert "HTTP 429; attempt 2" in result.stderr
    assert target.exists()


def test_other_content_is_refused_and_nothing_placed(archive, standin, tmp_path):
    server = standin(archive.read_bytes())
    target, result = from_kaggle(server, tmp_path, settings(archive, sha256="0" * 64))
    assert result.returncode == 1
    assert "is not what params.yaml declares" in result.stderr
    assert content_digest(archive) in result.stderr
    assert "Traceback" not in result.stderr
    assert files(target.parent) == []


def test_a_wrong_checksum_of_the_transfer_is_tried_again(archive, standin, tmp_path, monkeypatch):
    server = standin(archive.read_bytes())
    server.md5 = "AAAAAAAAAAAAAAAAAAAAAA=="
    for name, value in environment(server, tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(retry, "ATTEMPTS", 2)
    monkeypatch.setattr(retry, "FIRST_PAUSE", 0.01)
    with pytest.raises(MedgridError, match=r"DataCorruptionError, 2 attempts"):
        fetch(settings(archive), str(tmp_path / "phantoms.zip"))
    assert len([r for r in server.requests if r[0] == "GET"]) == 2
    assert not (tmp_path / "phantoms.zip").exists()


def test_competition_rules_are_explained(archive, standin, tmp_path):
    server = standin(archive.read_bytes())
    server.statuses = [403]
    _, result = from_kaggle(server, tmp_path, settings(archive, "cancer-detection"), known=True)
    assert result.returncode == 1
    assert "its rules must be accepted first" in result.stderr
    assert "https://www.kaggle.com/competitions/cancer-detection/rules" in result.stderr
    assert "Traceback" not in result.stderr


def test_competitions_ask_for_credentials(archive, standin, tmp_path):
    server = standin(archive.read_bytes())
    _, result = from_kaggle(server, tmp_path, settings(archive, "cancer-detection"))
    assert result.returncode == 1
    assert "kaggle.json" in result.stderr
    assert "mirror=DIR" in result.stderr
    assert server.requests == []


def test_competition_files_come_with_credentials(archive, standin, tmp_path):
    server = standin(archive.read_bytes())
    target, result = from_kaggle(server, tmp_path, settings(archive, "cancer-detection"), known=True)
    assert result.returncode == 0, result.stderr
    assert content_digest(target) == content_digest(archive)


def test_an_unknown_handle_is_named(archive, standin, tmp_path):
    server = standin(archive.read_bytes())
    server.statuses = [404]
    _, result = from_kaggle(server, tmp_path, settings(archive))
    assert f"Kaggle has no {HANDLE}" in result.stderr


def test_a_mirror_stands_in(archive, tmp_path):
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    with pytest.raises(MedgridError, match=r"has no phantoms.zip \(it holds no zip at all\)"):
        fetch(settings(archive), str(tmp_path / "a.zip"), str(mirror))
    (mirror / "phantoms.zip").write_bytes(archive.read_bytes())
    fetch(settings(archive), str(tmp_path / "a.zip"), str(mirror))
    assert (tmp_path / "a.zip").read_bytes() == archive.read_bytes()
    with pytest.raises(MedgridError, match="is not what params.yaml declares"):
        fetch(settings(archive, sha256="0" * 64), str(tmp_path / "b.zip"), str(mirror))
    assert not (tmp_path / "b.zip").exists()
    (mirror / "phantoms.zip").write_bytes(archive.read_bytes()[:5000])
    with pytest.raises(MedgridError, match=r"mirror/phantoms.zip is not a zip archive, or was cut off"):
        fetch(settings(archive), str(tmp_path / "b.zip"), str(mirror))
    with pytest.raises(MedgridError, match="is not a folder"):
        fetch(settings(archive), str(tmp_path / "b.zip"), str(tmp_path / "nowhere"))
