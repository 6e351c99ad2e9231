"""A study's claims and comparisons, from its predictions."""

import json
from pathlib import Path

import pandas as pd

from medgrid.evaluation.claims import Judge, judged
from medgrid.evaluation.comparisons import batch_sizes, comparisons, intervals
from medgrid.evaluation.interactions import interactions, simple_effects
from medgrid.evaluation.published import sizes
from medgrid.evaluation.results import StudyResults
from medgrid.evaluation.selection import scores
from medgrid.utils.files import atomic_write

FLOATS = "%.6g"


def write_verdicts(settings: dict, folder: str, split: str) -> None:
    """Write what a study's replicates say, into `folder`: claims.json and five tables.

    `intervals.csv`, `comparisons.csv`, `batch_sizes.csv`, see `medgrid.evaluation.comparisons`; `interactions.csv`,
    `simple_effects.csv`, see `medgrid.evaluation.interactions`.
    Read are the jobs below `folder`, its `cells.csv` and `models.csv`, and the clusters in `split`.
    """
    place = Path(folder)
    study = StudyResults(settings, place, Path(split))
    models, trainings = pd.read_csv(place / "models.csv"), settings["trainings"]
    networks = {cell: sizes(models, trainings[cell], settings["classes"]) for cell in study.cells}
    judge = Judge(study, pd.DataFrame({cell: row for cell, row in networks.items() if row is not None}).T)
    cells = pd.read_csv(place / "cells.csv", keep_default_na=False, na_values=[""], dtype={"cell": str})
    ranked = scores(cells[cells["checkpoint"] == "best"].set_index("cell"), settings["select"])
    tables = {
        "intervals": intervals(study),
        "comparisons": comparisons(study, None if ranked.empty else ranked.idxmax()),
        "interactions": interactions(study),
        "simple_effects": simple_effects(study),
        "batch_sizes": batch_sizes(study),
    }
    for name, table in tables.items():
        with atomic_write(place / f"{name}.csv") as temporary:
            table.to_csv(temporary, index=False, float_format=FLOATS)
    claims = [judged(claim, name, judge) for name, claim in settings["claims"].items()]
    found = {"study": settings["study"], "protocol": settings["protocol"], **settings["criterion"], "claims": claims}
    with atomic_write(place / "claims.json") as temporary:
        temporary.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
