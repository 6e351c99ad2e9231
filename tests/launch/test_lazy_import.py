"""Modules that Snakemake imports without need are loaded when they are used."""

import subprocess
import sys

CODE = """
import sys
from medgrid.launch.run import lazy_import

lazy_import("pandas")
import pandas as pd
import importlib.util

assert importlib.util.find_spec("pandas") is not None
assert "pandas.core" not in sys.modules
frame = pd.DataFrame({"a": [1]})
assert isinstance(pd.Series([1]), pd.Series)
import pandas

assert pandas is sys.modules["pandas"] is importlib.import_module("pandas")
assert pandas.DataFrame is pd.DataFrame is type(frame)
"""


def test_a_lazy_module_is_loaded_once_when_it_is_used():
    result = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
