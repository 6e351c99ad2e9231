"""The base class of all settings, and types of values that several of them use."""

import difflib
import re
from collections.abc import Hashable, Iterable
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from medgrid.architectures.torchvision_names import TORCHVISION

T = TypeVar("T", bound=Hashable)


def unique(values: list[T]) -> list[T]:
    """The values, or ValueError that names those that are repeated."""
    repeated = sorted({str(value) for value in values if values.count(value) > 1})
    if repeated:
        raise ValueError(f"{', '.join(repeated)} is listed twice")
    return values


def _amount(value: int | float) -> int | float:
    if not (value >= 1 if isinstance(value, int) else 0 < value < 1):
        raise ValueError("expected a number of images (1 or more) or a share of them (between 0 and 1)")
    return value


def torchvision_name(name: str, others: Iterable[str] = ()) -> str:
    """`name`, if torchvision has a classifier of this name or it is one of `others`; else ValueError."""
    if name not in TORCHVISION and name not in others:
        similar = difflib.get_close_matches(name, [*TORCHVISION, *others], n=3)
        hint = f"; did you mean {' or '.join(similar)}?" if similar else ""
        raise ValueError(f"torchvision has no classifier named '{name}'{hint}")
    return name


def regex_with(*groups: str) -> AfterValidator:
    """A type for regular expressions that have these named groups."""

    def check(pattern: str) -> str:
        try:
            compiled = re.compile(pattern)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
        missing = [group for group in groups if group not in compiled.groupindex]
        if missing:
            raise ValueError(f"needs the named group (?P<{missing[0]}>…)")
        return pattern

    return AfterValidator(check)


Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Key = Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")]
Amount = Annotated[int | float, AfterValidator(_amount)]


class Settings(BaseModel):
    """Settings that cannot be changed; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False)
