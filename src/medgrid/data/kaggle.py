"""Download from Kaggle with its own client, plus what that client leaves to its callers: retries and advice.

Missing credentials, a refusal (HTTP 4xx) and a missing network end a download at once. Only faults that may pass are
tried again: HTTP 429 and 5xx, and transfers that break off.
"""

import errno
import os
import shutil
import tarfile
import zipfile
from pathlib import Path

from medgrid.config import Kaggle
from medgrid.utils.errors import MedgridError
from medgrid.utils.network import require_connection, require_handshake
from medgrid.utils.retry import TransientError, asked_pause, with_retries

CREDENTIALS = (
    "create a token on kaggle.com (Settings, API) and save it as ~/.kaggle/kaggle.json, "
    "or set KAGGLE_USERNAME and KAGGLE_KEY"
)
ELSEWHERE = "point --config mirror=DIR at a folder that holds {slug}.zip"


def download(kaggle: Kaggle, cache: Path) -> Path:
    """Fetch a pinned data set or a competition's files into `cache`; returns the unpacked folder.

    A broken transfer resumes where it stopped, here and in a later run: the partial file stays in `cache`.
    Raises MedgridError that says what to do when Kaggle refuses or stays out of reach.
    """
    os.environ["KAGGLEHUB_CACHE"] = str(cache.resolve())
    import kagglehub
    import requests
    from kagglehub.exceptions import DataCorruptionError, KaggleApiHTTPError
    from kagglesdk.kaggle_env import get_endpoint, get_env

    get = kagglehub.competition_download if kaggle.competition else kagglehub.dataset_download
    elsewhere = ELSEWHERE.format(slug=kaggle.slug)
    _require_credentials(kaggle, elsewhere)
    endpoint = get_endpoint(get_env())
    # Kaggle's client waits for a connection without limit
    require_connection(endpoint, elsewhere)

    def fetch() -> Path:
        try:
            return Path(get(kaggle.handle))
        except KaggleApiHTTPError as error:
            status = error.response.status_code
            if status < 500 and status != 429:
                raise MedgridError(_refusal(kaggle, status, elsewhere)) from None
            raise TransientError(f"HTTP {status}", asked_pause(error.response)) from None
        except (zipfile.BadZipFile, tarfile.TarError, ValueError) as error:  # a damaged archive is fetched afresh
            shutil.rmtree(cache, ignore_errors=True)
            raise TransientError(f"{type(error).__name__}: {error}") from None
        except DataCorruptionError as error:
            raise TransientError(type(error).__name__) from None
        except requests.RequestException as error:
            require_handshake(error, endpoint, elsewhere)
            raise TransientError(type(error).__name__) from None
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise MedgridError(f"no space left on the disk of {cache}") from None
            raise TransientError(str(error)) from None

    return with_retries(fetch, f"Kaggle's {kaggle.handle}", elsewhere)


def _require_credentials(kaggle: Kaggle, elsewhere: str) -> None:
    """Raise MedgridError where a competition lacks credentials, or a file of them is damaged."""
    from kagglehub.config import get_kaggle_credentials

    try:
        known = get_kaggle_credentials()
    except ValueError as error:
        raise MedgridError(f"{error}: {CREDENTIALS}, or {elsewhere}") from None
    if kaggle.competition and not known:
        raise MedgridError(
            f"the competition {kaggle.handle} needs Kaggle credentials: {CREDENTIALS}; then accept the competition's "
            f"rules at {_rules(kaggle)}; or {elsewhere}"
        )


def _rules(kaggle: Kaggle) -> str:
    return f"https://www.kaggle.com/competitions/{kaggle.handle}/rules"


def _refusal(kaggle: Kaggle, status: int, elsewhere: str) -> str:
    if status == 404:
        return f"Kaggle has no {kaggle.handle} (HTTP 404): check its handle in params.yaml"
    if kaggle.competition and status == 403:
        return (
            f"Kaggle refuses the competition {kaggle.handle} (HTTP 403): its rules must be accepted first, "
            f"once, at {_rules(kaggle)}; or {elsewhere}"
        )
    if status not in (401, 403):
        return f"Kaggle refuses {kaggle.handle} (HTTP {status}); {elsewhere}"
    return (
        f"Kaggle refuses {kaggle.handle} (HTTP {status}): wrong or expired credentials, or terms that must be "
        f"accepted on its page first; {CREDENTIALS}, or {elsewhere}"
    )
