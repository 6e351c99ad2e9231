"""Sentences about the comparisons of claims, from their structure in claims.json.

`medgrid.evaluation.verdicts` documents the structure. A relation without an entry here is described by its name.
"""

from typing import Any

from medgrid.config.metrics import METRICS
from medgrid.evaluation.labels import describe_selection, setting_name

# By relation, how a sentence begins and how it goes on. Comparisons of one claim often begin in the same way.
RELATIONS = {
    "above": ("{left} better than ", "{right}{where}"),
    "like": ("{left} equivalent to ", "{right}{where}"),
    "not_above": ("{left} not better than ", "{right}{where}"),
    "improves": ("", "better from lowest to highest {axis}{where}"),
    "worsens": ("", "worse from lowest to highest {axis}{where}"),
    "gains_more": ("larger improvement along {axis} for {left} than for ", "{right}{where}"),
    "at_chance": ("balanced accuracy minus chance of ", "{left}{where}"),
    "noisier": ("roughness of {curve}: {left} above ", "{right}{where}"),
    "gap_above": ("training minus validation accuracy of ", "{left}{where} above {value}"),
    "gap_below": ("training minus validation accuracy of ", "{left}{where} below {value}"),
    "gap_about": ("training minus validation accuracy of ", "{left}{where} about {value}"),
    "loss_rises": ("last over lowest validation loss: ", "{left}{where} above {value}"),
    "loss_stays": ("last over lowest validation loss: ", "{left}{where} below {value}"),
    "overfits_sooner": ("lowest validation loss in an earlier epoch: {left} before ", "{right}{where}"),
    "learns_slower": ("mean {curve} of the first {epochs} epochs: {left} worse than ", "{right}{where}"),
    "flat": ("{curve} flat after epoch {epoch}: ", "{left}{where}"),
    "faster": ("{left} faster per epoch than ", "{right}{where}"),
    "slower": ("{left} slower per epoch than ", "{right}{where}"),
    "faster_by": ("{left} faster per epoch, by a factor of {factor}, than ", "{right}{where}"),
    "slower_by": ("{left} slower per epoch, by a factor of {factor}, than ", "{right}{where}"),
    "correlated": ("", "more {size}, better {metric}{where} (rank correlation)"),
}
MISSING = {
    "not_run": "not run here",
    "time_shared": "not measured: trained in a stack with other cells",
    "no_common_seed": "with each seed, at least one of these cells diverged",
    "one_size": "these networks are of one size",
}
SHOWN_STRATA = 4  # of those opposed to the average
UNITS = {"share": " points", "nats": " nats", "times": " times", "none": ""}


def _selection(selection: dict[str, list] | None) -> str:
    return "others" if selection is None else describe_selection(selection)


def _condition(comparison: dict[str, Any]) -> str:
    """The restriction of both sides, in brackets, without settings that the left side repeats."""
    left = comparison["left"] or {}
    where = {name: values for name, values in comparison["where"].items() if name not in left}
    return f" ({describe_selection(where)})" if where else ""


def points(share: float) -> str:
    """A share in percentage points, as short as possible."""
    return f"{100 * share:g} point{'s' * (share != 0.01)}"


def _amount(value: float, unit: str) -> str:
    return points(value) if unit == "share" else f"{value:g}{UNITS[unit]}"


def _by_name(relation: str, of_value: bool) -> tuple[str, str]:
    """The entry of a relation that has none in RELATIONS."""
    return f"{{left}} {relation.replace('_', ' ')} ", ("{value}" if of_value else "{right}") + "{where}"


def sentence(comparison: dict[str, Any]) -> tuple[str, str]:
    """What a comparison states: its beginning, which others of the same claim may share, and the rest."""
    relation, details = comparison["relation"], comparison["details"]
    words = {name: _selection(comparison[name]) for name in ("left", "right")} | {"where": _condition(comparison)}
    if comparison["metric"]:
        words["metric"] = METRICS[comparison["metric"]].title
    if comparison["curve"]:
        words["curve"] = METRICS[comparison["curve"]].title
    if "axis" in details:
        words["axis"] = setting_name(details["axis"])
    if "value" in details:
        words["value"] = _amount(details["value"], comparison["unit"])
    if "size" in details:
        words["size"] = "parameters" if details["size"] == "parameters" else f"{details['size']} parameters"
    words |= {name: str(value) for name, value in details.items() if name not in words}
    start, rest = RELATIONS.get(relation) or _by_name(relation, of_value="value" in details)
    return start.format(**words), rest.format(**words)


def _number(value: float, unit: str) -> str:
    text = f"{value:.2f}" if unit == "times" else f"{value:+.3g}"
    return (f"{100 * value:+.2f}" if unit == "share" else text).replace("-", "−")  # noqa: RUF001


def numbers(comparison: dict[str, Any]) -> str:
    """Estimate and interval, or why there are none."""
    if comparison["estimate"] is None:
        return MISSING[comparison["missing"]]
    unit = comparison["unit"]
    estimate = f"{_number(comparison['estimate'], unit)}{UNITS[unit]}"
    if comparison["low"] is None:
        return estimate + _without_interval(comparison)
    return f"{estimate} ({_number(comparison['low'], unit)} to {_number(comparison['high'], unit)})"


def _without_interval(comparison: dict[str, Any]) -> str:
    if comparison["over"] == "networks":
        return f" (p = {comparison['p_support']:.3g}, permutation of sizes)"
    return ", from one replicate" if comparison["replicates"] == 1 else ", without scatter over the replicates"


def _remark(comparison: dict[str, Any]) -> str:
    """What the verdict `negligible` means here."""
    bound = comparison["negligible_below"]
    if comparison["verdict"] != "negligible" or bound is None:
        return ""
    return f": less than {_amount(bound, comparison['unit'])} either way"


def opposed(claim: dict[str, Any]) -> str:
    """Where a stratum shows the opposite of the average, with numbers; empty when none does."""
    found = [
        f"{_stratum(comparison, stratum)}: {numbers(comparison | stratum)}"
        for comparison in claim["comparisons"]
        for stratum in comparison["strata"]
        if stratum["opposed"]
    ]
    shown = "; ".join(found[:SHOWN_STRATA])
    return shown + f"; {len(found) - SHOWN_STRATA} more" * (len(found) > SHOWN_STRATA)


def _stratum(comparison: dict[str, Any], stratum: dict[str, Any]) -> str:
    """A stratum in words: one of the cells that are averaged, or a restriction of both sides."""
    one_sided = comparison["right"] is None
    return describe_selection((stratum["left"] if one_sided else {}) | stratum["where"])


def margins(claim: dict[str, Any]) -> str:
    """Over which margins of practical equivalence the verdict stands; empty where it has none, or any will do."""
    if claim["margins"] is None:
        return ""
    low, high = claim["margins"]
    unit = claim["comparisons"][0]["unit"]
    if high is None:
        return f"any margin above {_margin(low, unit)}" if low else "any margin"
    limit = _margin(high, unit)
    return f"margins from {_margin(low, unit)} to {limit}" if low else f"margins up to {limit}"


def _margin(value: float, unit: str) -> str:
    return f"{100 * value:.2f} points" if unit == "share" else f"{value:.3g}{UNITS[unit]}"


def reason(claim: dict[str, Any]) -> str:
    """The comparison that decides the verdict on a claim, and the number of others that agree."""
    first = claim["comparisons"][claim["decisive"][0]]
    others = len(claim["decisive"]) - 1
    return f"{''.join(sentence(first))}: {numbers(first)}{_remark(first)}" + f"; {others} more" * (others > 0)
