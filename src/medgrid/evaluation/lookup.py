"""Each cell against the nearest-thumbnail lookup (`medgrid.data.nearest_thumbnail`), on the same test images."""

import numpy as np
import pandas as pd

from medgrid.config.claims import Criterion
from medgrid.config.metrics import METRICS
from medgrid.evaluation.contributions import contributions
from medgrid.evaluation.hypotheses import Hypothesis, corrected_over_rows, verdict
from medgrid.evaluation.results import StudyResults
from medgrid.evaluation.statistics import estimate

COLUMNS = (
    "cell", "metric", "mean", "lookup", "difference", "low", "high", "p", "p_adjusted", "replicates", "verdict",
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
    difference over seeds and test images; the lookup is the same for all seeds. `p`: two-sided; `p_adjusted`: after
    Holm's correction over the cells. `verdict`: "above", "below", "negligible" or "open", by the rule of claims
    (`medgrid.evaluation.hypotheses.verdict`) with corrected p-values.
    """
    criterion = lookup_criterion(results)
    baseline = lookup_values(results, criterion.metric)
    if baseline is None:
        return pd.DataFrame(columns=COLUMNS)
    rows, p = [], []
    for cell, values in zip(results.cells, results.contributions(criterion.metric), strict=True):
        measured = estimate(values - baseline, results.clusters)
        p.append(Hypothesis("above", margin=criterion.margin).p_values(measured))
        low, high = measured.interval()
        row = {"cell": cell, "metric": criterion.metric, "mean": values.mean(), "lookup": baseline.mean()}
        row |= {"difference": measured.value, "low": low, "high": high, "replicates": measured.seeds}
        rows.append(row | {"p": p[-1].two_sided})
    table = pd.DataFrame(rows)
    table["p_adjusted"], corrected = corrected_over_rows(p)
    table["verdict"] = [WORDS.get(word := verdict(each), word) for each in corrected]
    return table[list(COLUMNS)]
