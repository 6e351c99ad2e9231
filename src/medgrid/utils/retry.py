"""Retries of downloads: the same number of attempts, pauses and messages for every server."""

import sys
from collections.abc import Callable
from typing import TypeVar

import requests
import tenacity

from medgrid.utils.errors import MedgridError

T = TypeVar("T")

ATTEMPTS = 6
FIRST_PAUSE = 2.0  # seconds; doubles with each attempt
LONGEST_PAUSE = 120.0


class TransientError(Exception):
    """A temporary error, after which a retry may succeed; `pause`: seconds that the server asks to wait, or 0."""

    def __init__(self, reason: str, pause: float = 0.0):
        super().__init__(reason)
        self.pause = pause


def _fault(state: tenacity.RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _pause(state: tenacity.RetryCallState) -> float:
    """Seconds until the next attempt: twice the previous pause, or longer if the server asks for it."""
    requested = getattr(_fault(state), "pause", 0.0)
    return min(max(FIRST_PAUSE * 2 ** (state.attempt_number - 1), requested), LONGEST_PAUSE)


def with_retries(fetch: Callable[[], T], what: str, advice: str) -> T:
    """The result of `fetch`, which is called again after a TransientError.

    After ATTEMPTS attempts, raises MedgridError that names `what` and gives `advice`.
    """

    def announce(state: tenacity.RetryCallState) -> None:
        attempt = f"attempt {state.attempt_number + 1} in {_pause(state):.0f} s"
        print(f"medgrid: {what}: {_fault(state)}; {attempt}", file=sys.stderr, flush=True)

    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(ATTEMPTS),
        wait=_pause,
        before_sleep=announce,
        retry=tenacity.retry_if_exception_type(TransientError),
        reraise=True,
    )
    try:
        return retrying(fetch)
    except TransientError as reason:
        raise MedgridError(
            f"{what} could not be fetched ({reason}, {ATTEMPTS} attempts). Partial downloads are kept: run again "
            f"to continue, or {advice}"
        ) from None


def requested_pause(response: requests.Response) -> float:
    """Seconds that the header Retry-After of a response asks for, or 0."""
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isdigit() else 0.0
