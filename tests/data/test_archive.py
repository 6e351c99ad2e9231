import subprocess
import zipfile

import pytest
from conftest import medgrid

from medgrid.data.archive import content_digest, zip_folder
from medgrid.utils.errors import MedgridError

SHELL = r"find . -type f -printf '%P\0' | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum"


def test_digest_equals_that_of_the_shell(archive, tmp_path):
    zipfile.ZipFile(archive).extractall(tmp_path)
    (tmp_path / "Zebra").mkdir()
    (tmp_path / "Zebra" / "a b.txt").write_text("spaces and capitals")
    by_shell = subprocess.check_output(["bash", "-c", SHELL], cwd=tmp_path, text=True).split()[0]
    assert content_digest(tmp_path) == by_shell
    printed = medgrid("digest", str(tmp_path))
    assert printed.stdout.strip() == by_shell


def test_zip_folder_and_repacked_zip_agree(archive, tmp_path):
    zipfile.ZipFile(archive).extractall(tmp_path / "folder")
    zip_folder(tmp_path / "folder", tmp_path / "again.zip")
    assert content_digest(archive) == content_digest(tmp_path / "folder") == content_digest(tmp_path / "again.zip")


def test_damaged_archives_are_errors_with_their_names(archive, tmp_path):
    cut = tmp_path / "cut.zip"
    cut.write_bytes(archive.read_bytes()[:5000])
    with pytest.raises(MedgridError, match="cut.zip is not a zip archive"):
        content_digest(cut)
    flipped = bytearray(archive.read_bytes())
    flipped[200] ^= 255
    (tmp_path / "flipped.zip").write_bytes(flipped)
    with pytest.raises(MedgridError, match="flipped.zip is damaged"):
        content_digest(tmp_path / "flipped.zip")
    with pytest.raises(MedgridError, match="does not exist"):
        content_digest(tmp_path / "none.zip")


def test_file_names_that_are_not_utf_8_are_errors(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "caf\udce9.png").write_bytes(b"")
    with pytest.raises(MedgridError, match=r"the name of b'caf\\xe9.png' is not UTF-8"):
        zip_folder(folder, tmp_path / "a.zip")


def test_an_encrypted_archive_is_an_error(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.png", b"x")
    content = bytearray((tmp_path / "a.zip").read_bytes())
    content[6] |= 1  # the encryption flag of the file, and of its entry in the directory
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(MedgridError, match="a.zip cannot be read: .*password.*; unpack it"):
        content_digest(tmp_path / "a.zip")
