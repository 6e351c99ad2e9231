"""The evaluation of a study: all tables and the verdicts on its claims, in one job."""

import json
from pathlib import Path

import pandas as pd

from medgrid.evaluation.batch_sizes import batch_sizes
from medgrid.evaluation.compact import FILE as COMPACT
from medgrid.evaluation.compact import write_compact
from medgrid.evaluation.comparisons import comparisons, intervals
from medgrid.evaluation.interactions import interactions, simple_effects
from medgrid.evaluation.lookup import lookup
from medgrid.evaluation.published import Tables, published
from medgrid.evaluation.replicates import replicate_tables
from medgrid.evaluation.results import StudyResults, read_table
from medgrid.evaluation.selection import best_cell, validation_scores
from medgrid.evaluation.tables import cell_means, curve_table
from medgrid.evaluation.verdicts import verdicts
from medgrid.grid.manifest import StudyManifest
from medgrid.utils.files import atomic_folder

DIGITS = "%.6g"
EXACT = "%.12g"  # all digits of numbers of parameters


def write_results(manifest: StudyManifest, folder: str, split: str) -> None:
    """Write `folder`/tables, everything that follows from the predictions of a study, and `folder`/predictions.npz.

    From the training jobs in `folder`, its networks/networks.csv, and the CSV `split` of the study's split.

    Tables: `replicates`, `per_class` and `confusion` (`medgrid.evaluation.replicates`), `cells` and `curves`
    (`tables`), `published`, `intervals` and `comparisons` (`comparisons`), `lookup`, `interactions` and
    `simple_effects` (`interactions`), `batch_sizes`. `claims.json` has the verdicts on the claims (`verdicts`).
    """
    results = StudyResults(manifest, Path(folder), Path(split))
    networks = pd.read_csv(Path(folder) / "networks" / "networks.csv")
    with atomic_folder(Path(folder) / "tables") as target:
        tables = replicate_tables(results)
        tables["cells"] = cell_means(tables["replicates"], results.axes)
        tables["curves"] = curve_table(results)
        for name, table in tables.items():
            _write(table, target / f"{name}.csv")
        ours = Tables(tables["cells"], tables["per_class"], networks)
        _write(published(manifest, ours), target / "published.csv", EXACT)
        # from the file, as pages select it: rounding could make two cells equal
        cells = read_table(target / "cells.csv")
        best = cells[cells["checkpoint"] == "best"].set_index("cell")
        _write(comparisons(results, best_cell(validation_scores(best, manifest.select))), target / "comparisons.csv")
        for function in (intervals, lookup, interactions, simple_effects, batch_sizes):
            _write(function(results), target / f"{function.__name__}.csv")
        text = json.dumps(verdicts(results), indent=1, ensure_ascii=False)
        (target / "claims.json").write_text(text + "\n", encoding="utf-8")
    write_compact(manifest, folder, split, str(Path(folder) / COMPACT))


def _write(table: pd.DataFrame, path: Path, digits: str = DIGITS) -> None:
    table.to_csv(path, index=False, float_format=digits)
