"""Printed numbers of a publication, put through its own claims.

A claim that the publication's own numbers contradict, or support by less than the margin of practical equivalence, is
not confirmed by a replication that gets exactly these numbers.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any, cast

import numpy as np
import pandas as pd

from medgrid.config import Params, Training
from medgrid.config.claims import Claim, Test
from medgrid.config.metrics import COMPARED, METRICS, SIZES
from medgrid.config.study import Published
from medgrid.evaluation.claim_kinds import KINDS
from medgrid.evaluation.claims import NETWORKS, Comparison, Judge
from medgrid.evaluation.results import StudyResults
from medgrid.evaluation.statistics import LEVEL, Estimate, estimate
from medgrid.grid.cells import expand_grid
from medgrid.grid.manifest import StudyManifest
from medgrid.grid.study_manifest import study_manifest
from medgrid.report.claim_text import points, sentence
from medgrid.utils.errors import MedgridError

# Publications print the accuracy that they have: of a test set, of what they call validation, or of training.
ACCURACIES = ("test_accuracy", "validation_accuracy", "train_accuracy")
COMPARABLE = (*COMPARED, *ACCURACIES)
CONTRADICTS, BELOW_MARGIN, NOT_PRINTED, AGREES = "contradicts", "below the margin", "not printed", "agrees"
PARTLY, TOO_FEW = "agrees, as far as printed", "too few networks"
SHOWN = 3  # comparisons of one claim that agree; of more, only the one with the smallest difference
LEGEND = """\
# Claims of publications and their own printed numbers

A replication can at best get the numbers that a publication prints. With these,

- a claim that *agrees* is supported, given enough replicates and test images;
- a claim *below the margin* ends as negligible: the difference is there, but smaller than the margin of practical
  equivalence;
- a claim that the publication's own numbers *contradict* cannot be supported;
- a correlation over *too few networks* stays open: more replicates do not make their order less likely by chance.

Where only some other accuracy is printed, it stands for the one that is tested. One point is 0.01."""
DIGITS = 9  # decimals of printed numbers and their differences; what is smaller is a rounding error


def _number(entry: Published | None, metric: str | None, training: Training) -> float | None:
    """The number that an entry of `published` gives for a training; None when it gives none."""
    if entry is None or metric not in entry.metrics:
        return None
    column = len(entry.by) + entry.metrics.index(metric)
    for row in entry.rows:
        if all(getattr(training, name, None) == value for name, value in zip(entry.by, row, strict=False)):
            return cast("float | None", row[column])
    return None


class PrintedResults:
    """Numbers of one source as if they were results: of one replicate and one test image.

    Has what `medgrid.evaluation.claim_kinds` reads of `StudyResults`. Its cells are those with a number. Times and
    learning curves are NaN.
    """

    def __init__(self, manifest: StudyManifest, entry: Published | None = None):
        """`entry`: numbers of one source; None: no numbers, and therefore no cells."""
        self.manifest, self.axes = manifest, manifest.axes
        self._entry = entry
        metrics = [metric for metric in entry.metrics if metric in COMPARABLE] if entry else []
        self.cells = [
            cell
            for cell, training in manifest.trainings.items()
            if any(_number(entry, metric, training) is not None for metric in metrics)
        ]

    @cached_property
    def settings(self) -> pd.DataFrame:
        trainings = [self.manifest.trainings[cell].model_dump() for cell in self.cells]
        return pd.DataFrame(trainings, self.cells, list(Training.model_fields), dtype=object)

    @cache  # noqa: B019 - as long-lived as the study
    def by_seed(self, metric: str) -> pd.DataFrame:
        """The printed numbers that stand for a metric of claims, NaN without one."""
        candidates = (metric, *ACCURACIES) if metric in ("test_accuracy", "test_recall_macro") else (metric,)
        printed = next((each for each in candidates if self._entry and each in self._entry.metrics), None)
        values = [_number(self._entry, printed, self.manifest.trainings[cell]) for cell in self.cells]
        return pd.DataFrame({0: values}, self.cells, dtype=float)

    def estimate(self, weights: pd.Series, metric: str) -> Estimate:
        values = self.by_seed(metric).loc[list(weights.index)].to_numpy()
        return estimate(METRICS[metric].sign * (weights.to_numpy() @ values)[:, None], np.zeros(1, int))

    def estimate_of_trainings(self, values: np.ndarray, _: str | None = None) -> Estimate:
        return estimate(values)

    def of_curves(self, _: object) -> pd.DataFrame:
        return pd.DataFrame({0: np.nan}, self.cells)

    @property
    def seconds_per_epoch(self) -> pd.DataFrame:
        return self.of_curves(None)

    @cached_property
    def network_sizes(self) -> pd.DataFrame:
        """Printed sizes of networks by cell, without cells whose network has none."""
        table = pd.DataFrame(index=self.cells, columns=list(SIZES), dtype=float)
        for entry in self.manifest.published:
            for size in set(SIZES).intersection(entry.metrics):
                values = [_number(entry, size, self.manifest.trainings[cell]) for cell in self.cells]
                table[size] = table[size].fillna(pd.Series(values, self.cells, float))
        return table.dropna(how="all")


@dataclass(frozen=True)
class Check:
    """A comparison of a claim, the printed difference with the number of its source, and how it relates to the claim.

    `excess`: by how much the difference satisfies the claim; negative when it does not.
    """

    text: str
    result: str = NOT_PRINTED
    difference: str = ""
    source: int = 0
    excess: float = 0.0


def _text(comparison: Comparison) -> str:
    return "".join(sentence(vars(comparison)))


def _check(comparison: Comparison, value: float, source: int) -> Check:
    value, hypothesis = round(value, DIGITS), comparison.hypothesis
    excess = round(min(value - hypothesis.low, hypothesis.high - value), DIGITS)
    result = CONTRADICTS if excess < 0 else AGREES
    if excess >= 0 and abs(value) < hypothesis.negligible_below:
        result = BELOW_MARGIN
    if result == AGREES and comparison.over == NETWORKS and comparison.p.support > LEVEL:
        result = TOO_FEW
    difference = f"{100 * value:+.2f} points" if comparison.unit == "share" else f"{value:+.3g}"
    return Check(_text(comparison), result, difference, source, excess)


def _checks_of_test(test: Test, sources: list[PrintedResults]) -> Iterator[Check]:
    """Comparisons of a test with each source's numbers, then those for which no source has numbers.

    The first of `sources` has no numbers.
    """

    def comparisons(source: PrintedResults) -> Iterator[Comparison]:
        return KINDS[test.kind](Judge(cast(StudyResults, source)), test)

    compared = set()
    for i, source in enumerate(sources[1:], 1):
        for comparison in comparisons(source):
            if comparison.measured is not None and np.isfinite(comparison.measured.value):
                compared |= {str(comparison.right), "None"}
                yield _check(comparison, comparison.measured.value, i)
    yield from (Check(_text(each)) for each in comparisons(sources[0]) if str(each.right) not in compared)


def check_claim(claim: Claim, sources: list[PrintedResults]) -> list[Check]:
    """Each comparison of a claim with each source that prints numbers for it."""
    return [check for test in claim.tests for check in _checks_of_test(test, sources)]


def overall(checks: list[Check]) -> str:
    """Result of a claim: the least favourable one of its comparisons."""
    results = {check.result for check in checks}
    if results == {AGREES, NOT_PRINTED}:
        return PARTLY
    return next(each for each in (CONTRADICTS, BELOW_MARGIN, TOO_FEW, NOT_PRINTED, AGREES) if each in results)


def _shortened(checks: list[Check]) -> Iterator[Check]:
    """The checks; where many of one source agree, only the one with the smallest difference."""
    agreeing: dict[int, list[Check]] = {}
    for check in checks:
        if check.result == AGREES:
            agreeing.setdefault(check.source, []).append(check)
        else:
            yield check
    for same in agreeing.values():
        if len(same) <= SHOWN:
            yield from same
        else:
            weakest = min(same, key=lambda check: check.excess)
            yield replace(weakest, text=f"{weakest.text}, and {len(same) - 1} others")


def _table(rows: list[tuple[str, ...]]) -> str:
    """A Markdown table with aligned columns; the first row is the header."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def _summary(results: dict[str, str]) -> str:
    """Claims by result."""
    lines = []
    for result in (CONTRADICTS, BELOW_MARGIN, TOO_FEW, PARTLY, AGREES, NOT_PRINTED):
        if names := [name for name, each in results.items() if each == result]:
            lines.append(f"- {result}: {len(names)} ({', '.join(names)})")
    return "\n".join(lines)


def check_study(params: Params, name: str) -> list[str]:
    """Paragraphs about the claims of a study: a summary, the sources, and a table of comparisons."""
    study = params.studies[name]
    manifest = study_manifest(params, name, expand_grid(study, name), [], [], [], {}, "")
    sources = [PrintedResults(manifest), *(PrintedResults(manifest, entry) for entry in manifest.published)]
    checks = {key: check_claim(claim, sources) for key, claim in study.claims.items()}
    results = {key: overall(of_claim) for key, of_claim in checks.items()}
    paragraphs = [f"## {name}", f"{len(checks)} claims, margin {points(study.criterion.margin)}:", _summary(results)]
    rows: list[tuple[str, ...]] = [
        (key, check.text, check.difference, str(check.source or ""), check.result)
        for key, of_claim in checks.items()
        for check in _shortened(of_claim)
        if results[key] != NOT_PRINTED
    ]
    if rows:
        used = {check.source for of_claim in checks.values() for check in of_claim}
        numbered = [f"{i}. {entry.source}" for i, entry in enumerate(manifest.published, 1) if i in used]
        header = ("claim", "comparison", "printed", "source", "result")
        paragraphs += ["Sources:", "\n".join(numbered), _table([header, *rows])]
    return paragraphs


def print_checks(params: Params, name: str = "") -> None:
    """Print the checks of a study, or of the first study of each publication, as Markdown.

    Raises MedgridError when params.yaml has no such study.
    """
    if name and name not in params.studies:
        raise MedgridError(f"there is no study '{name}' in params.yaml; its studies are {', '.join(params.studies)}")
    first: dict[str, Any] = {}
    for key, study in params.studies.items():
        first.setdefault(study.document, key)
    paragraphs = [each for key in ([name] if name else first.values()) for each in check_study(params, key)]
    print("\n\n".join([LEGEND, *paragraphs]))
