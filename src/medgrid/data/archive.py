"""Read archives, zips or folders, and identify them by their content.

The same images may come as Kaggle's zip, as a folder that Kaggle's client has unpacked, or as a mirror's re-packed
zip. All three have the same content digest.
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

CHUNK = 1 << 20  # bytes read at a time
_read: Callable[[str], bytes]


def _open(path: str) -> None:
    """Open the zip or folder at `path` in this worker process."""
    global _read
    _read = (lambda name: Path(path, name).read_bytes()) if Path(path).is_dir() else zipfile.ZipFile(path).read


def read_in_worker(name: str) -> bytes:
    """Content of a file in the archive that this worker has opened."""
    return _read(name)


def workers(archive: str, threads: int = 0) -> ProcessPoolExecutor:
    """Processes that read from a zip or folder: one per core that this job may use, at most `threads` if given."""
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
    """Raise MedgridError for a file name that is not UTF-8, which zips and tables cannot hold."""
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise MedgridError(f"{source}: the name of {os.fsencode(name)!r} is not UTF-8; rename the file") from None


def content_digest(path: str | Path, source: str = "") -> str:
    """Digest of the files in a zip or folder: the sha256 of the output of `sha256sum`, in byte order of paths.

    For a folder, the same as
    `find . -type f -printf '%P\\0' | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum`.

    Raises MedgridError when `path` is neither a folder nor a complete zip; `source` names it in messages.
    """
    path, source = Path(path), source or str(path)
    if not path.exists():
        raise MedgridError(f"{source} does not exist")
    if path.is_file() and not zipfile.is_zipfile(path):
        raise MedgridError(f"{source} is not a zip archive, or is truncated; fetch it again")
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
        raise MedgridError(f"{source} is damaged: {error}; fetch it again") from None
    except RuntimeError as error:  # zipfile raises it for encrypted files
        raise MedgridError(f"{source} cannot be read: {error}; unpack it and use the folder") from None
    finally:
        if archive:
            archive.close()
    return listing.hexdigest()


def zip_folder(folder: Path, target: Path) -> None:
    """Store the files of a folder in a zip, uncompressed: images are compressed already."""
    check_names(folder, members(folder))
    # zips cannot hold times before 1980, which some files have; times are not part of the content
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
        for name in tqdm(members(folder), desc="zip", unit="file", mininterval=1):
            archive.write(folder / name, name)
