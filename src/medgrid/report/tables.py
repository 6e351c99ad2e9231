"""Tables of a finished study, as pandas reads them."""

from pathlib import Path

import pandas as pd

NAMES = ("cell", "class", "predicted", "label", "path")


def read(path: Path) -> pd.DataFrame:
    """Read a table in which only an empty field is missing, and names are text: a class may be `None` or `01`."""
    return pd.read_csv(path, keep_default_na=False, na_values=[""], dtype=dict.fromkeys(NAMES, str))
