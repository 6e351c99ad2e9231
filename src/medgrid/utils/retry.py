"""Patience with the network: the same number of attempts, pauses and words wherever something is fetched."""

import sys
from collections.abc import Callable
from typing import TypeVar

import tenacity

from medgrid.utils.errors import MedgridError

T = TypeVar("T")
ATTEMPTS = 6
FIRST_PAUSE = 2.0  # seconds; doubles with each attempt
LONGEST_PAUSE = 120.0


class TransientError(Exception):
    """Something that may be over soon; `pause` is how many seconds the server asked for."""

    def __init__(self, reason: str, pause: float = 0.0):
        super().__init__(reason)
        self.pause = pause


def with_retries(fetch: Callable[[], T], what: str, advice: str) -> T:
    """Call `fetch` until it raises no TryAgain; after the last attempt, MedgridError with `advice`."""

    def pause(state: tenacity.RetryCallState) -> float:
        ours = FIRST_PAUSE * 2 ** (state.attempt_number - 1)
        return min(max(ours, state.outcome.exception().pause), LONGEST_PAUSE)

    def say(state: tenacity.RetryCallState) -> None:
        reason, seconds = state.outcome.exception(), state.next_action.sleep
        attempt = f"attempt {state.attempt_number + 1} in {seconds:.0f} s"
        print(f"medgrid: {what}: {reason}; {attempt}", file=sys.stderr, flush=True)

    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(ATTEMPTS),
        wait=pause,
        before_sleep=say,
        retry=tenacity.retry_if_exception_type(TransientError),
        reraise=True,
    )
    try:
        return retrying(fetch)
    except TransientError as reason:
        raise MedgridError(
            f"{what} could not be fetched ({reason}, {ATTEMPTS} attempts). What has arrived is kept: run again to go "
            f"on, or {advice}"
        ) from None


def asked_pause(response) -> float:
    """Seconds that a response's Retry-After asks for, else 0."""
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isdigit() else 0.0
