"""Each cell against the nearest-thumbnail lookup (`medgrid.data.nearest_thumbnail`), on the same test images."""

import numpy as np
import pandas as pd

from medgrid.config.claims import Criterion
from medgrid.config.metrics import METRICS
from medgrid.evaluation.contributions import contributions
from medgrid.evaluation.hypotheses import Hypothesis, corrected_over_rows, verdict
from medgrid.evaluation.results import StudyResults
from medgrid.evaluation.statistics import DIGITS

COLUMNS = (
    "cell", "metric", "mean", "lookup", "difference", "low", "high", "over", "p", "p_adjusted", "replicates",
    "verdict",
)  # fmt: skip
# verdicts on "the cell is better", as this table calls them
WORDS = {"supported": "above", "contradicted": "below"}
OF_LABELS = ("accuracy", "recall_macro")  # functions of metrics that need no probabilities


def lookup_criterion(results: StudyResults) -> Criterion:
    """Metric and margin of the comparison with the lookup, which predicts labels without probabilities.

    The study's, or accuracy with the default margin where the study's metric needs probabilities.
    """
    criterion = results.manifest.criterion
    return criterion if METRICS[criterion.metric].function in OF_LABELS else Criterion()


def lookup_values(results: StudyResults, metric: str) -> np.ndarray | None:
    """What each test image contributes to a metric of the lookup, [images]; None without a lookup."""
    if results.lookup is None:
        return None
    return contributions(metric, np.eye(len(results.manifest.classes))[results.lookup], results.labels("test"))


def lookup(results: StudyResults) -> pd.DataFrame:
    """Each cell minus the lookup, per test image; no rows where the split has no lookup.

    `mean`, `lookup`: the metric of the cell (mean over seeds) and of the lookup. `low`, `high`: 95 % interval of the
    difference over seeds and test images, or over splits (`over`). The lookup is the same for all seeds of a split.
    `p`: two-sided; `p_adjusted`: after Holm's correction over the cells. `verdict`: "above", "below", "negligible" or
    "open", by the rule of claims (`medgrid.evaluation.hypotheses.verdict`) with corrected p-values.
    """
    criterion = lookup_criterion(results)
    baseline = lookup_values(results, criterion.metric)
    if baseline is None:
        return pd.DataFrame(columns=COLUMNS)
    rows, p = [], []
    for cell in results.cells:
        measured = results.estimate_above_lookup(cell, criterion.metric)
        p.append(Hypothesis("above", margin=criterion.margin).p_values(measured))
        low, high = measured.interval()
        mean = float(results.by_replicate(criterion.metric).loc[cell].mean())
        row = {"cell": cell, "metric": criterion.metric, "mean": mean, "lookup": round(mean - measured.value, DIGITS)}
        row |= {"difference": measured.value, "low": low, "high": high, "over": results.over}
        rows.append(row | {"replicates": measured.seeds, "p": p[-1].two_sided})
    table = pd.DataFrame(rows)
    table["p_adjusted"], corrected = corrected_over_rows(p)
    table["verdict"] = [WORDS.get(word := verdict(each), word) for each in corrected]
    return table[list(COLUMNS)]
