"""Names that depend on the inputs of a file, and the versions of the code that are part of them.

Paths are content-addressed: a name ends in the hash of everything that determines the content, so an existing file is
valid, independently of its time stamp. The hash leaves out settings that have their default value: a new setting with
a neutral default does not change existing names (raise a version when a default changes). The hash includes version
numbers of the code, which are raised by hand when results change. `tests/test_versions.py` fails when code has
changed but its version was not raised and the change was not confirmed (`make bless`).
"""

import hashlib
import json
from typing import Any

from pydantic import BaseModel

# tests/code_digests.py lists the files that each version covers
VERSIONS = {
    "data": 2,
    "near_duplicates": 2,
    "split": 3,
    "models": 3,
    "training": 3,
    "evaluation": 9,
    "explanations": 1,
    "report": 8,
    "audit": 3,
}


def fingerprint(*parts: Any) -> str:
    """First 12 hex digits of the sha256 of the canonical JSON of `parts`; floats in their shortest form."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def non_default(settings: BaseModel) -> dict[str, Any]:
    """Settings that differ from their defaults, as JSON types: what enters a name."""
    return settings.model_dump(mode="json", exclude_defaults=True)
