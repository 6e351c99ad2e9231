"""A study's page: a folder with one HTML file, its figures, tables and model cards."""

from pathlib import Path
from typing import Any

import pandas as pd

from medgrid.evaluation.labels import setting_name
from medgrid.evaluation.results import read_table
from medgrid.grid.manifest import StudyManifest
from medgrid.report.labelled_results import LabelledResults
from medgrid.report.model_card import write_model_cards
from medgrid.report.site import provenance, sections
from medgrid.report.site.assets import write_assets
from medgrid.report.site.cards import write_cards
from medgrid.report.site.claims import claims
from medgrid.report.site.downloads import copy_tables, excerpt
from medgrid.report.site.figures import explanations, figures_by_section
from medgrid.report.site.interactive import learning_curves
from medgrid.report.site.render import render
from medgrid.report.site.summary import write_summaries
from medgrid.utils.files import atomic_folder

# tables that the page shows as they are
EXCERPTS = (
    "lookup", "comparisons", "interactions", "simple_effects", "batch_sizes", "expected_best", "improvement",
    "time_to_target",
)  # fmt: skip


def _results(study: LabelledResults) -> dict[str, Any]:
    """Values of the template that come from the study's tables."""
    header, rows = sections.networks(study)
    splits = len(study.manifest.jobs_of_splits)
    return {
        "claims": claims(study.folder),
        "metric_headings": [sections.heading(metric) for metric in sections.shown_metrics(study)],
        "rows": sections.cell_rows(study),
        "axes": sections.axis_columns(study),
        "published": sections.published(study),
        "excerpts": {name: excerpt(study, name) for name in (*EXCERPTS, *["splits"] * (splits > 1))},
        "splits": splits,
        "network_header": header,
        "networks": rows,
        "diagrams": sections.diagrams(study.folder),
        "reports": sections.class_reports(study),
        "submissions": sections.submissions(study) if study.manifest.submission else [],
        "replicates": int(study.table("cells")["replicates"].max()),
    }


def _provenance(study: LabelledResults) -> dict[str, Any]:
    return {
        "machines": provenance.machines(study),
        "environment": provenance.environment(),
        "settings": provenance.settings_text(study.manifest),
    }


def write_cards_and_page(
    manifest: StudyManifest, folder: str, inventory: str, split: str, tensors: str, site: str, audit: str = ""
) -> None:
    """Write a study's model cards, then its page, which shows them; see `write_model_cards` and `write_page`."""
    write_model_cards(manifest, folder, inventory, split, tensors, audit)
    images = facts_of_images(manifest, Path(inventory), Path(split))
    write_page(LabelledResults(manifest, Path(folder), Path(split)), images, site)


def facts_of_images(manifest: StudyManifest, inventory: Path, split: Path) -> dict[str, Any]:
    """What a page reports of the images, as JSON types: `data` (`sections.data`), `digests` (of files)."""
    return {
        "data": sections.data(pd.read_csv(inventory, keep_default_na=False, dtype=str), read_table(split)),
        "digests": provenance.data_digests(manifest, inventory, split),
    }


def write_page(study: LabelledResults, images: dict[str, Any], site: str) -> None:
    """Write the page of a study to `site`/STUDY, whole or not at all; summary.json and metrics.json in its folder.

    `images`: see `facts_of_images`; summary.json keeps them. `site`/STUDY holds index.html, settings.yaml, figures/,
    explanations/, tables/ and card-*.html; `site`/assets holds what all pages share.
    """
    manifest, data = study.manifest, images["data"]
    with atomic_folder(Path(site, manifest.study)) as target:
        values: dict[str, Any] = {
            "root": "../",
            "study": manifest,
            **images,
            "varied": [setting_name(name) for name in study.varied],
            "label_header": study.header(),
            "figures": figures_by_section(study.folder, target),
            # a licence that forbids showing the images also forbids showing their explanations
            "explanations": explanations(study.folder, target) if manifest.show_images else [],
            "curves": learning_curves(study, data["parts"]["train"]),
            "downloads": copy_tables(study.folder, target / "tables"),
            "cards": write_cards(manifest, study.folder, target),
            **_results(study),
            **_provenance(study),
        }
        (target / "settings.yaml").write_text(values["settings"], encoding="utf-8")
        (target / "index.html").write_text(render("study.html", **values), encoding="utf-8")
        write_assets(Path(site))
    write_summaries(study, images)
