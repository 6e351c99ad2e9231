"""The evaluation of a study: all tables and the verdicts on its claims, in one job."""

import json
from functools import partial
from pathlib import Path

import pandas as pd

from medgrid.config.metrics import COMPARED
from medgrid.evaluation.batch_sizes import batch_sizes
from medgrid.evaluation.compact import FILE as COMPACT
from medgrid.evaluation.compact import write_compact
from medgrid.evaluation.comparisons import comparisons, intervals
from medgrid.evaluation.expected_best import expected_best
from medgrid.evaluation.improvement import improvement
from medgrid.evaluation.interactions import interactions, simple_effects
from medgrid.evaluation.lookup import lookup
from medgrid.evaluation.published import Tables, published
from medgrid.evaluation.replicates import replicate_tables
from medgrid.evaluation.resampling import ResampledResults, read_results, split_table
from medgrid.evaluation.results import StudyResults, read_table
from medgrid.evaluation.selection import best_cell, validation_scores
from medgrid.evaluation.statistics import Estimate, estimate
from medgrid.evaluation.tables import cell_means, curve_table
from medgrid.evaluation.time_to_target import time_to_target
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
    `simple_effects` (`interactions`), `batch_sizes`, `expected_best`, `improvement`, `time_to_target`. `claims.json`
    has the verdicts on the study's claims (`verdicts`).

    Of a study with several splits, `split` is the CSV of the first; the others are next to it. `splits`
    (`resampling`), `intervals`, `comparisons`, `expected_best`, `improvement`, `time_to_target` and the verdicts are
    about all splits, the other tables about the first.
    """
    results = StudyResults(manifest, Path(folder), Path(split))
    all_splits = read_results(manifest, Path(folder), Path(split))
    networks = pd.read_csv(Path(folder) / "networks" / "networks.csv")
    with atomic_folder(Path(folder) / "tables") as target:
        tables = replicate_tables(results)
        tables["cells"] = cell_means(results, tables["replicates"])
        tables["curves"] = curve_table(results)
        for name, table in tables.items():
            _write(table, target / f"{name}.csv")
        ours = Tables(
            tables["cells"], tables["per_class"], networks, partial(_estimate, results, tables["replicates"])
        )
        _write(published(manifest, ours), target / "published.csv", EXACT)
        # from the file, as pages select it: rounding could make two cells equal
        cells = read_table(target / "cells.csv")
        best = cells[cells["checkpoint"] == "best"].set_index("cell")
        chosen = best_cell(validation_scores(best, manifest.select))
        _write(comparisons(all_splits, chosen), target / "comparisons.csv")
        for function in (intervals, lookup, expected_best, improvement, time_to_target):
            _write(function(all_splits), target / f"{function.__name__}.csv")
        for function in (interactions, simple_effects, batch_sizes):
            _write(function(results), target / f"{function.__name__}.csv")
        if isinstance(all_splits, ResampledResults):
            _write(split_table(all_splits), target / "splits.csv")
        text = json.dumps(verdicts(all_splits), indent=1, ensure_ascii=False)
        (target / "claims.json").write_text(text + "\n", encoding="utf-8")
    write_compact(manifest, folder, split, str(Path(folder) / COMPACT))


def _estimate(results: StudyResults, replicates: pd.DataFrame, cell: str, metric: str) -> Estimate:
    """A metric of a cell at the best epoch: over seeds, and over test images where it is a mean over these.

    Diverged trainings count as chance, or are left out where the metric has no contributions of images.
    """
    if metric in COMPARED:
        return estimate(results.contributions(metric)[results.cells.index(cell)], results.clusters)
    rows = replicates[(replicates["cell"] == cell) & (replicates["checkpoint"] == "best")]
    return estimate(rows[metric].where(rows["status"] == "ok").to_numpy(float))


def _write(table: pd.DataFrame, path: Path, digits: str = DIGITS) -> None:
    table.to_csv(path, index=False, float_format=digits)
