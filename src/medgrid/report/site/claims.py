"""Verdicts on a study's claims, with the numbers behind each, as pages show them."""

import json
from pathlib import Path
from typing import Any

from medgrid.config.claims import NotJudged
from medgrid.evaluation.hypotheses import VERDICTS
from medgrid.evaluation.labels import ABSENT
from medgrid.report.claim_text import margins, opposed, reason, sentence
from medgrid.utils.errors import MedgridError

COPIED = ("text", "source", "verdict", "on_average_only", "verdict_in_study", "needed")
SCALES = {"share": (100, "percentage points")}


def quantity(value: float | None, unit: str) -> str:
    """A number with its unit; a difference of shares in percentage points."""
    if value is None:
        return ABSENT
    scale, name = SCALES.get(unit, (1, "" if unit == "none" else unit))
    digits = f"{scale * value:.2f}" if unit in SCALES else f"{value:.4g}"
    return f"{digits.replace('-', '−')} {name}".strip()  # noqa: RUF001


def _interval(comparison: dict[str, Any]) -> str:
    if comparison["low"] is None or comparison["high"] is None:
        return ""
    scale, _ = SCALES.get(comparison["unit"], (1, ""))
    form = "{:.2f}" if comparison["unit"] in SCALES else "{:.4g}"
    ends = (form.format(scale * comparison[end]) for end in ("low", "high"))
    return " to ".join(ends).replace("-", "−")  # noqa: RUF001


def _p_value(p: float | None) -> str:
    return ABSENT if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def _comparison(comparison: dict[str, Any]) -> dict[str, Any]:
    return {
        "text": "".join(sentence(comparison)),
        "estimate": quantity(comparison["estimate"], comparison["unit"]),
        "interval": _interval(comparison),
        "p_support": _p_value(comparison["p_support"]),
        "p_against": _p_value(comparison["p_against_corrected"]),
        "verdict": comparison["verdict"],
        "replicates": comparison["replicates"],
    }


def _claim(claim: dict[str, Any]) -> dict[str, Any]:
    comparisons = [_comparison(comparison) for comparison in claim["comparisons"]]
    return {name: claim[name] for name in COPIED} | {
        "reason": reason(claim),
        "margins": margins(claim),
        "opposed": opposed(claim),
        "replicated": all(comparison["replicates"] > 1 for comparison in comparisons),
        "comparisons": comparisons,
    }


def claims(folder: Path) -> dict[str, Any] | None:
    """Verdicts on the claims of the study in `folder`, how many claims have which verdict, and what is not judged.

    None without claims.

    Raises MedgridError when tables/claims.json exists and cannot be read.
    """
    file = folder / "tables" / "claims.json"
    if not file.exists():
        return None
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        entries = [_claim(claim) for claim in content["claims"]]
        margin = quantity(content["margin"], "share")
        not_judged = [{name: each[name] for name in NotJudged.model_fields} for each in content["not_judged"]]
    except (KeyError, TypeError, ValueError) as error:
        raise MedgridError(f"{file}: not a file of claims ({error!r}); evaluate the study again") from None
    counts = {verdict: sum(claim["verdict"] == verdict for claim in entries) for verdict in VERDICTS}
    if not entries:
        return None
    facts = {"margin": margin, "judgements": content["judgements"], "counts": counts}
    return facts | {"claims": entries, "not_judged": not_judged}
