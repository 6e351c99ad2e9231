"""A study's page: a folder with one HTML file, its figures, tables and model cards beside it."""

import shutil
from pathlib import Path

import pandas as pd

from medgrid.evaluation.labels import setting_name
from medgrid.grid.versions import manifest_name
from medgrid.report.model_card import write_model_cards
from medgrid.report.site import provenance, sections
from medgrid.report.site.assets import write_assets
from medgrid.report.site.captions import explanations, figure_groups
from medgrid.report.site.cards import write_cards
from medgrid.report.site.claims import claims
from medgrid.report.site.downloads import as_it_is, tables
from medgrid.report.site.interactive import learning_curves
from medgrid.report.site.render import render
from medgrid.report.site.summary import write_summaries
from medgrid.report.study import Study, read

# tables that the page shows as they are
AS_THEY_ARE = ("comparisons", "interactions", "simple_effects", "batch_sizes")


def _sections(study: Study, data: dict, page: Path) -> dict:
    """What the template shows, from the study's folder."""
    settings, place = study.settings, study.folder
    header, networks = sections.networks(study)
    return {
        "study": settings,
        "data": data,
        "claims": claims(place),
        "shown": list(sections.shown(study).values()),
        "rows": sections.cell_rows(study),
        "axes": sections.axes(study),
        "varied": [setting_name(name) for name in study.varied],
        "groups": figure_groups(place, page),
        # a licence that keeps the images to oneself keeps their explanations, too
        "explanations": explanations(place, page) if settings["show_images"] else [],
        "machines": sections.machines(study),
        "published": sections.published(study),
        **{name: as_it_is(place / f"{name}.csv") for name in AS_THEY_ARE},
        "network_header": header,
        "networks": networks,
        "diagrams": sections.diagrams(place),
        "reports": sections.classification(study),
        "header": study.header(),
        "submissions": sections.submissions(study) if settings["submission"] else [],
        "replicates": int(study.means["replicates"].max()),
        "curves": learning_curves(study, data["parts"]["train"]),
        "environment": provenance.environment(),
        "settings": provenance.settings_text(study),
        "manifest": manifest_name(settings),
    }


def write_cards_and_page(
    settings: dict, folder: str, inventory: str, split: str, tensors: str, site: str, audit: str = ""
) -> None:
    """Write a study's model cards, then its page, which shows them; see `write_model_cards` and `write_page`."""
    write_model_cards(settings, folder, inventory, split, tensors, audit)
    write_page(settings, folder, inventory, split, site)


def write_page(settings: dict, folder: str, inventory: str, split: str, site: str) -> None:
    """Write the page of the study in `folder` to `site`/STUDY, whole or not at all; summary.json, metrics.json.

    In `site`/STUDY lie index.html, settings.yaml, figures/, explanations/, tables/ and card-*.html; in `site`/assets
    what all pages share.
    """
    study = Study(settings, Path(folder))
    target = Path(site, settings["study"])
    temporary = target.with_name(f".{target.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    data = sections.data(pd.read_csv(inventory, keep_default_na=False, dtype=str), read(Path(split)))
    values = _sections(study, data, temporary) | {
        "root": "../",
        "downloads": tables(study.folder, temporary / "tables"),
        "cards": write_cards(settings, study.folder, temporary),
        "digests": provenance.data_digests(settings, Path(inventory), Path(split)),
    }
    (temporary / "settings.yaml").write_text(values["settings"], encoding="utf-8")
    (temporary / "index.html").write_text(render("study.html", **values), encoding="utf-8")
    write_assets(Path(site))
    shutil.rmtree(target, ignore_errors=True)
    temporary.rename(target)
    write_summaries(study, study.folder)
