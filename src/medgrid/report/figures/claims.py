"""Claims as a forest plot: each comparison's estimate and interval, and where it would have to lie."""

import json
import os.path
import re
import textwrap

import matplotlib.pyplot as plt
import seaborn as sns

from medgrid.report.study import Study

WIDTH = 62  # characters of a label
SHOWN = 6  # comparisons of one claim; of more, those nearest to failing it
COLOURS = {"supported": "C2", "contradicted": "C3", "open": "0.45"}
MARKS = {"supported": "o", "contradicted": "X", "open": "s"}  # not by colour alone


def stated(study: Study) -> list[dict]:
    """Claims with comparisons that were run and are measured in points, and these comparisons."""
    file = study.folder / "claims.json"
    claims = json.loads(file.read_text(encoding="utf-8"))["claims"] if file.exists() else []
    found = []
    for claim in claims:
        parts = [part for part in claim["parts"] if part["low"] is not None and part["unit"] == "share"]
        parts = sorted(parts, key=lambda part: -part["p"])[:SHOWN]
        found += [claim | {"parts": parts}] if parts else []
    return found


def labels(parts: list[dict]) -> list[str]:
    """What is compared, without what all of a claim's comparisons begin with."""
    texts = [part["what"] for part in parts]
    shared = os.path.commonprefix(texts)  # noqa: RUF071 - characters are what is meant
    # behind a word that joins: not between a setting's name and its value
    joint = re.match(r".*\b(above|like|than|of) ", shared)
    cut = joint.end() if joint and len(parts) > 1 and max(map(len, texts)) > WIDTH else 0
    return [textwrap.fill("… " * bool(cut) + text[cut:], WIDTH, max_lines=2, placeholder=" …") for text in texts]


def _bands(part: dict, left: float, right: float) -> list[tuple[float, float]]:
    """Where a comparison supports its claim, and where it does by more than the margin, between the axis's ends."""
    bands = []
    for bounds in (part["holds"], part["matters"]):
        low, high = (end if bound is None else 100 * bound for bound, end in zip(bounds, (left, right), strict=True))
        bands.append((max(low, left), min(high, right)))
    return bands


def claims(study: Study):
    """An axis for each claim, in points."""
    shown = stated(study)
    heights = [len(claim["parts"]) + 1.5 for claim in shown]
    figure, rows = plt.subplots(
        len(shown), 1, figsize=(9, 0.6 + 0.32 * sum(heights)), height_ratios=heights, squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for axes, claim in zip(rows[:, 0], shown, strict=True):
        parts = claim["parts"]
        ends = [part[name] for part in parts for name in ("low", "high")]
        ends += [bound for part in parts for bound in (*part["holds"], *part["matters"]) if bound is not None]
        room = 6 * (max(ends) - min(ends)) or 0.1
        left, right = 100 * min(ends) - room, 100 * max(ends) + room
        for place, part in enumerate(parts):
            for start, end in _bands(part, left, right):
                axes.barh(place, end - start, left=start, height=1, color="C2", alpha=0.1, linewidth=0)
            colour = COLOURS[part["verdict"]]
            axes.plot([100 * part["low"], 100 * part["high"]], [place, place], color=colour, linewidth=2)
            axes.plot(100 * part["estimate"], place, MARKS[part["verdict"]], color=colour, ms=6)
        axes.axvline(0, color="0.6", linewidth=0.8)
        axes.set_yticks(range(len(parts)), labels(parts), fontsize=7)
        axes.set(ylim=(len(parts) - 0.5, -0.5), xlim=(left, right))
        axes.tick_params(axis="x", labelsize=7)
        axes.grid(axis="y", visible=False)
        title = textwrap.shorten(f"{claim['verdict'].upper()}: {claim['text']}", 110, placeholder=" …")
        axes.set_title(title, loc="left", x=0, fontsize=9, color=COLOURS[claim["verdict"]])
    rows[-1, 0].set_xlabel("percentage points, with 95 % interval; each claim on a scale of its own", fontsize=8)
    sns.despine(figure, left=True)
    return figure, study.note(study.best)
