"""Download from Kaggle with its own client, with retries and error messages that say what to do.

Missing credentials, refusals (HTTP 4xx) and a missing network are errors at once. Transient faults are retried: HTTP
429 and 5xx, and interrupted transfers.
"""

import errno
import os
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medgrid.config import Kaggle
from medgrid.utils.errors import MedgridError
from medgrid.utils.network import require_connection, require_handshake
from medgrid.utils.retry import TransientError, requested_pause, with_retries

CREDENTIALS = (
    "create a token on kaggle.com (Settings, API) and save it as ~/.kaggle/kaggle.json, "
    "or set KAGGLE_USERNAME and KAGGLE_KEY"
)
ALTERNATIVE = "set --config mirror=DIR to a folder that contains {slug}.zip"


def download(kaggle: Kaggle, cache: Path) -> Path:
    """Download a version of a data set, or a competition's files, into `cache`; returns the unpacked folder.

    An interrupted transfer resumes where it stopped, also in a later run: the partial file stays in `cache`.
    Raises MedgridError when Kaggle refuses, cannot be reached, or the disk is full.
    """
    os.environ["KAGGLEHUB_CACHE"] = str(cache.resolve())
    import kagglehub
    from kagglesdk.kaggle_env import get_endpoint, get_env

    get = kagglehub.competition_download if kaggle.competition else kagglehub.dataset_download
    alternative = ALTERNATIVE.format(slug=kaggle.slug)
    _require_credentials(kaggle, alternative)
    endpoint = get_endpoint(get_env())
    # Kaggle's client waits for a connection without a timeout
    require_connection(endpoint, alternative)

    def attempt() -> Path:
        with _translated_errors(kaggle, cache, endpoint, alternative):
            return Path(get(kaggle.handle))

    return with_retries(attempt, f"Kaggle's {kaggle.handle}", alternative)


@contextmanager
def _translated_errors(kaggle: Kaggle, cache: Path, endpoint: str, alternative: str) -> Iterator[None]:
    """Raise TransientError for errors of Kaggle's client that a retry may solve, MedgridError for others."""
    import requests
    from kagglehub.exceptions import DataCorruptionError, KaggleApiHTTPError

    try:
        yield
    except KaggleApiHTTPError as error:
        status = error.response.status_code
        if status < 500 and status != 429:
            raise MedgridError(_refusal(kaggle, status, alternative)) from None
        raise TransientError(f"HTTP {status}", requested_pause(error.response)) from None
    except (zipfile.BadZipFile, tarfile.TarError, ValueError) as error:  # the archive is damaged
        shutil.rmtree(cache, ignore_errors=True)
        raise TransientError(f"{type(error).__name__}: {error}") from None
    except DataCorruptionError as error:
        raise TransientError(type(error).__name__) from None
    except requests.RequestException as error:
        require_handshake(error, endpoint, alternative)
        raise TransientError(type(error).__name__) from None
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise MedgridError(f"no space left on the disk of {cache}") from None
        raise TransientError(str(error)) from None


def _require_credentials(kaggle: Kaggle, alternative: str) -> None:
    """Raise MedgridError for a competition without credentials, or when the credentials file is damaged."""
    from kagglehub.config import get_kaggle_credentials

    try:
        credentials = get_kaggle_credentials()
    except ValueError as error:
        raise MedgridError(f"{error}: {CREDENTIALS}, or {alternative}") from None
    if kaggle.competition and not credentials:
        raise MedgridError(
            f"the competition {kaggle.handle} needs Kaggle credentials: {CREDENTIALS}; then accept the competition's "
            f"rules at {_rules(kaggle)}; or {alternative}"
        )


def _rules(kaggle: Kaggle) -> str:
    return f"https://www.kaggle.com/competitions/{kaggle.handle}/rules"


def _refusal(kaggle: Kaggle, status: int, alternative: str) -> str:
    """What an HTTP status of 4xx means, and what to do."""
    if status == 404:
        return f"Kaggle has no {kaggle.handle} (HTTP 404): check its handle in params.yaml"
    if kaggle.competition and status == 403:
        return (
            f"Kaggle refuses the competition {kaggle.handle} (HTTP 403): its rules must be accepted once, "
            f"at {_rules(kaggle)}; or {alternative}"
        )
    if status not in (401, 403):
        return f"Kaggle refuses {kaggle.handle} (HTTP {status}); {alternative}"
    return (
        f"Kaggle refuses {kaggle.handle} (HTTP {status}): wrong or expired credentials, or terms that must be "
        f"accepted on its page first; {CREDENTIALS}, or {alternative}"
    )
