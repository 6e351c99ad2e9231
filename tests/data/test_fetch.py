"""Every way to get a data set, over real HTTP where there is any."""

import os
import random
import zipfile

import pytest
from conftest import medgrid_job

from medgrid.data.archive import content_digest
from medgrid.data.fetch import fetch
from medgrid.utils import retry
from medgrid.utils.errors import MedgridError

HANDLE = "owner/phantoms/versions/1"


def settings(archive, handle=HANDLE, **changes) -> dict:
    declared = {"dataset": "phantoms", "kaggle": {"handle": handle}, "synthetic": None}
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


def from_kaggle(server, tmp_path, declared, known=False):
    target = tmp_path / "archives" / "phantoms.zip"
    result = medgrid_job("fetch", declared, tmp_path, str(target), env=environment(server, tmp_path, known))
    return target, result


def test_a_data_set_comes_without_credentials(archive, standin, tmp_path):
    server = standin(archive.read_bytes())
    target, result = from_kaggle(server, tmp_path, settings(archive))
    assert result.returncode == 0, result.stderr
    assert content_digest(target) == content_digest(archive)
    assert files(target.parent) == ["phantoms.zip"]
    assert "Set it as" not in result.stderr


def test_what_kaggle_delivers_is_taken_and_its_digest_reported(archive, standin, tmp_path):
    server = standin(archive.read_bytes())
    target, result = from_kaggle(server, tmp_path, settings(archive, sha256=None))
    assert result.returncode == 0, result.stderr
    assert content_digest(target) == content_digest(archive)
    assert f"content digest of Kaggle's {HANDLE} is\n  {content_digest(archive)}\n" in result.stderr
    assert "datasets.phantoms.sha256" in result.stderr


@pytest.mark.slow
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
    starts = [int(value.removeprefix("bytes=")[:-1]) for _, _, value in server.requests if value]
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
    assert "does not have the content that params.yaml declares" in result.stderr
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
    assert "its rules must be accepted once" in result.stderr
    assert "https://www.kaggle.com/competitions/cancer-detection/rules" in result.stderr
    assert "Traceback" not in result.stderr


def test_competitions_ask_for_credentials(archive, standin, tmp_path):
    server = standin(archive.read_bytes())
    _, result = from_kaggle(server, tmp_path, settings(archive, "cancer-detection"))
    assert result.returncode == 1
    assert "kaggle.json" in result.stderr
    assert "KAGGLE_USERNAME and KAGGLE_KEY" in result.stderr
    assert "https://www.kaggle.com/competitions/cancer-detection/rules" in result.stderr
    assert "mirror=DIR" in result.stderr
    assert server.requests == []


def test_competition_files_come_with_credentials(archive, standin, tmp_path):
    server = standin(archive.read_bytes())
    target, result = from_kaggle(server, tmp_path, settings(archive, "cancer-detection"), known=True)
    assert result.returncode == 0, result.stderr
    assert content_digest(target) == content_digest(archive)


def test_a_bad_request_is_not_repeated(archive, standin, tmp_path):
    server = standin(archive.read_bytes())
    server.statuses = [400]
    _, result = from_kaggle(server, tmp_path, settings(archive))
    assert f"Kaggle refuses {HANDLE} (HTTP 400)" in result.stderr
    assert len(server.requests) == 1


def test_damaged_credentials_are_named_before_any_request(archive, standin, tmp_path):
    server = standin(archive.read_bytes())
    (tmp_path / "kaggle.json").write_text('{"username": ')
    _, result = from_kaggle(server, tmp_path, settings(archive))
    assert result.returncode == 1
    assert f"Invalid Kaggle credentials file at {tmp_path}/kaggle.json" in result.stderr
    assert server.requests == []


def test_without_a_network_there_is_one_attempt(archive, standin, closed_port, tmp_path):
    target = tmp_path / "archives" / "phantoms.zip"
    proxy = {"http_proxy": f"http://127.0.0.1:{closed_port}"}
    environs = environment(standin(b""), tmp_path) | proxy
    result = medgrid_job("fetch", settings(archive), tmp_path, str(target), env=environs)
    assert result.returncode == 1
    assert f"no connection to localhost through the proxy 127.0.0.1:{closed_port}" in result.stderr
    assert "Connection refused" in result.stderr
    assert "--config mirror=DIR to a folder that contains phantoms.zip" in result.stderr
    assert "attempt" not in result.stderr
    assert "Traceback" not in result.stderr
    assert files(target.parent) == []


def test_a_proxy_s_refusal_is_final(archive, standin, tmp_path):
    server = standin(archive.read_bytes())
    # the real address over https: the stand-in answers the request for a tunnel with HTTP 501
    elsewhere = {"KAGGLE_API_ENVIRONMENT": "PROD", "https_proxy": server.url}
    target = tmp_path / "archives" / "phantoms.zip"
    environs = environment(server, tmp_path) | elsewhere
    result = medgrid_job("fetch", settings(archive), tmp_path, str(target), env=environs)
    assert result.returncode == 1
    assert "no connection to api.kaggle.com (Tunnel connection failed: 501" in result.stderr
    assert "attempt" not in result.stderr


def test_an_unknown_handle_is_named(archive, standin, tmp_path):
    server = standin(archive.read_bytes())
    server.statuses = [404]
    _, result = from_kaggle(server, tmp_path, settings(archive))
    assert f"Kaggle has no {HANDLE}" in result.stderr


def test_a_mirror_stands_in(archive, tmp_path):
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    with pytest.raises(MedgridError, match=r"has no phantoms.zip \(it contains no zip files\)"):
        fetch(settings(archive), str(tmp_path / "a.zip"), str(mirror))
    (mirror / "phantoms.zip").write_bytes(archive.read_bytes())
    fetch(settings(archive), str(tmp_path / "a.zip"), str(mirror))
    assert (tmp_path / "a.zip").read_bytes() == archive.read_bytes()
    with pytest.raises(MedgridError, match="does not have the content that params.yaml declares"):
        fetch(settings(archive, sha256="0" * 64), str(tmp_path / "b.zip"), str(mirror))
    assert not (tmp_path / "b.zip").exists()
    (mirror / "phantoms.zip").write_bytes(archive.read_bytes()[:5000])
    with pytest.raises(MedgridError, match=r"mirror/phantoms.zip is not a zip archive, or is truncated"):
        fetch(settings(archive), str(tmp_path / "b.zip"), str(mirror))
    with pytest.raises(MedgridError, match="is not a folder"):
        fetch(settings(archive), str(tmp_path / "b.zip"), str(tmp_path / "nowhere"))


def test_a_mirror_s_copy_must_be_declared(archive, tmp_path):
    """A re-encoded copy has the same name as the original."""
    (tmp_path / "phantoms.zip").write_bytes(archive.read_bytes())
    with pytest.raises(MedgridError, match=r"datasets.phantoms.sha256 is not set") as refused:
        fetch(settings(archive, sha256=None), str(tmp_path / "a.zip"), str(tmp_path))
    assert content_digest(archive) in str(refused.value)
    assert not (tmp_path / "a.zip").exists()


@pytest.fixture
def scans(archive, tmp_path):
    """A local folder; the time of one file is before 1980, which zips cannot hold."""
    folder = tmp_path / "my scans"
    zipfile.ZipFile(archive).extractall(folder)
    os.utime(next(path for path in folder.rglob("*.jpg")), (0, 0))
    return folder


def test_a_local_folder_becomes_a_verified_zip(archive, scans, tmp_path):
    target = tmp_path / "archives" / "local.zip"
    declared = settings(archive, kaggle=None)
    result = medgrid_job("fetch", declared, tmp_path, str(target), f"--folder={scans}")
    assert result.returncode == 0, result.stderr
    assert content_digest(target) == content_digest(archive)
    assert zipfile.is_zipfile(target)
    (scans / "Training" / "glioma" / "new.jpg").write_bytes(b"x")
    with pytest.raises(MedgridError, match="my scans does not have the content that params.yaml declares") as refused:
        fetch(declared, str(tmp_path / "other.zip"), folder=str(scans))
    assert content_digest(scans) in str(refused.value)
    assert not (tmp_path / "other.zip").exists()


def test_a_local_zip_is_copied(archive, tmp_path):
    # mirrors are for downloads only
    fetch(settings(archive, kaggle=None), str(tmp_path / "local.zip"), "/nowhere", str(archive))
    assert (tmp_path / "local.zip").read_bytes() == archive.read_bytes()
    with pytest.raises(MedgridError, match=r"datasets.phantoms.folder: .*nothing does not exist"):
        fetch(settings(archive, kaggle=None), str(tmp_path / "b.zip"), folder=str(tmp_path / "nothing"))


def test_a_home_folder_may_be_written_with_a_tilde(archive, scans, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(scans.parent))
    fetch(settings(archive, kaggle=None), str(tmp_path / "local.zip"), folder="~/my scans")
    assert content_digest(tmp_path / "local.zip") == content_digest(archive)


def test_phantoms_come_with_their_table(tmp_path):
    synthetic = {"template": "train/{id}.png", "formats": ["png"], "images": 20, "size": 32, "duplicates": 0}
    declared = {
        "dataset": "phantoms", "kaggle": None, "sha256": None, "synthetic": synthetic, "classes": ["a", "b"],
        "labels": {"file": "labels.csv", "values": {"0": "a", "1": "b"}},
    }  # fmt: skip
    fetch(declared, str(tmp_path / "phantoms.zip"))
    assert "labels.csv" in zipfile.ZipFile(tmp_path / "phantoms.zip").namelist()
