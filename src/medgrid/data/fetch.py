"""Fetch a data set's archive from Kaggle, a mirror folder or a local folder, or generate synthetic images."""

import shutil
import sys
from pathlib import Path
from typing import Any

from medgrid.config import Kaggle, LabelTable, Synthetic
from medgrid.data.archive import content_digest, zip_folder
from medgrid.utils.errors import MedgridError
from medgrid.utils.files import atomic_write, file_lock


def fetch(settings: dict[str, Any], target: str, mirror: str = "", folder: str = "") -> None:
    """Write a data set's archive, a zip, to `target` after its content digest was checked.

    `settings`: dataset, kaggle (None: the images are in `folder`), sha256 (expected content digest; None: any), and
    synthetic (generator settings, or None), with classes and labels.
    `mirror`: a folder to read from instead of Kaggle. `folder`: a local folder or zip of images.
    Raises MedgridError, and writes nothing, when a source cannot be reached or its content does not match the digest.
    """
    kaggle = Kaggle.model_validate(settings["kaggle"]) if settings["kaggle"] else None
    with atomic_write(target) as temporary:
        if settings["synthetic"]:
            from medgrid.data.synthetic import generate

            labels = LabelTable.model_validate(settings["labels"]) if settings["labels"] else None
            generate(Synthetic.model_validate(settings["synthetic"]), settings["classes"], temporary, labels)
        elif kaggle is None:
            _fetch_local(settings, Path(folder).expanduser(), temporary)
        elif mirror:
            _fetch_from_mirror(settings, Path(mirror), kaggle.slug, temporary)
        else:
            _fetch_from_kaggle(settings, kaggle, Path(target).parent / "kaggle" / kaggle.slug, temporary)


def _fetch_local(settings: dict[str, Any], source: Path, target: Path) -> None:
    if not source.exists():
        raise MedgridError(f"datasets.{settings['dataset']}.folder: {source} does not exist")
    if source.is_dir():
        zip_folder(source, target)
    else:
        shutil.copyfile(source, target)
    # of the copy, because files of the folder may change meanwhile
    _verify(target, settings, str(source))


def _fetch_from_mirror(settings: dict[str, Any], mirror: Path, slug: str, target: Path) -> None:
    source = mirror / f"{slug}.zip"
    if not mirror.is_dir():
        raise MedgridError(f"mirror: {mirror} is not a folder")
    if not source.is_file():
        zips = ", ".join(sorted(path.name for path in mirror.glob("*.zip"))) or "no zip files"
        raise MedgridError(f"mirror: {mirror} has no {slug}.zip (it contains {zips})")
    if settings["sha256"] is None:
        raise MedgridError(
            f"{source} may be a re-encoded copy, and datasets.{settings['dataset']}.sha256 is not set. The content "
            f"digest of the file is\n  {content_digest(source)}\n"
            "Set it if these are the right images, or download them from Kaggle, without mirror"
        )
    shutil.copyfile(source, target)
    _verify(target, settings, str(source))


def _fetch_from_kaggle(settings: dict[str, Any], kaggle: Kaggle, cache: Path, target: Path) -> None:
    from medgrid.data.kaggle import download

    with file_lock(cache.with_suffix(".lock"), f"another download of {kaggle.handle}"):
        folder = download(kaggle, cache)
        try:
            digest = _verify(folder, settings, f"Kaggle's {kaggle.handle}")
            zip_folder(folder, target)
        finally:
            # Kaggle's client does not check the files in its cache
            shutil.rmtree(cache, ignore_errors=True)
    if settings["sha256"] is None:
        print(
            f"medgrid: the content digest of Kaggle's {kaggle.handle} is\n  {digest}\nSet it as "
            f"datasets.{settings['dataset']}.sha256, so that later downloads are compared with it",
            file=sys.stderr,
        )


def _verify(path: Path, settings: dict[str, Any], source: str) -> str:
    """Content digest of a folder or zip; raises MedgridError if settings have another one."""
    digest = content_digest(path, source)
    if settings["sha256"] not in (None, digest):
        raise MedgridError(
            f"{source} does not have the content that params.yaml declares: its content digest is\n  {digest}, "
            f"expected is\n  {settings['sha256']}.\nFetch the files again; if this content is right, set its digest "
            f"as datasets.{settings['dataset']}.sha256"
        )
    return digest
