"""Download from Kaggle with its own client, plus what that client leaves to its callers: retries and advice."""

import os
import shutil
import sys
import time
from pathlib import Path

from medgrid.config import Kaggle
from medgrid.errors import MedgridError

ATTEMPTS = 6
FIRST_PAUSE = 2.0  # seconds; doubles with each attempt
CREDENTIALS = (
    "create a token on kaggle.com (Settings, API) and save it as ~/.kaggle/kaggle.json, "
    "or set KAGGLE_USERNAME and KAGGLE_KEY"
)
ELSEWHERE = "or point --config mirror=DIR at a folder that holds {slug}.zip"


def download(kaggle: Kaggle, cache: Path) -> Path:
    """Fetch a pinned data set or a competition's files into `cache`; returns the unpacked folder.

    A broken transfer resumes where it stopped, here and in a later run: the partial file stays in `cache`.
    Raises MedgridError that says what to do when Kaggle refuses or stays out of reach.
    """
    os.environ["KAGGLEHUB_CACHE"] = str(cache.resolve())
    import kagglehub
    import requests
    from kagglehub.exceptions import DataCorruptionError, KaggleApiHTTPError, UnauthenticatedError

    fetch = kagglehub.competition_download if kaggle.competition else kagglehub.dataset_download
    elsewhere = ELSEWHERE.format(slug=kaggle.slug)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return Path(fetch(kaggle.handle))
        except UnauthenticatedError:
            raise MedgridError(
                f"Kaggle gives the competition {kaggle.handle} to known users only: {CREDENTIALS}, {elsewhere}"
            ) from None
        except KaggleApiHTTPError as error:
            status = error.response.status_code
            if status in (401, 403, 404):
                raise MedgridError(_refusal(kaggle, status, elsewhere)) from None
            reason = f"HTTP {status}"
            wait = _retry_after(error.response)
        except (requests.RequestException, DataCorruptionError, OSError) as error:
            if isinstance(error, OSError) and error.errno == 28:
                raise MedgridError(f"no space left on the disk of {cache}") from None
            reason, wait = type(error).__name__, 0.0
        except Exception as error:  # zip errors and the like: a damaged archive is fetched afresh
            shutil.rmtree(cache, ignore_errors=True)
            reason, wait = f"{type(error).__name__}: {error}", 0.0
        if attempt < ATTEMPTS:
            pause = max(FIRST_PAUSE * 2 ** (attempt - 1), wait)
            print(
                f"medgrid: Kaggle: {reason}; attempt {attempt + 1} in {pause:.0f} s",
                file=sys.stderr,
                flush=True,
            )
            time.sleep(pause)
    raise MedgridError(
        f"Kaggle could not be reached for {kaggle.handle} ({reason}, {ATTEMPTS} attempts). "
        f"What has arrived is kept: run again to go on, {elsewhere}"
    )


def _retry_after(response) -> float:
    value = response.headers.get("Retry-After", "")
    return min(float(value), 120.0) if value.isdigit() else 0.0


def _refusal(kaggle: Kaggle, status: int, elsewhere: str) -> str:
    if status == 404:
        return f"Kaggle has no {kaggle.handle} (HTTP 404): check its handle in params.yaml"
    if kaggle.competition and status == 403:
        return (
            f"Kaggle refuses the competition {kaggle.handle} (HTTP 403): its rules must be accepted first, "
            f"once, at https://www.kaggle.com/competitions/{kaggle.handle}/rules; {elsewhere}"
        )
    return (
        f"Kaggle refuses {kaggle.handle} (HTTP {status}): wrong or expired credentials, or terms that must be "
        f"accepted on its page first; {CREDENTIALS}, {elsewhere}"
    )
