"""Draws every figure that applies to a study."""

from pathlib import Path

from tqdm import tqdm

from medgrid.grid.manifest import StudyManifest
from medgrid.report.figures import style
from medgrid.report.figures.registry import drawings
from medgrid.report.labelled_results import LabelledResults
from medgrid.utils.files import atomic_folder


def write_figures(manifest: StudyManifest, folder: str, split: str, tensors: str) -> None:
    """Draw every figure of a study as PNG into `folder`/figures, which appears whole or not at all."""
    style.use()
    study = LabelledResults(manifest, Path(folder), Path(split), Path(tensors))
    with atomic_folder(study.folder / "figures") as target:
        for name, draw in tqdm(drawings(study).items(), desc="figures", unit="figure"):
            figure, note = draw()
            style.save(figure, target / f"{name}.png", note)
