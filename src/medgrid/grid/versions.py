"""Names that say what a file was made from, and the versions of the code that enters them.

Paths are content-addressed: a name ends in the hash of everything that determines the content, so an existing file is
valid, whatever its time stamp. Settings enter without those that have their default value: a new setting with a
neutral default leaves existing names unchanged (raise a version when a default changes). Code enters as version
numbers, raised by hand when numbers change; `tests/test_versions.py` fails when code changed and neither its version
was raised nor the change confirmed (`make bless`).
"""

import hashlib
import json
from typing import Any

from pydantic import BaseModel

# tests/code_digests.py lists the files that each version covers
VERSIONS = {
    "data": 2,
    "near_duplicates": 1,
    "split": 1,
    "models": 3,
    "training": 3,
    "evaluation": 7,
    "explanations": 1,
    "report": 6,
    "audit": 2,
}


def fingerprint(*parts: Any) -> str:
    """First 12 hex digits of the sha256 of the canonical JSON of `parts`; floats in their shortest form."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def non_default(settings: BaseModel) -> dict[str, Any]:
    """Settings that differ from their defaults, as JSON types: what enters a name."""
    return settings.model_dump(mode="json", exclude_defaults=True)
