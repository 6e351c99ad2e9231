"""What all settings share: strictness, and kinds of values with messages of their own."""

import difflib
import re
from collections.abc import Hashable, Iterable
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from medgrid.architectures.torchvision_names import TORCHVISION

T = TypeVar("T", bound=Hashable)


def unique(values: list[T]) -> list[T]:
    twice = sorted({str(value) for value in values if values.count(value) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)} stands here twice")
    return values


def _amount(value: int | float) -> int | float:
    if not (value >= 1 if isinstance(value, int) else 0 < value < 1):
        raise ValueError("expected a count of images (a whole number from 1) or a share of them (between 0 and 1)")
    return value


def torchvision_name(name: str, others: Iterable[str] = ()) -> str:
    if name not in TORCHVISION and name not in others:
        near = difflib.get_close_matches(name, [*TORCHVISION, *others], n=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise ValueError(f"torchvision has no classifier named '{name}'{hint}")
    return name


def regex_with(*groups: str):
    def check(pattern: str) -> str:
        try:
            compiled = re.compile(pattern)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
        missing = [group for group in groups if group not in compiled.groupindex]
        if missing:
            raise ValueError(f"lacks the named group (?P<{missing[0]}>…)")
        return pattern

    return AfterValidator(check)


Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Key = Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")]
Amount = Annotated[int | float, AfterValidator(_amount)]


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False)
