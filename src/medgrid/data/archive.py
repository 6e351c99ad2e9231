"""A data set's archive: one zip whose content, not whose bytes, is what counts.

The same images may arrive as Kaggle's own zip, as a folder that Kaggle's client unpacked, or as a mirror's
re-packed zip. All three have the same content digest.
"""

import hashlib
import os
import zipfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tqdm import tqdm

from medgrid.utils.errors import MedgridError
from medgrid.utils.threads import usable_threads

CHUNK = 1 << 20
_read: Callable[[str], bytes]


def _open(path: str) -> None:
    """Give this worker process its own handle on the archive, or folder, at `path`."""
    global _read
    _read = (lambda name: Path(path, name).read_bytes()) if Path(path).is_dir() else zipfile.ZipFile(path).read


def read_in_worker(name: str) -> bytes:
    """Content of one member of the archive that this worker opened."""
    return _read(name)


def workers(archive: str, threads: int = 0) -> ProcessPoolExecutor:
    """Processes that read from the archive or folder: one for each core of this job, at most `threads` if given."""
    return ProcessPoolExecutor(usable_threads(threads), initializer=_open, initargs=(archive,))


def members(path: Path) -> list[str]:
    """Paths of the files in a folder or zip, in byte order."""
    if path.is_dir():
        names = [str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()]
    else:
        with zipfile.ZipFile(path) as archive:
            names = [info.filename for info in archive.infolist() if not info.is_dir()]
    return sorted(names, key=os.fsencode)


def check_names(source: str | Path, names: list[str]) -> None:
    """Raise MedgridError for a name that is no text: zips and tables hold names as text."""
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise MedgridError(f"{source}: the name of {os.fsencode(name)!r} is not UTF-8; rename the file") from None


def content_digest(path: str | Path, called: str = "") -> str:
    """Digest of what a zip or a folder contains: the sha256 of `sha256sum`'s listing in byte order of paths.

    For a folder, the same as
    `find . -type f -printf '%P\\0' | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum`.

    Raises MedgridError, which names the file as `called` if given, for what is neither a folder nor a whole zip.
    """
    path, called = Path(path), called or str(path)
    if not path.exists():
        raise MedgridError(f"{called} does not exist")
    if path.is_file() and not zipfile.is_zipfile(path):
        raise MedgridError(f"{called} is not a zip archive, or was cut off; fetch it again")
    listing = hashlib.sha256()
    archive = None if path.is_dir() else zipfile.ZipFile(path)
    try:
        for name in tqdm(members(path), desc="checksum", unit="file", mininterval=1):
            with archive.open(name) if archive else (path / name).open("rb") as member:
                digest = hashlib.sha256()
                while chunk := member.read(CHUNK):
                    digest.update(chunk)
            listing.update(os.fsencode(f"{digest.hexdigest()}  {name}\n"))
    except zipfile.BadZipFile as error:
        raise MedgridError(f"{called} is damaged: {error}; fetch it again") from None
    except RuntimeError as error:  # zipfile's word for a member under a password
        raise MedgridError(f"{called} cannot be read: {error}; unpack it and name the folder") from None
    finally:
        if archive:
            archive.close()
    return listing.hexdigest()


def zip_folder(folder: Path, target: Path) -> None:
    """Put a folder's files into a zip, uncompressed: images are compressed already."""
    check_names(folder, members(folder))
    # zip knows no time before 1980; copies from some devices have one, and times are not part of the content
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
        for name in tqdm(members(folder), desc="packing", unit="file", mininterval=1):
            archive.write(folder / name, name)
