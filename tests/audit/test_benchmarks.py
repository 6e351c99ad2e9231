"""What the scripts in `benchmarks` print of judged pairs and of series."""

import sys

import numpy as np
import pandas as pd
from conftest import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
import contact_sheets
import series

SPLIT = {
    "by": None, "protocol": "clean", "test": 0.2, "validation": 0.1, "use": None, "balanced": False, "seed": 0,
}  # fmt: skip


def test_only_the_random_sample_has_an_interval(tmp_path, capsys):
    judgements = ["same"] * 3 + ["slice"]
    tables = [pd.DataFrame({"sample": name, "judgement": judgements}) for name in ("accepted", "random")]
    pd.concat(tables).to_csv(tmp_path / "judged.csv")
    contact_sheets.print_counts(str(tmp_path / "judged.csv"))
    accepted, random = capsys.readouterr().out.splitlines()[2:]
    assert accepted == "| accepted | 4 | 3 | {'slice': 1} |"
    assert random == "| random | 4 | 3 (30 to 95 %) | {'slice': 1} |"  # Wilson, of 3 in 4


def test_the_lookup_is_measured_only_where_clusters_can_be_split(capsys):
    labels = np.repeat(["a", "b"], 50)
    paths = [f"{label}/{i}.png" for i, label in enumerate(labels)]
    table = pd.DataFrame({"path": paths, "label": labels, "group": "", "original_split": ""})
    # classes that a lookup tells apart without an error: no scatter over splits, and no interval
    thumbnails = (
        np.random.default_rng(0).integers(0, 20, (100, 64, 64), np.uint8) + 200 * (labels == "b")[:, None, None]
    )
    pairs = pd.DataFrame({"first": [], "second": [], "kind": []})
    images = series.Images(table, thumbnails.astype(np.uint8), pairs)
    series.print_choice("small", images, SPLIT, 3, {"blocks": 5, "classes": None})
    series.print_choice("large", images, SPLIT, 3, {"blocks": 30, "classes": None})
    small, large = capsys.readouterr().out.splitlines()
    assert small == "| small | 20 | 5 | 100.0 ± nan | 100.0 to 100.0 | 20 to 20 |"
    assert large == "| large | 4 | 30 | - | - | - |"
