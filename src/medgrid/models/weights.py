"""Weight files: from a mirror folder, a path or the network; verified, with resumable downloads."""

import hashlib
import shutil
from pathlib import Path

import requests
from tqdm import tqdm

from medgrid.config import Weights
from medgrid.utils.errors import MedgridError
from medgrid.utils.files import atomic_write, file_lock
from medgrid.utils.network import require_connection, require_handshake
from medgrid.utils.retry import TransientError, requested_pause, with_retries

TORCHVISION_FILES = "https://download.pytorch.org/models/"
TIMEOUT = (10, 60)  # seconds to connect, and between bytes
CHUNK = 1 << 20


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch_weights(settings: dict, target: str, mirror: str = "") -> None:
    """Write a verified weight file to `target`; raises MedgridError, and writes nothing, when that fails.

    Sources, in this order: the folder `mirror`, by file name; the path in the settings (those of
    `medgrid.config.Weights`); `url`, or torchvision's server for files with their hash in the name.
    """
    weights = Weights.model_validate(settings)
    name = Path(weights.file).name
    candidates = [Path(mirror) / name] if mirror else []
    local = next((path for path in [*candidates, Path(weights.file).expanduser()] if path.is_file()), None)
    url = weights.url or (TORCHVISION_FILES + name if weights.sha256 is None else None)
    if local:
        with atomic_write(target) as temporary:
            shutil.copyfile(local, temporary)
            _verify(temporary, weights, str(local))
        return
    if mirror or url is None:
        looked = " and ".join(str(path) for path in [*candidates, Path(weights.file)])
        raise MedgridError(
            f"weights {name} not found (looked for {looked}): copy the file there, or set its url in params.yaml"
        )
    partial = Path(target).with_suffix(".partial")
    with file_lock(Path(target).with_suffix(".lock"), f"another download of {name}"):
        download(url, partial)
        try:
            _verify(partial, weights, url)
        except MedgridError:
            partial.unlink()
            raise
        partial.replace(target)


def download(url: str, target: Path) -> None:
    """Download `url` to `target`, resuming an earlier attempt.

    Raises MedgridError at once when the server cannot be reached or refuses, and after several attempts when it
    answers with HTTP 429 or 5xx or transfers are interrupted.
    """
    elsewhere = f"put {target.stem}.pth into a folder and pass --config mirror=DIR"
    require_connection(url, elsewhere)

    def fetch() -> None:
        try:
            _transfer(url, target)
        except requests.HTTPError as error:
            status = error.response.status_code
            if status < 500 and status != 429:
                raise MedgridError(
                    f"{url} returned HTTP {status}; check the URL, or use --config mirror=DIR"
                ) from None
            raise TransientError(f"HTTP {status}", requested_pause(error.response)) from None
        except requests.RequestException as error:
            require_handshake(error, url, elsewhere)
            raise TransientError(type(error).__name__) from None
        except ConnectionError as error:
            raise TransientError(type(error).__name__) from None

    with_retries(fetch, url, elsewhere)


def _transfer(url: str, target: Path) -> None:
    have = target.stat().st_size if target.exists() else 0
    headers = {"Range": f"bytes={have}-", "Accept-Encoding": "identity"} if have else {"Accept-Encoding": "identity"}
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        if response.status_code == 416:  # the file is complete; its hash is checked later
            return
        response.raise_for_status()
        if response.status_code != 206:  # the server cannot resume
            have = 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        bar = tqdm(total=total, initial=have, unit="B", unit_scale=True, desc=url.rsplit("/", 1)[-1], mininterval=1)
        with target.open("ab" if have else "wb") as file, bar:
            for chunk in response.iter_content(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
    if total is not None and target.stat().st_size < total:
        raise ConnectionError("the transfer was interrupted")


def _verify(path: Path, weights: Weights, source: str) -> None:
    digest = sha256_of(path)
    expected = weights.sha256 or weights.file.removesuffix(".pth")[-8:]  # as torchvision names its files
    if not digest.startswith(expected):
        raise MedgridError(f"{source} has the sha256 {digest}, expected {expected}: fetch it again")
