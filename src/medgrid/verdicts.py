"""Tables, verdicts and page recomputed from committed predictions, without images and without training."""

import json
import shutil
import sys
import tempfile
from pathlib import Path

import pandas as pd

from medgrid.utils.errors import MedgridError
from medgrid.utils.files import atomic_folder


def recompute(study: str, results: str = "results", out: str = "recomputed") -> None:
    """Recompute a study's tables and page from its predictions.npz, and print how they differ from before.

    Written are `out`/`study`/tables and `out`/report; nothing in `results` changes. Figures, explanations and model
    cards are copied as they are.

    Raises MedgridError when the study has no predictions.npz, or one of other settings than its manifest.
    """
    from medgrid.evaluation.compact import FILE, CompactPredictions
    from medgrid.evaluation.evaluate import write_results
    from medgrid.report.labelled_results import LabelledResults
    from medgrid.report.site.page import write_page
    from medgrid.study import find_manifest

    folder = Path(results, study)
    manifest = find_manifest(folder)
    compact = CompactPredictions(folder / FILE)
    blocks = [block for each in (compact, *compact.others.values()) for block in each.blocks]
    if {block.split("/")[0] for block in blocks} != set(manifest.all_jobs):
        raise MedgridError(f"{folder / FILE} and {folder / 'manifest'} contain different jobs; run the study again")
    images = json.loads((folder / "summary.json").read_text(encoding="utf-8"))["images"]
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary, study)
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("jobs"))
        split = compact.unpack(copy)
        write_results(manifest, str(copy), str(split))
        lines = compare_tables(folder / "tables", copy / "tables")
        with atomic_folder(Path(out, study, "tables")) as target:
            shutil.copytree(copy / "tables", target, dirs_exist_ok=True)
        write_page(LabelledResults(manifest, copy, split), images, str(Path(out, "report")))
    print("\n".join(lines))
    written = f"{Path(out, study, 'tables')} and {Path(out, 'report', study, 'index.html')}"
    print(f"medgrid: wrote {written}; {FILE} holds rounded predictions", file=sys.stderr)


def compare_tables(old: Path, new: Path) -> list[str]:
    """A line for each table of `new`: whether it equals that of `old`, or the largest difference of its numbers."""
    names = sorted({file.name for folder in (old, new) for file in folder.glob("[!.]*")})
    return [f"{name}: {_difference(old / name, new / name)}" for name in names]


def _difference(old: Path, new: Path) -> str:
    if not (old.exists() and new.exists()):
        return "new" if new.exists() else "missing"
    if old.read_bytes() == new.read_bytes():
        return "unchanged"
    if new.suffix != ".csv":
        return "changed"
    before, after = pd.read_csv(old), pd.read_csv(new)
    if list(before) != list(after) or len(before) != len(after):
        return "other rows or columns"
    numbers = after.select_dtypes("number").columns.intersection(before.select_dtypes("number").columns)
    texts = after.columns.difference(numbers)
    if not before[texts].equals(after[texts]):
        return "other texts"
    differences = (before[numbers] - after[numbers]).abs().max()
    return f"numbers differ by up to {differences.max():.2g} ({differences.idxmax()})"
