"""The manifest of a study, from the settings in `params.yaml`."""

from medgrid.config import Params
from medgrid.grid.cells import Cell
from medgrid.grid.manifest import OtherSplit, StudyManifest, Submission


def study_manifest(
    params: Params,
    key: str,
    grid: list[Cell],
    jobs: list[str],
    other_splits: list[OtherSplit],
    stacked: list[str],
    weights: dict[str, str],
    label: str,
) -> StudyManifest:
    """`label`: the data set in words; `weights`: by model, names of files (or `random`, `random_calibrated`)."""
    study, dataset = params.studies[key], params.datasets[params.studies[key].dataset]
    synthetic = params.source == "synthetic"
    return StudyManifest(
        study=key,
        title=study.title,
        document=study.document,
        dataset=study.dataset,
        archive_sha256=None if synthetic else dataset.sha256,
        protocol=study.protocol,
        split=study.split_settings,
        series=dataset.series,
        axes=list(grid[0].axes),
        cells=[{"id": cell.id, **cell.axes} for cell in grid],
        trainings={cell.id: cell.training for cell in grid},
        models={name: study.model(name) for name in study.model_names},
        weights=weights,
        notes={name: getattr(params.weights_of(key, name), "note", "") for name in study.model_names},
        classes=dataset.classes,
        image=study.image,
        select=study.select,
        replicates=study.seeds,
        explanations=study.explanations,
        published=study.published,
        criterion=study.criterion,
        claims=study.claims,
        not_judged=study.not_judged,
        stacked=stacked,
        synthetic=synthetic,
        data=label,
        license=dataset.license,
        competition=dataset.kaggle.slug if dataset.kaggle and dataset.kaggle.competition else None,
        submission=_submission(params, key),
        show_images=dataset.show_images or synthetic,  # synthetic images belong to nobody
        jobs=jobs,
        other_splits=other_splits,
    )


def _submission(params: Params, key: str) -> Submission | None:
    dataset = params.datasets[params.studies[key].dataset]
    if not dataset.unlabelled:
        return None
    columns = (dataset.labels.id, dataset.labels.label) if dataset.labels else ("id", "label")
    return Submission(ids=dataset.unlabelled, columns=columns)
