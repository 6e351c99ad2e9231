"""Download from Kaggle with its own client, plus what that client leaves to its callers: retries and advice."""

import errno
import os
import shutil
import tarfile
import zipfile
from pathlib import Path

from medgrid.config import Kaggle
from medgrid.errors import MedgridError
from medgrid.retry import TryAgain, asked_pause, patiently

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
    from kagglehub.exceptions import DataCorruptionError, KaggleApiHTTPError, UnauthenticatedError

    get = kagglehub.competition_download if kaggle.competition else kagglehub.dataset_download
    elsewhere = ELSEWHERE.format(slug=kaggle.slug)

    def fetch() -> Path:
        try:
            return Path(get(kaggle.handle))
        except UnauthenticatedError:
            raise MedgridError(
                f"Kaggle gives the competition {kaggle.handle} to known users only: {CREDENTIALS}, or {elsewhere}"
            ) from None
        except KaggleApiHTTPError as error:
            status = error.response.status_code
            if status in (401, 403, 404):
                raise MedgridError(_refusal(kaggle, status, elsewhere)) from None
            raise TryAgain(f"HTTP {status}", asked_pause(error.response)) from None
        except (zipfile.BadZipFile, tarfile.TarError, ValueError) as error:  # a damaged archive is fetched afresh
            shutil.rmtree(cache, ignore_errors=True)
            raise TryAgain(f"{type(error).__name__}: {error}") from None
        except (requests.RequestException, DataCorruptionError) as error:
            raise TryAgain(type(error).__name__) from None
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise MedgridError(f"no space left on the disk of {cache}") from None
            raise TryAgain(str(error)) from None

    return patiently(fetch, f"Kaggle's {kaggle.handle}", elsewhere)


def _refusal(kaggle: Kaggle, status: int, elsewhere: str) -> str:
    if status == 404:
        return f"Kaggle has no {kaggle.handle} (HTTP 404): check its handle in params.yaml"
    if kaggle.competition and status == 403:
        return (
            f"Kaggle refuses the competition {kaggle.handle} (HTTP 403): its rules must be accepted first, "
            f"once, at https://www.kaggle.com/competitions/{kaggle.handle}/rules; or {elsewhere}"
        )
    return (
        f"Kaggle refuses {kaggle.handle} (HTTP {status}): wrong or expired credentials, or terms that must be "
        f"accepted on its page first; {CREDENTIALS}, or {elsewhere}"
    )
