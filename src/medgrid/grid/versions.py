"""Names that say what a file was made from.

A path that carries the hash of everything that determines its content is right by construction: it needs
no time stamp and no database to be trusted. Code enters as a version number per package, bumped by hand when
numbers change; `tests/test_versions.py` fails when a package's syntax tree changed without a bump or a blessing.
"""

import hashlib
import json
from typing import Any

# packages whose code shapes numbers
VERSIONS = {"data": 2, "audit": 1, "models": 2, "training": 2, "evaluation": 6, "report": 5}


def fingerprint(*parts: Any) -> str:
    """First 12 hex digits of the sha256 over the canonical JSON of `parts`; floats by their shortest repr."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def manifest_name(study: dict) -> str:
    """Name of the manifest of a study's settings: it changes with everything that tables and pages show."""
    return fingerprint(study, VERSIONS["evaluation"], VERSIONS["report"])
