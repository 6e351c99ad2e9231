"""Pages of studies and the front page: whole, standing alone, and saying what was measured."""

import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import factories
import pandas as pd
import PIL.Image
import pytest

from medgrid.report.site.index import write_index
from medgrid.report.study import Study

pytestmark = pytest.mark.filterwarnings("error")


class Links(HTMLParser):
    def __init__(self, page: str):
        super().__init__()
        self.found: list[str] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.found += [value for name, value in attributes if name in ("src", "href", "srcset")]
        if tag == "img":
            assert dict(attributes).get("alt")
        elif tag not in ("meta", "br", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def assert_stands_alone(page: str, folder) -> None:
    links = Links(page)
    assert not links.open
    files = links.found
    identities = re.findall(r' id="([^"]+)"', page)
    assert len(identities) == len(set(identities))
    within = [link[1:] for link in files if link.startswith("#")]
    assert set(within) <= set(identities)
    # what a run writes last is not there yet
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
    settings, _ = factories.settings_of(factories.shortened(params, "stroke_transfer"), "stroke_transfer")
    page = factories.reported(folder, settings, figures=False)
    assert_stands_alone(page, folder / "report/stroke_transfer")
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
    assert_stands_alone(page, tmp_path / "report/odd")
    text = words(part_of(page, "Published beside ours"))
    ours = pd.read_csv(tmp_path / "published.csv").loc[0]
    assert f"|sgd, learning rate 0.1|test accuracy %|50.00|{100 * ours['ours']:.2f}|" in text
    assert ("|outside|" if ours["inside"] == "no" else "|inside|") in text
    assert "|rmsprop, learning rate 0.1|test accuracy %|70.00|not run|" in text
    assert "Not run here: 1." in page
    assert "|resnet18|parameters|15,244,100|" in text
    assert "|resnet18|conv|13|13|0|equal|" in text


def test_a_page_reports_the_classes_of_chosen_cells(tmp_path):
    settings, page = factories.finished(tmp_path, factories.small({"lr": [0.1, 0.01]}), figures=False)
    study = Study(settings, tmp_path)
    per_class = pd.read_csv(tmp_path / "per_class.csv")
    own = per_class[(per_class["cell"] == study.chosen(None)) & (per_class["checkpoint"] == "best")]
    report = words(part_of(page, "Classification reports"))
    for name, rows in own.groupby("class"):
        mean = 100 * rows["recall"].mean()
        assert re.search(rf"\|{name}\|[\d.]+\|[^|]+\|{mean:.2f}\|", report)
    assert re.search(rf"mean of classes\|{100 * own['precision'].mean():.2f}\|", report)


def test_accuracy_without_near_duplicates_stands_beside_that_of_all(tmp_path):
    settings, page = factories.finished(tmp_path, factories.small({"lr": [0.1, 0.01]}), figures=False)
    assert "6 of the test images show a picture that trains" in page
    best = pd.read_csv(tmp_path / "cells.csv").query("checkpoint == 'best'").sort_values("test_accuracy_mean")
    results = words(part_of(page, "Results"))
    assert "|accuracy %|without near-duplicates %|balanced accuracy %|" in results
    both = best[["test_accuracy_mean", "test_accuracy_deduplicated_mean"]].iloc[-1]
    all_of_them, alone = (f"{100 * value:.2f}" for value in both)
    assert re.search(rf"\|{all_of_them}\|[^|]+\|{alone}\|", results)
    # where nothing leaks, nothing stands twice
    images = pd.read_csv(tmp_path / "images.csv", keep_default_na=False)
    images["near_duplicate"] = images["near_duplicate"].replace("yes", "no")
    images.to_csv(tmp_path / "images.csv", index=False)
    page = factories.finish(tmp_path, settings, figures=False)
    assert "near_duplicate" not in words(part_of(page, "Results"))
    assert "show a picture that trains" not in page


def test_several_jobs_of_a_model_are_one_row(tmp_path):
    params = factories.small({"lr": [0.1, 0.01]}, one_job_per="replicate")
    settings, jobs = factories.settings_of(params, "odd")
    factories.write_study(tmp_path, settings, jobs)
    place = tmp_path / "jobs" / settings["jobs"][0] / "job.json"
    job = json.loads(place.read_text())
    job["training"]["device"] = "another machine"
    place.write_text(json.dumps(job))
    page = factories.finish(tmp_path, settings, figures=False)
    provenance = part_of(page, "Provenance")
    machines = provenance[: provenance.index("<h3>Data")]
    assert machines.count("<tr>") == 2
    assert "another machine, cpu" in machines
    assert "<td>4</td>" in machines


def test_commands_hand_in_what_is_real(tmp_path):
    params = factories.small({"lr": [0.1, 0.01]}, classes=("no", "yes"), dataset=factories.CONTEST)
    settings, page = factories.finished(tmp_path, params, figures=False)
    assert "kaggle competitions submit" not in page
    assert "there is nothing to hand in" in page
    page = factories.finish(tmp_path, settings | {"synthetic": False}, figures=False)
    chosen = Study(settings, tmp_path).chosen(None)
    file = tmp_path / "submissions" / f"{chosen}.csv"
    command = f'kaggle competitions submit -c some-contest -f "{file}" -m "odd {chosen}"'
    assert command in page.replace("&#34;", '"')
    assert "without a label" in page


def test_explanations_are_shown_where_images_may_be(tmp_path):
    settings, jobs = factories.settings_of(factories.small({"lr": [0.1]}), "odd")
    factories.write_study(tmp_path, settings, jobs)
    (tmp_path / "explanations").mkdir()
    for name in ("gradcam", "lime"):
        PIL.Image.new("RGB", (8, 8)).save(tmp_path / "explanations" / f"{name}.png")
    page = factories.finish(tmp_path, settings, figures=False)
    assert page.index("LIME: superpixels") < page.index("Grad-CAM: where")
    assert page.count('src="explanations/') == 2
    page = factories.finish(tmp_path, settings | {"show_images": False}, figures=False)
    assert 'src="explanations/' not in page
    assert not list((tmp_path / "report").rglob("*.png"))


def test_the_front_page_leads_to_every_study_and_back(tmp_path):
    for name, lr in (("two", [0.1]), ("one", [0.1, 0.01])):
        settings, jobs = factories.settings_of(factories.small({"lr": lr}, replicates=3), "odd")
        settings |= {"study": name, "title": f"Study {name}"}
        (tmp_path / name).mkdir()
        factories.write_study(tmp_path / name, settings, jobs)
        factories.finish(tmp_path / name, settings, figures=False, site=True)
    write_index({"studies": ["one", "not yet run", "two"]}, str(tmp_path))
    site = tmp_path / "report"
    front = (site / "index.html").read_text()
    assert_stands_alone(front, site)
    page = (site / "one" / "index.html").read_text()
    assert_stands_alone(page, site / "one")
    assert 'href="../index.html"' in page
    assert "audit of the data set" not in front
    (site / "audits/phantoms").mkdir(parents=True)
    (site / "audits/phantoms/index.html").touch()
    write_index({"studies": ["one", "two"]}, str(tmp_path))
    assert (site / "index.html").read_text().count('href="audits/phantoms/index.html"') == 2
    assert 0 < front.index("Study one") < front.index("Study two")
    assert "2 cells × 3 replicates" in front  # noqa: RUF001
    assert "Synthetic images." in front
    assert "not for clinical use" in front
    cells = pd.read_csv(tmp_path / "two" / "cells.csv")
    assert f"test accuracy {100 * cells.loc[0, 'test_accuracy_mean']:.2f} %" in front


def test_jobs_read_long_settings_from_a_file(tmp_path):
    """The largest study's settings are longer than the kernel lets a single argument be."""
    settings, jobs = factories.settings_of(factories.small({"lr": [0.1]}), "odd")
    factories.write_study(tmp_path, settings, jobs)
    file = tmp_path / "manifest.json"
    file.write_text(json.dumps(settings | {"document": "x" * 200_000}))
    command = [sys.executable, "-m", "medgrid", "evaluate", f"@{file}", str(tmp_path), str(tmp_path / "images.csv")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "cells.csv").exists()


def test_a_folder_s_predictions_have_nowhere_to_be_handed_in(tmp_path):
    dataset = {"unlabelled": factories.CONTEST["unlabelled"]}
    settings, _ = factories.finished(tmp_path, factories.small({"lr": [0.1]}, classes=("no", "yes"), dataset=dataset))
    page = factories.finish(tmp_path, settings | {"synthetic": False}, figures=False)
    assert "kaggle competitions submit" not in page
    assert "submissions/lr=0.1.csv" in page
