"""The manifest of a study, for evaluation and report: its settings, its cells and their training jobs."""

import shutil
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field

from medgrid.config.base import Settings
from medgrid.config.claims import Claim, Criterion, NotJudged
from medgrid.config.dataset import Image, Series, Split
from medgrid.config.study import Explanations, Published
from medgrid.config.training import Model, Training
from medgrid.grid.versions import VERSIONS, fingerprint
from medgrid.utils.errors import MedgridError
from medgrid.utils.files import atomic_write

# fields that change pages, but no table
PAGE_ONLY = {"title", "document"}
# Seeds of a split begin at a multiple of this, the largest number of replicates. No two splits train with the same
# seeds, so that a lucky initialisation is not part of every split; and more seeds or splits keep those that exist.
SEEDS_PER_SPLIT = 1000


class Submission(Settings):
    """How a competition names its images and the columns of the file that it takes."""

    ids: str  # regular expression for image paths, with a group named id
    columns: tuple[str, str]


class OtherSplit(Settings):
    """A split besides the first: its name (a CSV next to that of the first) and the training jobs on it."""

    split: str
    jobs: list[str]


class StudyManifest(Settings):
    """A study as its tables and pages show it; written to `results/<study>/manifest/`.

    Two files of this content are the only ones in their folder, named `tables_name` and `page-` with `page_name`.
    Tables depend on the first, figures and pages on the second; they are made again when it has another name.
    """

    study: str
    title: str
    document: str
    dataset: str
    archive_sha256: str | None  # declared content digest; None for synthetic images, or where none is declared
    protocol: str
    split: Split
    series: Series = None  # of the data set: what the clean protocol keeps together besides clusters and groups
    axes: list[str]  # settings that vary, in the order of `Training`
    cells: list[dict[str, Any]]  # of each cell: id, and its value on each axis
    trainings: dict[str, Training]  # by cell
    models: dict[str, Model]  # by the names that trainings use
    weights: dict[str, str]  # by model: file name, `random` or `random_calibrated`
    notes: dict[str, str]  # by model: what its weights are
    classes: list[str]
    image: Image
    select: str  # what picks the best epoch: validation_loss or validation_accuracy
    replicates: int  # trainings of each cell on each split; on the first: seeds 0, 1, ..., replicates - 1
    explanations: Explanations
    published: list[Published]
    criterion: Criterion
    claims: dict[str, Claim]
    not_judged: list[NotJudged] = Field([])
    stacked: list[str]  # cells that trained together with others and so have no training time of their own
    synthetic: bool
    data: str  # the data set in words, with its source
    license: str
    competition: str | None
    submission: Submission | None
    show_images: bool
    jobs: list[str]  # folders below `results/<study>/jobs/`, of the first split
    other_splits: list[OtherSplit] = Field([])  # besides the first; not in a hash if there are none

    @property
    def jobs_of_splits(self) -> list[list[str]]:
        """Training jobs of each split, the first split first."""
        return [self.jobs, *(other.jobs for other in self.other_splits)]

    @property
    def all_jobs(self) -> list[str]:
        """Training jobs of all splits."""
        return [job for jobs in self.jobs_of_splits for job in jobs]

    def seeds_of_split(self, number: int) -> range:
        """Seeds of the trainings on a split, counted from 0."""
        return range(number * SEEDS_PER_SPLIT, number * SEEDS_PER_SPLIT + self.replicates)

    @cached_property
    def split_of_job(self) -> dict[str, int]:
        """Number of the split of each training job, from 0."""
        return {job: number for number, jobs in enumerate(self.jobs_of_splits) for job in jobs}

    def seeds_of(self, job: str) -> range:
        """Seeds of a training job."""
        return self.seeds_of_split(self.split_of_job[job])

    @cached_property
    def tables_name(self) -> str:
        """Hash of everything that tables and explanations are made from."""
        settings = self.model_dump(mode="json", exclude_defaults=True, exclude=PAGE_ONLY)
        return fingerprint(settings, VERSIONS["evaluation"], VERSIONS["explanations"])

    @cached_property
    def page_name(self) -> str:
        """Hash of everything that figures and pages show."""
        return fingerprint(self.tables_name, {name: getattr(self, name) for name in PAGE_ONLY}, VERSIONS["report"])


def read_manifest(file: str | Path) -> StudyManifest:
    return StudyManifest.model_validate_json(Path(file).read_text(encoding="utf-8"))


def write_manifest(manifest: StudyManifest, target: str) -> None:
    """Write `target`, named after `tables_name` or `page_name`, and remove earlier ones of its kind.

    Raises MedgridError when `target` has another name: settings changed while a run was starting.
    """
    file = Path(target)
    if file.stem not in (manifest.tables_name, f"page-{manifest.page_name}"):
        raise MedgridError("settings changed while the run was starting; start it again")
    is_page = file.stem.startswith("page-")
    for earlier in file.parent.glob("*.json"):
        if earlier.stem.startswith("page-") == is_page:
            earlier.unlink()
    if not manifest.submission:
        shutil.rmtree(file.parent.with_name("submissions"), ignore_errors=True)
    with atomic_write(file) as temporary:
        temporary.write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")


def prune(manifest: StudyManifest, folder: str) -> None:
    """Remove the training jobs in `folder` that the manifest does not name."""
    named = set(manifest.all_jobs)
    for job in Path(folder).glob("*/"):
        if job.name not in named:
            shutil.rmtree(job)
