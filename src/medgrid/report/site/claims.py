"""Verdicts on a study's claims, with the numbers behind each, as pages show them."""

import json
from pathlib import Path

from medgrid.evaluation.labels import ABSENT
from medgrid.utils.errors import MedgridError

# never by colour alone
SYMBOLS = {"supported": "✓", "contradicted": "✗", "open": "○"}
SCALED = {"share": (100, "percentage points")}


def quantity(value: float | None, unit: str) -> str:
    """A number with its unit; a difference of shares in percentage points."""
    if value is None:
        return ABSENT
    scale, name = SCALED.get(unit, (1, unit))
    digits = f"{scale * value:.2f}" if unit in SCALED else f"{value:.4g}"
    return f"{digits.replace('-', '−')} {name}".strip()  # noqa: RUF001


def _interval(part: dict) -> str:
    if part.get("low") is None or part.get("high") is None:
        return ""
    scale, _ = SCALED.get(part["unit"], (1, ""))
    form = "{:.2f}" if part["unit"] in SCALED else "{:.4g}"
    return " to ".join(form.format(scale * part[end]) for end in ("low", "high")).replace("-", "−")  # noqa: RUF001


def _probability(p: float | None) -> str:
    return ABSENT if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def _shown(part: dict) -> dict:
    return part | {
        "estimate": quantity(part["estimate"], part["unit"]),
        "interval": _interval(part),
        "p": _probability(part.get("p")),
    }


def claims(folder: Path) -> dict | None:
    """What `folder`/claims.json says, in words, and how many claims have which verdict; none if it says nothing.

    Raises MedgridError where the file is there and cannot be read.
    """
    file = folder / "claims.json"
    if not file.exists():
        return None
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if not content["claims"]:
            return None
        found = [claim | {"parts": [_shown(part) for part in claim["parts"]]} for claim in content["claims"]]
        margin = quantity(content["margin"], "share")
    except (KeyError, TypeError, ValueError) as error:
        raise MedgridError(f"{file}: not a file of claims ({error!r}); evaluate the study again") from None
    counts = {verdict: sum(claim["verdict"] == verdict for claim in found) for verdict in SYMBOLS}
    return {"margin": margin, "counts": counts, "claims": found}
