"""Selection of cells by the validation part. Test numbers are not used."""

import pandas as pd

from medgrid.config.metrics import METRICS


def validation_scores(best: pd.DataFrame, select: str) -> pd.Series:
    """Score of each row of cells.csv at the best epoch, with the same index; higher is better.

    `select`: the manifest's, `validation_loss` or `validation_accuracy`. Cells with a diverged replicate have no
    score: a mean over the remaining replicates would be too good.
    """
    scores = METRICS[select].sign * best[f"{select}_mean"]
    return scores[(best["diverged"] == 0) & scores.notna()]


def best_cell(scores: pd.Series) -> str | None:
    """Cell with the highest score, the first of several; None when no cell has a score."""
    return None if scores.empty else str(scores.idxmax())
