"""Which cell validation picks."""

import pandas as pd


def scores(best: pd.DataFrame, select: str) -> pd.Series:
    """What validation says of each row of cells.csv at the best epoch: higher is better.

    Without cells of which a replicate diverged: a mean over the replicates that survived would flatter a cell.
    """
    score = best[f"{select}_mean"] * (1 if select.endswith("accuracy") else -1)
    return score[(best["diverged"] == 0) & score.notna()]
