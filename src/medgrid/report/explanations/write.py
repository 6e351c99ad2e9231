"""Writes the explanations of a study."""

from functools import partial
from pathlib import Path

from medgrid.evaluation.results import StudyResults
from medgrid.grid.manifest import StudyManifest
from medgrid.models import device as devices
from medgrid.report.explanations import draw
from medgrid.report.explanations.compute import explain_panels, load_example
from medgrid.report.explanations.select import select_cells
from medgrid.report.figures import style
from medgrid.utils.files import atomic_folder


def write_explanations(
    manifest: StudyManifest, folder: str, split: str, tensors: str, weights: str, threads: int = 0
) -> None:
    """Write lime.png and gradcam.png into `folder`/explanations, which appears whole or not at all.

    `weights`: folder with the files of pretrained weights. Where the licence does not allow showing images, a
    README.txt with that reason is written instead.
    """
    with atomic_folder(Path(folder) / "explanations") as target:
        if manifest.show_images:
            devices.choose("cpu", threads)
            results = StudyResults(manifest, Path(folder), Path(split))
            _write_figures(results, Path(split), Path(tensors), Path(weights), target)
        else:
            text = f"No image is shown here: the licence ({manifest.license}) is not known to allow it.\n"
            (target / "README.txt").write_text(text, encoding="utf-8")


def _write_figures(results: StudyResults, split: Path, tensors: Path, weights: Path, target: Path) -> None:
    manifest = results.manifest
    panels = select_cells(manifest.trainings, results.validation_scores(), manifest.explanations.networks)
    example = load_example(results, panels, split, tensors)
    panels = explain_panels(results, panels, example, weights)
    weights_used = "; ".join(dict.fromkeys(results.table("cells")["weights"]))
    note = (
        f"{manifest.data} · {example.path} · weights: {weights_used} · "
        f"{manifest.protocol} split · each panel: first replicate of the cell that is best by validation"
    )
    lime = draw.draw(panels, example, draw.LIME_TITLE, partial(draw.show_lime, segments=example.segments))
    style.save(lime, target / "lime.png", note)
    style.save(draw.draw(panels, example, draw.GRADCAM_TITLE, draw.show_cam), target / "gradcam.png", note)
