"""Shapes of learning curves that claims are about. Curves are tables with a row for each epoch."""

import numpy as np
import pandas as pd

SMOOTHED = 5  # epochs of a trailing moving average, so that one lucky epoch is no minimum


def _smooth(curve: pd.Series) -> np.ndarray:
    return curve.rolling(SMOOTHED, min_periods=1).mean().to_numpy()


def lowest_loss_epoch(curves: pd.DataFrame) -> int:
    """Epoch, from 1, with the lowest smoothed validation loss."""
    return int(_smooth(curves["validation_loss"]).argmin()) + 1


def loss_rise(curves: pd.DataFrame) -> float:
    """Logarithm of the mean validation loss of the last epochs over the lowest smoothed one before these.

    Where training loss has risen since the lowest one as well, this rise is subtracted: such a network gets worse,
    but does not overfit. Negative when validation loss still falls; NaN with too few epochs.
    """
    validation, training = _smooth(curves["validation_loss"]), _smooth(curves["train_loss"])
    earlier = validation[:-SMOOTHED]
    if not len(earlier):
        return np.nan
    lowest = int(earlier.argmin())
    if min(earlier[lowest], training[lowest], validation[-1], training[-1]) <= 0:
        return np.nan
    return float(np.log(validation[-1] / earlier[lowest]) - max(np.log(training[-1] / training[lowest]), 0))
