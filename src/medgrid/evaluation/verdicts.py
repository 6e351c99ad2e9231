"""Verdicts on claims: supported, contradicted, negligible, open or not_run.

`claims.json` holds the study, its protocol, metric and margin; `judgements`: how many times its claims were
judged, at least (see the function); `not_judged`: assertions that no claim tests, with
`text`, `source` and `reason`; and for each claim:

- `name`, `text`, `source`: from params.yaml.
- `verdict`: see `JudgedClaim`. `on_average_only`: whether some stratum shows the opposite of a supported or
  contradicted average. `margins`: lowest and highest margin with which the verdict stays the same (null: any higher
  one), or null when the claim has no margin, or several.
- `p_support`: of the claim; `p_against`: smallest p-value against it, after Holm's correction over its comparisons.
- `verdict_in_study`: the verdict that remains after Holm's correction over the claims of the study, or open.
- `needed`: for an open claim, `replicates` with which its likeliest `verdict` has a probability of POWER; or null.
- `decisive`: indices of the comparisons behind the verdict, the one with the weakest support first.
- `comparisons`: a list of comparisons with these fields.

    - `relation`: what the claim says, see below; `left`, `right`: selections of cells (lists of values by setting; {}
      selects all cells, null stands for all other cells or, for relations with one side, nothing); `where`: a
      selection that restricts both.
    - `metric` or `curve`: what is compared, or null; `details`: `axis`, `epoch`, `epochs`, `value`, `factor` or
      `size` of some relations.
    - `estimate`, `low`, `high`: value and 95 % interval, or null; `unit`: share, nats, times (a ratio) or none;
      `over`: what the interval covers, "seeds", "seeds and test images" or "splits", or "networks" for a permutation
      test, which has no interval; `replicates`: number of seeds (or splits) used.
    - `holds`: bounds between which the claim holds; null: none. `negligible_below`: absolute value up to which the
      difference does not matter, or null.
    - `p_support`, `p_against`, `p_negligible`: one-sided p-values, not corrected; `p_against_corrected`: after Holm's
      correction over the comparisons of the claim.
    - `verdict`: with that correction; `verdict_alone`: without, as comparisons.csv has it.
    - `missing`: why there is no estimate (`not_run`, `time_shared` for cells that were trained in one stack,
      `no_common_seed` if a cell diverged with each seed, `one_size` for networks of one size), or null.
    - `strata`: of an average over settings, the estimate in each: `left`, `where`, `estimate`, `low`, `high`,
      `verdict`, and whether it is `opposed` to the average.

Relations, what they say, and the kinds of claims that use them:

- `above`: left has a better metric than right (best, worst, order).
- `like`: left and right differ by less than the margin (equal).
- `not_above`: left is not better than right by the margin (no_better).
- `improves`, `worsens`: the metric does so from the lowest to the highest value of `axis` (trend).
- `gains_more`: the metric improves more along `axis` for left than for right (interaction).
- `at_chance`: balanced accuracy of left equals chance; the estimate is the difference (chance).
- `noisier`: the slope of `curve` changes more from epoch to epoch for left than for right (noisier).
- `gap_above`, `gap_below`, `gap_about`: training minus validation accuracy of left after the last epoch is above,
  below or about `value` (generalization_gap).
- `loss_rises`, `loss_stays`: validation loss of left after the last epochs, over its minimum, is above or below
  `value`; a rise of training loss since then is subtracted (overfits).
- `overfits_sooner`: validation loss of left has its minimum in an earlier epoch than that of right; the estimate is
  the ratio of epochs (overfits_sooner).
- `learns_slower`: the mean of `curve` over the first `epochs` is worse for left than for right (learns_slower).
- `flat`: `curve` of left changes by less than the margin after `epoch` (plateau).
- `faster`, `slower`: left trains faster or slower per epoch than right (fastest, slowest).
- `faster_by`, `slower_by`: the same, by a factor in the range `factor`.
- `correlated`: cells with more parameters (`size`) have a better metric; the estimate is a rank correlation
  (correlated).
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeGuard

import numpy as np

from medgrid.config.claims import Claim
from medgrid.evaluation.claim_kinds import KINDS
from medgrid.evaluation.claims import NETWORKS, Comparison, Judge
from medgrid.evaluation.hypotheses import MOST_REPLICATES, PValues, holm
from medgrid.evaluation.permutations import Permuted
from medgrid.evaluation.resampling import SPLITS
from medgrid.evaluation.results import StudyResults
from medgrid.evaluation.statistics import LEVEL, Estimate
from medgrid.grid.layout import seeds_of

SMALL_MARGIN, LARGE_MARGIN = 1e-6, 1e3  # for any metric
POWER = 0.8  # probability of a verdict with the number of replicates that `needed` names


@dataclass(frozen=True)
class JudgedClaim:
    """Comparisons of a claim, and the verdicts that follow from them."""

    comparisons: list[Comparison]

    @cached_property
    def corrected(self) -> list[PValues]:
        """p-values of each comparison, after Holm's correction over those that were run.

        Not of their support, which all must have.
        """
        p = [each.p for each in self.comparisons]
        run = [i for i, each in enumerate(self.comparisons) if each.was_run]
        for field in ("against", "negligible") if run else ():
            values = holm([getattr(p[i], field) for i in run])
            for i, value in zip(run, values, strict=True):
                p[i] = replace(p[i], **{field: float(value)})
        return p

    @cached_property
    def parts(self) -> list[str]:
        """Verdict of each comparison."""
        return [each.verdict(p) for each, p in zip(self.comparisons, self.corrected, strict=True)]

    @cached_property
    def verdict(self) -> str:
        """The claim is contradicted if a comparison is; else not run, open or negligible if one is; else supported.

        All comparisons of a supported claim are supported, each at the one-sided 2.5 % level: an intersection-union
        test, which needs no correction.
        """
        order = ("contradicted", "not_run", "open", "negligible")
        return next((word for word in order if word in self.parts), "supported")

    @cached_property
    def p(self) -> PValues:
        """p-values of the claim: all comparisons hold; one does not; one is negligible and all others hold or are."""
        support = max(each.p.support for each in self.comparisons)
        either = max(min(each.support, each.negligible) for each in self.corrected)
        one = min(each.negligible for each in self.corrected)
        return PValues(support, min(each.against for each in self.corrected), max(either, one))

    @cached_property
    def on_average_only(self) -> bool:
        """Whether a comparison behind the verdict is about an average that hides the opposite in some stratum."""
        decided = self.verdict not in ("open", "not_run")
        return decided and any(any(self.comparisons[i].opposed) for i in self.decisive)

    @property
    def decisive(self) -> list[int]:
        """Comparisons behind the verdict, the one with the weakest support first."""
        decisive = [i for i, word in enumerate(self.parts) if word == self.verdict]
        weakest = max(decisive, key=lambda i: self.comparisons[i].p.support if self.comparisons[i].was_run else 2)
        return [weakest, *(i for i in decisive if i != weakest)]

    def margins(self) -> tuple[float, float] | None:
        """Lowest and highest margin with which the verdict stays the same; None without a margin, or with several."""
        with_margin = [each for each in self.comparisons if each.hypothesis.margin and each.unit != "times"]
        margins = {each.hypothesis.margin for each in with_margin}
        if len(margins) != 1 or self.verdict == "not_run":
            return None
        (margin,) = margins
        # each verdict holds on one range of margins
        return self._last_same(margin, SMALL_MARGIN), self._last_same(margin, LARGE_MARGIN)

    def _last_same(self, margin: float, limit: float) -> float:
        """The margin nearest to `limit` with the same verdict; 0 or infinity if that of the limit is the same."""
        if self._with_margin(limit).verdict == self.verdict:
            return 0.0 if limit < margin else np.inf
        same, other = margin, limit
        while not 0.9999 < same / other < 1.0001:
            middle = np.sqrt(same * other)
            same, other = (middle, other) if self._with_margin(middle).verdict == self.verdict else (same, middle)
        return same

    def _with_margin(self, margin: float) -> "JudgedClaim":
        return JudgedClaim([each.with_margin(margin) for each in self.comparisons])

    def needed(self) -> dict[str, Any] | None:
        """Replicates with which a verdict has a probability of POWER, the verdict, and its probability.

        In a study like this one, with other seeds and as many other test images. None if none has with
        MOST_REPLICATES: then more test images may be needed, or the value is close to a bound.
        Comparisons count as independent.
        """
        measured = [each.measured for each in self.comparisons if _can_be_planned(each.measured)]
        # more splits do not reduce all of the error
        over_splits = any(each.over == SPLITS for each in self.comparisons)
        if self.verdict != "open" or over_splits or len(measured) < len(self.comparisons):
            return None
        parts = [
            each.hypothesis.probabilities(estimate, len(self.comparisons))
            for each, estimate in zip(self.comparisons, measured, strict=True)
        ]
        supported, contradicted, negligible = (
            np.array([part[word] for part in parts]) for word in ("supported", "contradicted", "negligible")
        )
        claim = {
            "supported": supported.prod(0),
            "contradicted": 1 - (1 - contradicted).prod(0),
            "negligible": np.clip(supported + negligible, 0, 1).prod(0) - supported.prod(0),
        }
        counts = np.arange(2, MOST_REPLICATES + 1)
        likeliest = np.max(list(claim.values()), axis=0)
        now = max(estimate.seeds for estimate in measured)
        enough = np.flatnonzero((likeliest >= POWER) & (counts > now))
        if not len(enough):
            return None
        first = enough[0]
        word = max(claim, key=lambda name: claim[name][first])
        return {
            "replicates": int(counts[first]), "verdict": word, "probability": round(float(claim[word][first]), 3),
        }  # fmt: skip


def _can_be_planned(measured: Estimate | Permuted | None) -> TypeGuard[Estimate]:
    """Whether more seeds change a number's error in a known way."""
    if not isinstance(measured, Estimate) or not np.isfinite(measured.value):
        return False
    seed, image, shared = measured.variances()
    return bool(seed + max(image - shared, 0.0) > 0)


def _part(comparison: Comparison, corrected: PValues) -> dict[str, Any]:
    """A comparison as an entry of `comparisons` in claims.json."""
    numbers, hypothesis = comparison.numbers(), comparison.hypothesis
    missing = None
    if numbers["estimate"] is None:
        unmeasured = "one_size" if comparison.over == NETWORKS else "no_common_seed"
        missing = unmeasured if comparison.was_run else comparison.missing
    return {
        "relation": comparison.relation, "left": comparison.left, "right": comparison.right,
        "where": comparison.where, "metric": comparison.metric, "curve": comparison.curve,
        "details": comparison.details, "unit": comparison.unit, "over": comparison.over,
        "holds": [comparison.number(hypothesis.low), comparison.number(hypothesis.high)],
        "negligible_below": hypothesis.negligible_below or None,
        **numbers,
        "p_support": comparison.p.support if missing is None else None,
        "p_against": comparison.p.against if missing is None else None,
        "p_negligible": comparison.p.negligible if missing is None and hypothesis.negligible_below else None,
        "p_against_corrected": corrected.against if missing is None else None,
        "verdict": comparison.verdict(corrected), "verdict_alone": comparison.verdict(),
        "replicates": comparison.measured.seeds if comparison.measured and missing is None else 0,
        "missing": missing,
        "strata": [
            {"left": each.left, "where": each.where, **each.numbers(), "verdict": each.verdict(), "opposed": opposed}
            for each, opposed in zip(comparison.strata, comparison.opposed, strict=True)
        ],
    }  # fmt: skip


def _entry(name: str, claim: Claim, judged: JudgedClaim, verdict_in_study: str) -> dict[str, Any]:
    """A claim as claims.json has it."""
    margins = judged.margins()
    return {
        "name": name,
        "text": claim.text,
        "source": claim.source,
        "verdict": judged.verdict,
        "on_average_only": judged.on_average_only,
        "margins": None if margins is None else [round(m, 6) if np.isfinite(m) else None for m in margins],
        "p_support": judged.p.support,
        "p_against": judged.p.against,
        "verdict_in_study": verdict_in_study,
        "needed": judged.needed(),
        "decisive": judged.decisive,
        "comparisons": [_part(each, p) for each, p in zip(judged.comparisons, judged.corrected, strict=True)],
    }


def _in_study(judged: list[JudgedClaim]) -> list[str]:
    """Verdicts that remain after Holm's correction over the claims that were run; open where none does."""
    run = [i for i, claim in enumerate(judged) if claim.verdict != "not_run"]
    remaining = [claim.verdict for claim in judged]
    if not run:
        return remaining
    corrected = {
        field: holm([getattr(judged[i].p, field) for i in run]) for field in ("support", "against", "negligible")
    }
    for place, i in enumerate(run):
        word = remaining[i]
        field = {"supported": "support", "contradicted": "against", "negligible": "negligible"}.get(word)
        if field and corrected[field][place] > LEVEL:
            remaining[i] = "open"
    return remaining


def _comparisons(judge: Judge, claim: Claim) -> list[Comparison]:
    comparisons = [each for test in claim.tests for each in KINDS[test.kind](judge, test)]
    if judge.results.over != SPLITS:
        return comparisons
    return [each if each.over == NETWORKS else replace(each, over=SPLITS) for each in comparisons]


def judgements(results: StudyResults) -> int:
    """How many times the study was judged, at least: seeds that were added later are in later blocks.

    Each look at the verdicts before more seeds are trained is one more chance of a wrong one. Where each seed is a
    block of its own, it is not known which were added later: then 1.
    """
    blocks = [seeds_of(block.name) for block in results.blocks]
    if all(len(seeds) == 1 for seeds in blocks):
        return 1
    return len({min(seeds[-1], results.seeds[-1]) for seeds in blocks})


def verdicts(results: StudyResults) -> dict[str, Any]:
    """Content of claims.json."""
    manifest, judge = results.manifest, Judge(results)
    judged = [JudgedClaim(_comparisons(judge, claim)) for claim in manifest.claims.values()]
    entries = zip(manifest.claims.items(), judged, _in_study(judged), strict=True)
    return {
        "study": manifest.study,
        "protocol": manifest.protocol,
        "metric": manifest.criterion.metric,
        "margin": manifest.criterion.margin,
        "judgements": judgements(results),
        "claims": [_entry(name, claim, each, word) for (name, claim), each, word in entries],
        "not_judged": [each.model_dump() for each in manifest.not_judged],
    }
