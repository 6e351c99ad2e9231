"""Pages of studies and the index page: complete, self-contained, with the measured numbers."""

import json
import re
import shutil
from html.parser import HTMLParser

import factories
import pandas as pd
import PIL.Image
import pytest

from medgrid.report.labelled_results import LabelledResults
from medgrid.report.site.index import write_index

pytestmark = pytest.mark.filterwarnings("error")


class Links(HTMLParser):
    def __init__(self, page: str):
        super().__init__()
        self.targets: list[str] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.targets += [value for name, value in attributes if name in ("src", "href", "srcset")]
        if tag == "img":
            assert dict(attributes).get("alt")
        elif tag not in ("meta", "br", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def assert_self_contained(page: str, folder) -> None:
    links = Links(page)
    assert not links.open
    files = links.targets
    identities = re.findall(r' id="([^"]+)"', page)
    assert len(identities) == len(set(identities))
    within = [link[1:] for link in files if link.startswith("#")]
    assert set(within) <= set(identities)
    # the index page is written last
    others = [link for link in files if not link.startswith("#") and link != "../index.html"]
    assert not [link for link in others if not (folder / link).exists()]
    assert not re.search(r"https?://|@import|url\(", page)


def part_of(page: str, title: str) -> str:
    """The section below a heading."""
    page = page[re.search(rf"<h2[^>]*>{title}", page).start() :]
    return page[: page.index("</section>")]


def words(html: str) -> str:
    return re.sub(r"\|+", "|", re.sub(r"\s*<[^>]+>\s*", "|", html))


@pytest.mark.slow
def test_a_large_page_has_every_row_in_one_table(large_study, tmp_path, params):
    shutil.copytree(large_study, folder := tmp_path / "large")
    manifest, _ = factories.settings_of(factories.shortened(params, "stroke_transfer"), "stroke_transfer")
    page = factories.reported(folder, manifest, figures=False)
    assert_self_contained(page, folder / "report/stroke_transfer")
    results = part_of(page, "Results")
    assert results.count("<table") == 1
    assert results.count("<tr") == 139 + 1
    assert page.count("<details><summary>vgg19, layer by layer") == 1
    assert "vgg19 &lt;layers&gt;" in page


def test_a_page_shows_published_numbers_and_sizes(tmp_path):
    rows = [["sgd", 0.1, 0.5], ["rmsprop", 0.1, 0.7]]
    entries = [
        {"source": "the table", "by": ["optimizer", "lr"], "metrics": ["test_accuracy"], "rows": rows},
        {"source": "sizes", "by": ["model"], "metrics": ["parameters", "conv"], "rows": [["resnet18", 15244100, 13]]},
    ]
    _, page = factories.finished(
        tmp_path, factories.small({"optimizer": ["sgd", "adam"], "lr": [0.1]}, published=entries)
    )
    assert_self_contained(page, tmp_path / "report/odd")
    text = words(part_of(page, "Published values next to ours"))
    ours = pd.read_csv(tmp_path / "tables/published.csv").loc[0]
    assert f"|sgd, learning rate 0.1|test accuracy %|50.00|{100 * ours['ours']:.2f}|" in text
    assert ("|outside|" if ours["inside"] == "no" else "|as predicted|") in text
    assert "|rmsprop, learning rate 0.1|test accuracy %|70.00|not run|" in text
    assert "Not run here: 1." in page
    assert "|resnet18|parameters|15,244,100|" in text
    assert "|resnet18|conv|13|13|0|equal|" in text


def test_a_page_reports_the_classes_of_selected_cells(tmp_path):
    manifest, page = factories.finished(tmp_path, factories.small({"lr": [0.1, 0.01]}), figures=False)
    study = LabelledResults(manifest, tmp_path)
    per_class = pd.read_csv(tmp_path / "tables/per_class.csv")
    per_class = per_class[(per_class["cell"] == study.best_cell()) & (per_class["checkpoint"] == "best")]
    report = words(part_of(page, "Results by class"))
    for name, rows in per_class.groupby("class"):
        mean = 100 * rows["recall"].mean()
        assert re.search(rf"\|{name}\|[\d.]+\|[^|]+\|{mean:.2f}\|", report)
    assert re.search(rf"mean of classes\|{100 * per_class['precision'].mean():.2f}\|", report)


def test_accuracy_without_near_duplicates_is_next_to_that_of_all(tmp_path):
    manifest, page = factories.finished(tmp_path, factories.small({"lr": [0.1, 0.01]}), figures=False)
    assert "6 of the test images have near-duplicates in training" in page
    best = pd.read_csv(tmp_path / "tables/cells.csv").query("checkpoint == 'best'").sort_values("test_accuracy_mean")
    results = words(part_of(page, "Results"))
    assert "|accuracy %|without near-duplicates %|balanced accuracy %|" in results
    both = best[["test_accuracy_mean", "test_accuracy_deduplicated_mean"]].iloc[-1]
    all_images, deduplicated = (f"{100 * value:.2f}" for value in both)
    assert re.search(rf"\|{all_images}\|[^|]+\|{deduplicated}\|", results)
    # without near-duplicates, no column is repeated
    images = pd.read_csv(tmp_path / "images.csv", keep_default_na=False)
    images["near_duplicate"] = images["near_duplicate"].replace("yes", "no")
    images.to_csv(tmp_path / "images.csv", index=False)
    page = factories.finish(tmp_path, manifest, figures=False)
    assert "near-duplicate" not in words(part_of(page, "Results"))
    assert "near-duplicates in training" not in page


def test_several_jobs_of_a_model_are_one_row(tmp_path):
    params = factories.small({"lr": [0.1, 0.01]}, one_job_per="replicate")
    manifest, jobs = factories.settings_of(params, "odd")
    factories.write_study(tmp_path, manifest, jobs)
    file = sorted((tmp_path / "jobs" / manifest.jobs[0]).glob("*/job.json"))[0]
    description = json.loads(file.read_text())
    description["training"]["device"] = "another machine"
    file.write_text(json.dumps(description))
    page = factories.finish(tmp_path, manifest, figures=False)
    provenance = part_of(page, "Provenance")
    machines = provenance[: provenance.index("<h3>Data")]
    assert machines.count("<tr>") == 2
    assert "another machine, cpu" in machines
    assert "<td>4</td>" in machines


def test_submission_commands_are_shown_for_real_images(tmp_path):
    params = factories.small({"lr": [0.1, 0.01]}, classes=("no", "yes"), dataset=factories.CONTEST)
    manifest, page = factories.finished(tmp_path, params, figures=False)
    assert "kaggle competitions submit" not in page
    assert "cannot be submitted" in page
    page = factories.finish(tmp_path, manifest.model_copy(update={"synthetic": False}), figures=False)
    best = LabelledResults(manifest, tmp_path).best_cell()
    file = tmp_path / "submissions" / f"{best}.csv"
    command = f'kaggle competitions submit -c some-contest -f "{file}" -m "odd {best}"'
    assert command in page.replace("&#34;", '"')
    assert "without a label" in page


def test_explanations_are_shown_where_images_may_be(tmp_path):
    manifest, jobs = factories.settings_of(factories.small({"lr": [0.1]}), "odd")
    factories.write_study(tmp_path, manifest, jobs)
    (tmp_path / "explanations").mkdir()
    for name in ("gradcam", "lime"):
        PIL.Image.new("RGB", (8, 8)).save(tmp_path / "explanations" / f"{name}.png")
    page = factories.finish(tmp_path, manifest, figures=False)
    assert page.index("LIME: superpixels") < page.index("Grad-CAM: regions")
    assert page.count('src="explanations/') == 2
    page = factories.finish(tmp_path, manifest.model_copy(update={"show_images": False}), figures=False)
    assert 'src="explanations/' not in page
    assert not list((tmp_path / "report").rglob("*.png"))


def test_the_index_page_links_every_study(tmp_path):
    for name, lr in (("two", [0.1]), ("one", [0.1, 0.01])):
        manifest, jobs = factories.settings_of(factories.small({"lr": lr}, replicates=3), "odd")
        manifest = manifest.model_copy(update={"study": name, "title": f"Study {name}"})
        (tmp_path / name).mkdir()
        factories.write_study(tmp_path / name, manifest, jobs)
        factories.finish(tmp_path / name, manifest, figures=False, site=True)
    write_index({"studies": ["one", "not yet run", "two"]}, str(tmp_path))
    site = tmp_path / "report"
    index = (site / "index.html").read_text()
    assert_self_contained(index, site)
    page = (site / "one" / "index.html").read_text()
    assert_self_contained(page, site / "one")
    assert 'href="../index.html"' in page
    assert "audit of the data set" not in index
    (site / "audits/phantoms").mkdir(parents=True)
    (site / "audits/phantoms/index.html").touch()
    write_index({"studies": ["one", "two"]}, str(tmp_path))
    assert (site / "index.html").read_text().count('href="audits/phantoms/index.html"') == 2
    assert 0 < index.index("Study one") < index.index("Study two")
    assert "2 cells × 3 replicates" in index  # noqa: RUF001
    assert "Synthetic images." in index
    assert "not for clinical use" in index
    cells = pd.read_csv(tmp_path / "two/tables/cells.csv")
    assert f"test accuracy {100 * cells.loc[0, 'test_accuracy_mean']:.2f} %" in index


def test_without_a_competition_there_is_no_submission_command(tmp_path):
    dataset = {"unlabelled": factories.CONTEST["unlabelled"]}
    manifest, _ = factories.finished(tmp_path, factories.small({"lr": [0.1]}, classes=("no", "yes"), dataset=dataset))
    page = factories.finish(tmp_path, manifest.model_copy(update={"synthetic": False}), figures=False)
    assert "kaggle competitions submit" not in page
    assert "submissions/lr=0.1.csv" in page
