"""Claims as interval plots: each comparison's estimate and interval, and the values that support the claim."""

import textwrap
from typing import Any

import matplotlib.pyplot as plt
import seaborn as sns

from medgrid.report.claim_text import sentence
from medgrid.report.figures.registry import Drawn, Figure
from medgrid.report.labelled_results import LabelledResults

WIDTH = 62  # characters of a label
SHOWN = 6  # comparisons of one claim; of more, those nearest to failing it
COLOURS = {"supported": "C2", "contradicted": "C3", "open": "0.45"}
MARKERS = {"supported": "o", "contradicted": "X", "open": "s"}  # not by colour alone


def drawable(study: LabelledResults) -> list[dict[str, Any]]:
    """Claims with comparisons that were run and are measured in points, and these comparisons."""
    shown = []
    for claim in study.claims["claims"]:
        comparisons = [each for each in claim["comparisons"] if each["low"] is not None and each["unit"] == "share"]
        comparisons = sorted(comparisons, key=lambda comparison: -comparison["p"])[:SHOWN]
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
    bounds = [bound for comparison in comparisons for bound in (*comparison["holds"], *comparison["matters"])]
    ends += [bound for bound in bounds if bound is not None]
    margin = 6 * (max(ends) - min(ends)) or 0.1
    return 100 * min(ends) - margin, 100 * max(ends) + margin


def _bands(comparison: dict[str, Any], left: float, right: float) -> list[tuple[float, float]]:
    """Values that support a claim, and values that do by more than the margin, between the axis's ends."""
    bands = []
    for bounds in (comparison["holds"], comparison["matters"]):
        low, high = (end if bound is None else 100 * bound for bound, end in zip(bounds, (left, right), strict=True))
        bands.append((max(low, left), min(high, right)))
    return bands


def _draw_claim(axes: plt.Axes, claim: dict[str, Any]) -> None:
    comparisons = claim["comparisons"]
    left, right = _limits(comparisons)
    for y, comparison in enumerate(comparisons):
        for start, end in _bands(comparison, left, right):
            axes.barh(y, end - start, left=start, height=1, color="C2", alpha=0.1, linewidth=0)
        estimate, low, high = (100 * comparison[name] for name in ("estimate", "low", "high"))
        colour = COLOURS[comparison["verdict"]]
        axes.plot([low, high], [y, y], color=colour, linewidth=2)
        axes.plot(estimate, y, MARKERS[comparison["verdict"]], color=colour, ms=6)
    axes.axvline(0, color="0.6", linewidth=0.8)
    axes.set_yticks(range(len(comparisons)), labels(comparisons), fontsize=7)
    axes.set(ylim=(len(comparisons) - 0.5, -0.5), xlim=(left, right))
    axes.tick_params(axis="x", labelsize=7)
    axes.grid(axis="y", visible=False)
    title = textwrap.shorten(f"{claim['verdict'].upper()}: {claim['text']}", 110, placeholder=" …")
    axes.set_title(title, loc="left", x=0, fontsize=9, color=COLOURS[claim["verdict"]])


def claims(study: LabelledResults) -> Drawn:
    """An axis for each claim, in percentage points."""
    shown = drawable(study)
    heights = [len(claim["comparisons"]) + 1.5 for claim in shown]
    figure, rows = plt.subplots(
        len(shown), 1, figsize=(9, 0.6 + 0.32 * sum(heights)), height_ratios=heights, squeeze=False,
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
    "95 % interval. Green: values that support the claim; darker green: values that support it by more than the "
    "margin that matters. A comparison is contradicted if its interval lies outside the darker green, and "
    "otherwise supported if it lies within the green. For a claim with many comparisons, only those closest to "
    "failing are shown.",
    draw=claims,
    variants=lambda study: {"": ()} if drawable(study) else {},
    section="claims",
)
