"""Claims as interval plots: each comparison's estimate and interval, and the values that support the claim."""

import textwrap
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns

from medgrid.report.claim_text import sentence
from medgrid.report.figures.registry import Drawn, Figure
from medgrid.report.labelled_results import LabelledResults

WIDTH = 62  # characters of a label
SHOWN = 6  # comparisons of one claim; of more, those nearest to failing it
COLOURS = {"supported": "C2", "contradicted": "C3", "negligible": "C0", "open": "0.45", "not_run": "0.45"}
MARKERS = {"supported": "o", "contradicted": "X", "negligible": "d", "open": "s"}  # not by colour alone


def drawable(study: LabelledResults) -> list[dict[str, Any]]:
    """Claims with comparisons that were run and are measured in points, and these comparisons."""
    shown = []
    for claim in study.claims["claims"]:
        comparisons = [each for each in claim["comparisons"] if each["low"] is not None and each["unit"] == "share"]
        comparisons = sorted(comparisons, key=lambda comparison: -comparison["p_support"])[:SHOWN]
        shown += [claim | {"comparisons": comparisons}] if comparisons else []
    return shown


def labels(comparisons: list[dict[str, Any]]) -> list[str]:
    """What is compared; where that is long, without a beginning that all of a claim's comparisons share."""
    sentences = [sentence(comparison) for comparison in comparisons]
    starts = {start for start, _ in sentences}
    if len(sentences) > 1 and len(starts) == 1 and max(len(start + rest) for start, rest in sentences) > WIDTH:
        sentences = [("… " * bool(start), rest) for start, rest in sentences]
    return [textwrap.fill(start + rest, WIDTH, max_lines=2, placeholder=" …") for start, rest in sentences]


def _limits(comparisons: list[dict[str, Any]]) -> tuple[float, float]:
    """Ends of the axis, in points: all intervals and all finite bounds of the bands, with a margin."""
    ends = [comparison[name] for comparison in comparisons for name in ("low", "high")]
    bounds = [bound for comparison in comparisons for bound in comparison["holds"]]
    bounds += [side * (each["negligible_below"] or 0) for each in comparisons for side in (-1, 1)]
    ends += [bound for bound in bounds if bound is not None]
    margin = 6 * (max(ends) - min(ends)) or 0.1
    return 100 * min(ends) - margin, 100 * max(ends) + margin


def _band(axes: plt.Axes, y: int, bounds: list[float | None], colour: str) -> None:
    """A row's values between two bounds, of which None is the axis's end."""
    start, end = (
        limit if bound is None else np.clip(100 * bound, *axes.get_xlim())
        for bound, limit in zip(bounds, axes.get_xlim(), strict=True)
    )
    axes.barh(y, end - start, left=start, height=1, color=colour, alpha=0.12, linewidth=0)


def _draw_claim(axes: plt.Axes, claim: dict[str, Any]) -> None:
    comparisons = claim["comparisons"]
    axes.set_xlim(*_limits(comparisons))
    for y, comparison in enumerate(comparisons):
        _band(axes, y, comparison["holds"], "C2")
        if negligible := comparison["negligible_below"]:
            _band(axes, y, [-negligible, negligible], "C0")
        estimate, low, high = (100 * comparison[name] for name in ("estimate", "low", "high"))
        colour = COLOURS[comparison["verdict"]]
        axes.plot([low, high], [y, y], color=colour, linewidth=2)
        axes.plot(estimate, y, MARKERS[comparison["verdict"]], color=colour, ms=6)
    axes.axvline(0, color="0.6", linewidth=0.8)
    axes.set_yticks(range(len(comparisons)), labels(comparisons), fontsize=7)
    axes.set_ylim(len(comparisons) - 0.5, -0.5)
    axes.tick_params(axis="x", labelsize=7)
    axes.grid(axis="y", visible=False)
    word = claim["verdict"].replace("_", " ").upper() + ", ON AVERAGE ONLY" * claim["on_average_only"]
    title = textwrap.shorten(f"{word}: {claim['text']}", 110, placeholder=" …")
    axes.set_title(title, loc="left", x=0, fontsize=9, color=COLOURS[claim["verdict"]])


def claims(study: LabelledResults) -> Drawn:
    """An axis for each claim, in percentage points."""
    shown = drawable(study)
    heights = [len(claim["comparisons"]) + 1.5 for claim in shown]
    figure, rows = plt.subplots(
        len(shown), 1, figsize=(9, 0.6 + 0.38 * sum(heights)), height_ratios=heights, squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for axes, claim in zip(rows[:, 0], shown, strict=True):
        _draw_claim(axes, claim)
    rows[-1, 0].set_xlabel("percentage points, with 95 % interval; each claim has its own scale", fontsize=8)
    sns.despine(figure, left=True)
    return figure, study.note(study.best)


FIGURE = Figure(
    name="claims",
    caption="Claims of the document, and the results of our replicates. Dot: our estimate of a comparison; line: its "
    "95 % interval. Green: values with which the claim holds; blue: differences too small to matter. A comparison is "
    "negligible if its interval lies within the blue, otherwise supported if it lies within the green, and "
    "contradicted if it lies outside. For a claim with many comparisons, only those closest to failing are shown.",
    draw=claims,
    variants=lambda study: {"": ()} if drawable(study) else {},
    section="claims",
)
