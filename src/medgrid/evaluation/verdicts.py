"""Verdicts on claims: supported, contradicted or open.

`claims.json` holds the study, its protocol, metric and margin, and for each claim:

- `name`, `text`, `source`: from params.yaml.
- `verdict`: supported, contradicted or open; `needed`: number of replicates needed to decide an open claim, or null.
- `decisive`: indices of the comparisons behind the verdict, the one with the weakest support first.
- `comparisons`: a list of comparisons with these fields.

    - `relation`: what the claim says, see below; `left`, `right`: selections of cells (lists of values by setting; {}
      selects all cells, null stands for all other cells or, for relations with one side, nothing); `where`: a
      selection that restricts both.
    - `metric` or `curve`: what is compared, or null; `details`: `axis`, `epoch`, `value` or `size` of some relations.
    - `estimate`, `low`, `high`: value and 95 % interval, or null; `unit`: share, nats, times (a ratio) or none;
      `over`: what the interval covers, "seeds", "seeds and test images" or "splits"; `replicates`: number of seeds
      (or splits) used.
    - `holds`: bounds between which the claim holds; `matters`: bounds beyond which it is contradicted; null: none.
    - `p`: p-value of the claim, small when it holds; `p_against`: small when it is contradicted.
    - `verdict`, `needed`: of this comparison alone; `missing`: why there is no estimate (`not_run`, `time_shared` for
      cells that were trained in one stack, `no_common_seed` if a cell diverged with each seed), or null.

Relations, what they say, and the kinds of claims that use them:

- `above`: left has a better metric than right (best, worst, order).
- `like`: left and right differ by less than the margin (equal).
- `not_above`: left is not better than right by the margin (no_better).
- `improves`, `worsens`: the metric does so from the lowest to the highest value of `axis` (trend).
- `gains_more`: the metric improves more along `axis` for left than for right (interaction).
- `at_chance`: balanced accuracy of left equals chance; the estimate is the difference (chance).
- `noisier`: `curve` of left changes more from epoch to epoch than that of right (noisier).
- `gap_above`, `gap_below`, `gap_about`: training minus validation accuracy of left after the last epoch is above,
  below or about `value` (generalization_gap).
- `flat`: `curve` of left changes by less than the margin after `epoch` (plateau).
- `faster`, `slower`: left trains faster or slower per epoch than right (fastest, slowest).
- `correlated`: cells with more parameters (`size`) have a better metric; the estimate is a rank correlation
  (correlated).
"""

from dataclasses import replace
from typing import Any

from statsmodels.stats.multitest import multipletests

from medgrid.config.claims import Claim
from medgrid.evaluation.claim_kinds import KINDS
from medgrid.evaluation.claims import Comparison, Judge
from medgrid.evaluation.resampling import SPLITS
from medgrid.evaluation.results import StudyResults
from medgrid.evaluation.statistics import LEVEL


def judge_claim(name: str, claim: Claim, judge: Judge) -> dict[str, Any]:
    """One claim as claims.json has it.

    Supported: all its comparisons are, each at the one-sided 2.5 % level (an intersection-union test, which needs no
    correction). Contradicted: at least one is, after Holm's correction over the comparisons.
    """
    comparisons = [comparison for test in claim.tests for comparison in KINDS[test.kind](judge, test)]
    if judge.results.over == SPLITS:
        comparisons = [replace(comparison, over=SPLITS) for comparison in comparisons]
    rejected = multipletests([comparison.p_against for comparison in comparisons], LEVEL, "holm")[0]
    contradicted = [i for i, reject in enumerate(rejected) if reject]
    unsettled = [i for i, comparison in enumerate(comparisons) if comparison.verdict != "supported"]
    needed = None
    if contradicted:
        verdict, decisive = "contradicted", contradicted
    elif not unsettled:
        verdict, decisive = "supported", list(range(len(comparisons)))
    else:
        verdict, decisive = "open", unsettled
        numbers = [number for i in unsettled if (number := comparisons[i].needed) is not None]
        needed = max(numbers) if len(numbers) == len(unsettled) else None
    return {
        "name": name,
        "text": claim.text,
        "source": claim.source,
        "verdict": verdict,
        "needed": needed,
        "decisive": _weakest_first(comparisons, decisive),
        "comparisons": [comparison.to_dict() for comparison in comparisons],
    }


def _weakest_first(comparisons: list[Comparison], decisive: list[int]) -> list[int]:
    """The indices with the comparison of the weakest support moved to the front; those without an estimate first."""
    weakest = max(decisive, key=lambda i: comparisons[i].p if comparisons[i].measured else 2)
    return [weakest, *(i for i in decisive if i != weakest)]


def verdicts(results: StudyResults) -> dict[str, Any]:
    """Content of claims.json."""
    manifest, judge = results.manifest, Judge(results)
    return {
        "study": manifest.study,
        "protocol": manifest.protocol,
        "metric": manifest.criterion.metric,
        "margin": manifest.criterion.margin,
        "claims": [judge_claim(name, claim, judge) for name, claim in manifest.claims.items()],
    }
