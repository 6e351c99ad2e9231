"""Sizes of the networks: the rows of networks/networks.csv that trainings belong to."""

from typing import Any

import pandas as pd

from medgrid.config import Training

# columns that identify a row of networks.csv
NETWORK = ("model", "mode", "unfrozen", "outputs")


def network_of(training: Training, classes: list[str]) -> dict[str, Any]:
    """Values of the columns NETWORK for the network of a training."""
    values = {name: getattr(training, name) for name in NETWORK[:-1]}
    return values | {"outputs": training.outputs or len(classes)}


def network_row(networks: pd.DataFrame, training: Training, classes: list[str]) -> pd.Series | None:
    """Row of networks.csv with the network of a training; None when it has none."""
    for name, value in network_of(training, classes).items():
        networks = networks[networks[name] == value]
    return None if networks.empty else networks.iloc[0]
