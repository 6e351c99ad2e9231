"""One interface over three sources: Kaggle, a mirror folder, procedural images."""

import shutil
from pathlib import Path

from medgrid.config import Kaggle, Synthetic
from medgrid.data.archive import content_digest, pack
from medgrid.errors import MedgridError
from medgrid.files import exclusive, replacing


def fetch(settings: dict, target: str, mirror: str = "") -> None:
    """Place a data set's archive at `target`, whole and verified, or raise MedgridError and place nothing.

    `settings`: dataset, kaggle, sha256 (content digest), and synthetic (generator settings, with classes, or None).
    """
    kaggle = Kaggle.model_validate(settings["kaggle"])
    with replacing(target) as temporary:
        if settings["synthetic"]:
            from medgrid.data.synthetic import generate

            generate(Synthetic.model_validate(settings["synthetic"]), settings["classes"], temporary)
        elif mirror:
            _copy(Path(mirror), kaggle.slug, temporary)
            _verify(temporary, settings, f"{mirror}/{kaggle.slug}.zip")
        else:
            from medgrid.data.kaggle import download

            cache = Path(target).parent / "kaggle" / kaggle.slug
            with exclusive(cache.with_suffix(".lock"), f"another download of {kaggle.handle}"):
                folder = download(kaggle, cache)
                try:
                    _verify(folder, settings, f"Kaggle's {kaggle.handle}")
                    pack(folder, temporary)
                finally:
                    # Kaggle's client would trust what lies in its cache, right or wrong
                    shutil.rmtree(cache, ignore_errors=True)


def _copy(mirror: Path, slug: str, target: Path) -> None:
    source = mirror / f"{slug}.zip"
    if not mirror.is_dir():
        raise MedgridError(f"mirror: {mirror} is not a folder")
    if not source.is_file():
        held = ", ".join(sorted(path.name for path in mirror.glob("*.zip"))) or "no zip at all"
        raise MedgridError(f"mirror: {mirror} has no {slug}.zip (it holds {held})")
    shutil.copyfile(source, target)


def _verify(path: Path, settings: dict, source: str) -> None:
    digest = content_digest(path, called=source)
    if digest != settings["sha256"]:
        raise MedgridError(
            f"{source} is not what params.yaml declares: its content has the digest\n  {digest}, declared is\n"
            f"  {settings['sha256']}.\nFetch it again; if this other content is wanted, declare its digest as "
            f"datasets.{settings['dataset']}.sha256"
        )
