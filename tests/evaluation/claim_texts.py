"""Claims in words: a reference for the text that pages make of claims.json."""

from medgrid.evaluation.labels import describe_selection, setting_name

UNITS = {"share": " points", "nats": " nats", "times": " times", "none": ""}
MISSING = {
    "not_run": "not run here",
    "time_shared": "not measured: trained in a stack with other cells",
    "no_common_seed": "no seed with which all of these cells can be measured",
}
# relation -> text; {where} follows
TEXTS = {
    "above": "{left} above {right}{where}",
    "like": "{left} like {right}{where}",
    "not_above": "{left} not above {right}{where}",
    "improves": "better from lowest to highest {axis}{where}",
    "worsens": "worse from lowest to highest {axis}{where}",
    "gains_more": "more gained along {axis} at {left} than at {right}{where}",
    "at_chance": "balanced accuracy of {left}{where} less chance",
    "noisier": "{curve} of {left} rougher than of {right}{where}",
    "gap_above": "training less validation accuracy of {left}{where} above {value}",
    "gap_below": "training less validation accuracy of {left}{where} below {value}",
    "gap_about": "training less validation accuracy of {left}{where} about {value}",
    "loss_rises": "validation loss of {left}{where} over its minimum above {value}",
    "loss_stays": "validation loss of {left}{where} over its minimum below {value}",
    "overfits_sooner": "lowest validation loss of {left} before that of {right}{where}",
    "learns_slower": "{curve} of the first {epochs} epochs lower for {left} than for {right}{where}",
    "flat": "{curve} of {left} flat after epoch {epoch}{where}",
    "faster": "{left} faster per epoch than {right}{where}",
    "slower": "{left} slower per epoch than {right}{where}",
    "faster_by": "{left} faster per epoch than {right}{where}, by a factor of {factor}",
    "slower_by": "{left} slower per epoch than {right}{where}, by a factor of {factor}",
    "correlated": "more {size}, better {metric}{where}: rank correlation",
}


def describe(comparison: dict) -> str:
    """What a comparison says."""
    left, right = (
        "others" if comparison[side] is None else describe_selection(comparison[side]) for side in ("left", "right")
    )
    where, details = comparison["where"], comparison["details"]
    size, value = details.get("size", ""), 100 * details.get("value", 0)
    return TEXTS[comparison["relation"]].format(
        left=left,
        right=right,
        where=f" ({describe_selection(where)})" if where else "",
        metric=(comparison["metric"] or "").replace("_", " "),
        curve=(comparison["curve"] or "").replace("_", " "),
        axis=setting_name(details.get("axis", "")),
        epoch=details.get("epoch"),
        epochs=details.get("epochs"),
        factor=details.get("factor"),
        size="parameters" if size == "parameters" else f"{size} parameters",
        value=f"{value:g} point{'s' * (value != 1)}",
    )


def number(value: float, unit: str) -> str:
    if unit == "share":
        return f"{100 * value:+.2f}"
    return f"{value:.2f}" if unit == "times" else f"{value:+.3g}"


def numbers(comparison: dict) -> str:
    """Estimate and interval in words."""
    if comparison["missing"]:
        return MISSING[comparison["missing"]]
    unit = comparison["unit"]
    estimate = f"{number(comparison['estimate'], unit)}{UNITS[unit]}"
    if comparison["low"] is None:
        return f"{estimate}, from one replicate"
    return f"{estimate} ({number(comparison['low'], unit)} to {number(comparison['high'], unit)})"


def remark(comparison: dict) -> str:
    """Which difference is too small to matter, where the verdict says so."""
    if comparison["verdict"] != "negligible" or comparison["negligible_below"] is None:
        return ""
    points = 100 * comparison["negligible_below"]
    return f": less than {points:g} point{'s' * (points != 1)} either way"


def reason(claim: dict) -> str:
    """What the verdict on a claim rests on: the comparison of the weakest support, and how many others."""
    first = claim["comparisons"][claim["decisive"][0]]
    more = f"; {len(claim['decisive']) - 1} more" if len(claim["decisive"]) > 1 else ""
    return f"{describe(first)}: {numbers(first)}{remark(first)}{more}"
