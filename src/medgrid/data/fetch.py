"""One interface over four sources: Kaggle, a mirror folder, a folder of one's own, procedural images."""

import shutil
import sys
from pathlib import Path

from medgrid.config import Kaggle, LabelTable, Synthetic
from medgrid.data.archive import content_digest, zip_folder
from medgrid.utils.errors import MedgridError
from medgrid.utils.files import atomic_write, file_lock


def fetch(settings: dict, target: str, mirror: str = "", folder: str = "") -> None:
    """Place a data set's archive at `target`, whole and verified, or raise MedgridError and place nothing.

    `settings`: dataset, kaggle (or None: the images lie in `folder`), sha256 (content digest; None: whatever Kaggle
    delivers), and synthetic (generator settings, or None), with classes and labels.
    `mirror`: a folder that stands in for Kaggle. `folder`: where a user's own images lie, as a folder or a zip.
    """
    kaggle = Kaggle.model_validate(settings["kaggle"]) if settings["kaggle"] else None
    with atomic_write(target) as temporary:
        if settings["synthetic"]:
            from medgrid.data.synthetic import generate

            labels = LabelTable.model_validate(settings["labels"]) if settings["labels"] else None
            generate(Synthetic.model_validate(settings["synthetic"]), settings["classes"], temporary, labels)
        elif kaggle is None:
            _own(settings, Path(folder).expanduser(), temporary)
        elif mirror:
            _copy(settings, Path(mirror), kaggle.slug, temporary)
        else:
            _download(settings, kaggle, Path(target).parent / "kaggle" / kaggle.slug, temporary)


def _own(settings: dict, source: Path, target: Path) -> None:
    if not source.exists():
        raise MedgridError(f"datasets.{settings['dataset']}.folder: {source} does not exist")
    if source.is_dir():
        zip_folder(source, target)
    else:
        shutil.copyfile(source, target)
    # what was packed, not what lies there: somebody may be working on the folder
    _verify(target, settings, str(source))


def _copy(settings: dict, mirror: Path, slug: str, target: Path) -> None:
    source = mirror / f"{slug}.zip"
    if not mirror.is_dir():
        raise MedgridError(f"mirror: {mirror} is not a folder")
    if not source.is_file():
        held = ", ".join(sorted(path.name for path in mirror.glob("*.zip"))) or "no zip at all"
        raise MedgridError(f"mirror: {mirror} has no {slug}.zip (it holds {held})")
    if settings["sha256"] is None:
        raise MedgridError(
            f"{source} may be a re-encoded copy, and datasets.{settings['dataset']}.sha256 does not say which images "
            f"are wanted. Its content has the digest\n  {content_digest(source)}\n"
            "Declare that if these are the ones, or leave out the mirror to take what Kaggle has"
        )
    shutil.copyfile(source, target)
    _verify(target, settings, str(source))


def _download(settings: dict, kaggle: Kaggle, cache: Path, target: Path) -> None:
    from medgrid.data.kaggle import download

    with file_lock(cache.with_suffix(".lock"), f"another download of {kaggle.handle}"):
        folder = download(kaggle, cache)
        try:
            digest = _verify(folder, settings, f"Kaggle's {kaggle.handle}")
            zip_folder(folder, target)
        finally:
            # Kaggle's client would trust what lies in its cache, right or wrong
            shutil.rmtree(cache, ignore_errors=True)
    if settings["sha256"] is None:
        print(
            f"medgrid: the content of Kaggle's {kaggle.handle} has the digest\n  {digest}\nDeclare it as "
            f"datasets.{settings['dataset']}.sha256, and every later download is held against it",
            file=sys.stderr,
        )


def _verify(path: Path, settings: dict, source: str) -> str:
    """Content digest of a folder or zip; raises MedgridError if another one is declared."""
    digest = content_digest(path, called=source)
    if settings["sha256"] not in (None, digest):
        raise MedgridError(
            f"{source} is not what params.yaml declares: its content has the digest\n  {digest}, declared is\n"
            f"  {settings['sha256']}.\nGet the declared files again; if this other content is wanted, "
            f"declare its digest as datasets.{settings['dataset']}.sha256"
        )
    return digest
