"""Figures and pages, of usual studies and unusual ones: few axes, gaps in the grid, diverged cells, two classes."""

import copy
import itertools
import json
import re
import subprocess
import sys
import warnings
from html.parser import HTMLParser

import fake
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import PIL.Image
import pytest
import seaborn as sns

from medgrid.evaluation.tables import write_tables
from medgrid.report import style
from medgrid.report.beside import published, sources
from medgrid.report.classes import confusion, roc
from medgrid.report.compare import best_worst, heatmap, ranking
from medgrid.report.curves import colour_axis, curve_figures, curves
from medgrid.report.figures import drawings
from medgrid.report.front import write_front
from medgrid.report.images import class_counts, samples
from medgrid.report.page import write_page
from medgrid.report.study import Study, settings_in
from medgrid.report.trends import accuracy_parameters, auc_batch_size, speed

CONTEST = {
    "folder": None, "sha256": None, "kaggle": {"handle": "some-contest"}, "unlabelled": r"^test/(?P<id>\w+)\.tif$",
}  # fmt: skip


@pytest.fixture(autouse=True)
def strict():
    """A warning of pandas or matplotlib is a mistake of ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
    plt.close("all")


def finished(folder, params, key="odd", diverged=(), **options):
    settings, packs = fake.settings_of(params, key)
    fake.write_study(folder, settings, packs, diverged)
    return settings, fake.finish(folder, settings, **options)


def evaluated(folder, params, key="odd", diverged=()) -> Study:
    """A study as the figures get it."""
    settings, packs = fake.settings_of(params, key)
    fake.write_study(folder, settings, packs, diverged)
    write_tables(settings, str(folder))
    style.use()
    return Study(settings, folder)


def shortened(params, key: str) -> dict:
    """A study of params.yaml with its whole grid, but short trainings of two seeds."""
    params = copy.deepcopy(params) | {"source": "synthetic"}
    params["studies"][key] |= {"replicates": 2, "fixed": params["studies"][key]["fixed"] | {"epochs": 3}}
    return params


@pytest.fixture(scope="module")
def large(tmp_path_factory, params) -> Study:
    """The largest grid: 139 cells, eleven of them beside the product of the axes, of six models and two classes."""
    folder = tmp_path_factory.mktemp("large")
    study = evaluated(folder, shortened(params, "stroke_transfer"), "stroke_transfer")
    assert len(study.cells) == 139
    return study


@pytest.fixture(scope="module")
def gaps(tmp_path_factory, params) -> Study:
    """A grid whose extra cells lack settings that the others have."""
    folder = tmp_path_factory.mktemp("gaps")
    return evaluated(folder, shortened(params, "pneumonia_loss"), "pneumonia_loss")


def assert_readable(figure, smallest: float = 6.5) -> None:
    """No label on another, no legend on axes, nothing too small to read."""
    figure.draw_without_rendering()
    subfigures = [figure, *figure.subfigs]
    for axes in itertools.chain.from_iterable(part.axes for part in subfigures):
        if not axes.axison:
            continue
        ticks = [label for label in axes.get_yticklabels() if label.get_text() and label.get_visible()]
        boxes = sorted((label.get_window_extent() for label in ticks), key=lambda box: box.y0)
        for below, above in itertools.pairwise(boxes):
            assert above.y0 >= below.y1 - 1, [label.get_text() for label in ticks]
        for label in [*ticks, *(each for each in axes.get_xticklabels() if each.get_text()), axes.title]:
            assert label.get_fontsize() >= smallest
        for other in itertools.chain.from_iterable(part.axes for part in subfigures):
            if other is not axes and axes.get_title() and other.get_title():
                assert not axes.title.get_window_extent().overlaps(other.title.get_window_extent()), axes.get_title()
        for legend in figure.legends:
            assert not legend.get_window_extent().overlaps(axes.get_window_extent())


# which figures a study gets


def test_one_axis_without_models(tmp_path):
    finished(tmp_path, fake.small({"lr": [1e-5, 0.1]}))
    assert {path.stem for path in (tmp_path / "figures").iterdir()} == {
        "class_counts", "samples", "heatmap", "ranking", "confusion", "curves", "roc",
    }  # fmt: skip


def test_what_varies_decides_which_figures_there_are(tmp_path):
    axes = {"model": ["resnet18", "vgg16"], "batch_size": [16, 32, 64], "lr": [0.1, 0.01]}
    entry = {"source": "x", "by": ["model", "lr"], "metrics": ["test_accuracy"], "rows": [["vgg16", 0.1, 0.5]]}
    params = fake.small(axes, models=("resnet18", "vgg16"), published=[entry])
    assert set(drawings(evaluated(tmp_path, params))) == {
        "ranking", "heatmap", "published", "auc_batch_size", "best_worst", "accuracy_parameters", "speed",
        "curves-resnet18", "curves-vgg16", "confusion", "roc-resnet18", "roc-vgg16",
    }  # fmt: skip


def test_models_of_one_panel_each_share_a_figure(tmp_path):
    axes = {"model": ["resnet18", "vgg16"], "mode": ["scratch", "full"]}
    study = evaluated(tmp_path, fake.small(axes, models=("resnet18", "vgg16")))
    assert list(curve_figures(study)) == ["curves"]
    figure, _ = curves(study, *curve_figures(study)["curves"])
    titles = [axes.get_title() for part in figure.subfigs for axes in part.axes]
    assert {title for title in titles if title} == {"resnet18", "vgg16"}


@pytest.mark.parametrize("some", ["one", "all"])
def test_diverged_cells_are_marked(some, tmp_path):
    seeds = [("lr=0.1", 0), ("lr=0.1", 1)]
    seeds += [(f"lr={lr}", seed) for lr in (0.01, 0.001) for seed in (0, 1)] * (some == "all")
    params = fake.small({"lr": [0.1, 0.01, 0.001]}, classes=("a", "b"))
    _, page = finished(tmp_path, params, diverged=tuple(seeds))
    assert page.count("2 diverged") == len(seeds) // 2
    assert ("◆</td>" in page or 'class="chosen"' in page) == (some == "one")


def test_a_cell_of_which_some_diverged_is_starred_and_never_chosen(tmp_path):
    params = fake.small({"lr": [0.1, 0.01]})
    best = evaluated(tmp_path / "sound", params).chosen(None)
    study = evaluated(tmp_path / "unsound", params, diverged=((best, 0),))
    assert study.best.loc[best, "validation_loss_mean"] == study.best["validation_loss_mean"].min()
    assert study.chosen(None) != best
    texts = [text.get_text() for text in heatmap(study)[0].axes[0].texts]
    # rates ascend
    assert [text.endswith("*") for text in texts] == [best == "lr=0.01", best == "lr=0.1"]


# large and incomplete grids


def test_settings_that_a_model_implies_are_not_repeated(large):
    assert large.axes == ["model", "mode", "unfrozen", "augmentation", "normalisation", "optimizer", "lr"]
    assert large.varied == ["model", "unfrozen", "augmentation", "optimizer", "lr"]
    assert len({large.label(cell) for cell in large.cells.index}) == 139


def test_every_cell_has_its_curves_once(large, gaps):
    for study in (large, gaps):
        figures = curve_figures(study)
        shown = [cell for cells, _ in figures.values() for cell in cells.index]
        assert sorted(shown) == sorted(study.cells.index)
        for cells, hue in figures.values():
            panels = [axis for axis in study.varied if axis not in ("model", hue)]
            assert len(settings_in(cells, panels)) <= 6


def test_curves_compare_the_number_with_the_most_values(large, gaps):
    assert colour_axis(large, large.cells_of("vgg19")) == "unfrozen"
    # of this model, only words vary
    assert colour_axis(large, large.cells_of("cnn_simple")) == "optimizer"
    assert colour_axis(gaps, gaps.cells) == "step_size"


def test_a_ranking_names_every_cell_readably(large):
    figure, _ = ranking(large)
    assert_readable(figure)
    labels = [label.get_text() for axes in figure.axes for label in axes.get_yticklabels()]
    assert sorted(labels) == sorted(large.label(cell) for cell in large.cells.index)
    best = large.best["test_accuracy_mean"].idxmax()
    assert large.best.loc[best, "test_accuracy_mean"] == large.best["test_accuracy_mean"].max()
    assert figure.get_size_inches()[0] < 12


@pytest.mark.parametrize("which", ["large", "gaps"])
def test_a_heat_map_shows_every_cell_where_it_belongs(which, request):
    study = request.getfixturevalue(which)
    figure, _ = heatmap(study)
    assert_readable(figure)
    shown = {}
    for axes in figure.axes:
        rows, columns = (
            [label.get_text() for label in labels] for labels in (axes.get_yticklabels(), axes.get_xticklabels())
        )
        for text in axes.texts:
            column, row = text.get_position()
            place = f"{axes.get_title()} · {rows[int(row)]} · {columns[int(column)]}"
            shown[place] = text.get_text()
    wanted = {
        " · ".join(study.cells.loc[cell, study.varied]): f"{100 * accuracy:.1f}"
        for cell, accuracy in study.best["test_accuracy_mean"].items()
    }
    assert {place: text for place, text in shown.items() if text} == wanted


def test_absent_settings_are_labelled_as_such(gaps):
    assert gaps.values["step_size"] == ["3", "5", "10", "20", "–"]  # noqa: RUF001
    assert gaps.values["milestones"] == ["–", "20, 40"] or gaps.values["milestones"] == ["20, 40", "–"]  # noqa: RUF001
    labels = [gaps.label(cell).replace("\u00a0", " ") for cell in gaps.cells.index]
    assert "cross_entropy · cosine · – · 32 · 0.001" in labels  # noqa: RUF001


@pytest.mark.parametrize("which", ["large", "gaps"])
def test_figures_are_readable(which, request):
    study = request.getfixturevalue(which)
    todo = drawings(study)
    names = [name for name in todo if not name.startswith(("ranking", "heatmap", "roc-", "curves-"))]
    # of figures in series, one
    for name in [*names, *[name for name in todo if name.startswith("curves-")][:1]]:
        figure, note = todo[name]()
        assert_readable(figure)
        assert "synthetic images" in note


def test_long_titles_of_neighbours_are_wrapped(tmp_path, params):
    key = "pneumonia_loss_published_cells"
    study = evaluated(tmp_path, shortened(params, key), key)
    (cells, hue) = curve_figures(study)["curves"]
    assert_readable(curves(study, cells, hue)[0])


# what figures show


def test_early_stopped_curves_go_on_fainter(tmp_path):
    fixed = {
        "mode": "full",
        "optimizer": "adam",
        "loss": "cross_entropy",
        "epochs": 10,
        "batch_size": 32,
        "patience": 2,
    }
    params = fake.small({"lr": [0.1]}, replicates=4)
    params["studies"]["odd"]["fixed"] = {"model": "resnet18", **fixed}
    study = evaluated(tmp_path, params)
    lengths = study.replicates[study.replicates["checkpoint"] == "best"]["epochs"]
    assert lengths.min() < lengths.max()
    figure, _ = curves(study, *curve_figures(study)["curves"])
    whole, rest = figure.subfigs[0].axes[0].get_lines()[:2]
    assert whole.get_xdata()[-1] == rest.get_xdata()[0] == lengths.min()
    assert rest.get_xdata()[-1] == lengths.max()
    assert rest.get_alpha() < 1


def test_auc_by_batch_size_shows_ours_and_theirs(tmp_path):
    axes = {"optimizer": ["sgd", "adam"], "batch_size": [64, 16, 32], "lr": [0.1, 0.01]}
    rows = [["adam", size, 0.1, 0.9 + size / 1000] for size in (16, 32, 64)]
    entry = {
        "source": "the paper",
        "by": ["optimizer", "batch_size", "lr"],
        "metrics": ["test_auc_macro"],
        "rows": rows,
    }
    study = evaluated(tmp_path, fake.small(axes, published=[entry]))
    figure, _ = auc_batch_size(study)
    assert_readable(figure)
    sgd, adam = figure.axes
    assert (sgd.get_title(), adam.get_title()) == ("sgd", "adam")
    lines = {
        tuple(line.get_xdata()): list(line.get_ydata()) for line in adam.get_lines() if line.get_linestyle() == "-"
    }
    assert list(lines) == [(16, 32, 64)]
    (marks,) = [line for line in adam.get_lines() if line.get_linestyle() == "None"]
    assert list(marks.get_xdata()) == [16, 32, 64]
    assert list(marks.get_ydata()) == pytest.approx([0.916, 0.932, 0.964])
    assert marks.get_markerfacecolor() == "none"
    assert not [line for line in sgd.get_lines() if line.get_linestyle() == "None"]
    drawn = [list(line.get_ydata()) for line in adam.get_lines() if line.get_linestyle() == "-"]
    wanted = [
        [study.best.loc[f"adam_batch_size={size}_lr={lr}", "test_auc_macro_mean"] for size in (16, 32, 64)]
        for lr in (0.1, 0.01)
    ]
    assert sorted(drawn) == sorted(wanted)


def test_best_and_worst_are_what_validation_says(large):
    figure, _ = best_worst(large)
    (axes,) = figure.axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    for model, best, worst in zip(large.models, labels[::2], labels[1::2], strict=True):
        losses = large.of_model(large.best, model)["validation_loss_mean"]
        assert best == f"{large.label(losses.idxmin())}  best"
        assert worst == f"{large.label(losses.idxmax())}  worst"


def test_accuracy_against_size_reads_the_networks_sizes(large):
    figure, _ = accuracy_parameters(large)
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    shown = {round(float(line.get_xdata()[0])) for line in axes.get_lines() if line.get_marker() == "o"}
    models = pd.read_csv(large.folder / "models.csv").drop_duplicates("model")
    assert shown == {*models["parameters"], *models["trainable"]}


@pytest.mark.parametrize("drawing", [ranking, best_worst, accuracy_parameters])
def test_no_accuracy_beyond_what_can_be(drawing, tmp_path):
    """The interval of two seeds is wider than the scale."""
    axes = {"model": ["resnet18", "vgg16"], "lr": [0.1, 0.01, 0.001]}
    study = evaluated(tmp_path, fake.small(axes, models=("resnet18", "vgg16")))
    assert study.best["test_accuracy_high"].max() > 1.05
    (axes,) = drawing(study)[0].axes
    low, high = axes.get_ylim() if drawing is accuracy_parameters else axes.get_xlim()
    assert -5 < low < high < 105


def test_speed_is_seconds_per_epoch(tmp_path):
    study = evaluated(tmp_path, fake.small({"model": ["resnet18", "vgg16"]}, models=("resnet18", "vgg16")))
    figure, note = speed(study)
    best = study.replicates[study.replicates["checkpoint"] == "best"]
    wanted = (best["seconds"] / best["epochs"]).groupby(best["cell"]).mean()
    drawn = [x for points in figure.axes[0].collections for x, _ in points.get_offsets()]
    assert sorted(drawn) == pytest.approx(sorted(wanted))
    assert "trained on: cpu" in note


def test_published_numbers_stand_beside_ours(tmp_path):
    rows = [["sgd", 0.1, 0.5, 1.5], ["adam", 0.1, 0.6, None], ["rmsprop", 0.1, 0.7, 0.1]]
    entry = {"source": "x", "by": ["optimizer", "lr"], "metrics": ["test_accuracy", "test_loss"], "rows": rows}
    study = evaluated(tmp_path, fake.small({"optimizer": ["sgd", "adam"], "lr": [0.1, 0.01]}, published=[entry]))
    assert list(sources(study)) == ["x"]
    figure, _ = published(study, "x")
    assert_readable(figure)
    accuracy, loss = figure.axes
    assert [axes.get_title() for axes in (accuracy, loss)] == ["test accuracy in %", "test loss"]
    ours, theirs = accuracy.get_lines()[-2:]
    assert list(theirs.get_xdata()) == [50, 60]
    assert list(ours.get_xdata()) == pytest.approx(
        [100 * study.best.loc[cell, "test_accuracy_mean"] for cell in ("sgd_lr=0.1", "adam_lr=0.1")], rel=1e-4
    )
    assert list(loss.get_lines()[-1].get_xdata()) == [1.5]


def test_two_classes_have_one_roc_curve(tmp_path):
    two = roc(evaluated(tmp_path / "2", fake.small({"lr": [0.1]}, classes=("no", "yes"))), None)[0]
    three = roc(evaluated(tmp_path / "3", fake.small({"lr": [0.1]})), None)[0]
    # the diagonal, then the curves
    assert [len(figure.axes[0].get_lines()) for figure in (two, three)] == [1 + 1, 1 + 3 + 2]
    assert two.axes[0].get_legend().get_texts()[0].get_text().startswith("yes: AUC")


def test_confusion_reads_the_chosen_cell(tmp_path):
    study = evaluated(tmp_path, fake.small({"lr": [0.1, 0.01]}))
    figure, _ = confusion(study)
    counts = pd.read_csv(tmp_path / "confusion.csv")
    counts = counts[(counts["cell"] == study.chosen(None)) & (counts["checkpoint"] == "best")]
    matrix = counts.groupby(["class", "predicted"])["images"].mean().unstack()
    wanted = (100 * matrix.div(matrix.sum(axis=1), axis=0)).to_numpy().ravel()
    assert [float(text.get_text()) for text in figure.axes[0].texts] == pytest.approx(wanted, abs=0.051)


def test_images_without_a_label_are_not_counted(tmp_path):
    study = evaluated(tmp_path, fake.small({"lr": [0.1]}, classes=("no", "yes"), dataset=CONTEST))
    split = pd.read_csv(tmp_path / "images.csv")
    assert (split["part"] == "unlabelled").sum() == 10
    figure = class_counts(study, split)
    assert "(60 in all)" in figure.axes[0].get_title()
    assert sum(bar.get_height() for bars in figure.axes[0].containers for bar in bars) == 60
    # an image that validates and tests is one image, in two bars
    both = pd.concat([split, split[split["part"] == "test"].assign(part="validation")])
    assert "(60 in all)" in class_counts(study, both).axes[0].get_title()


def test_grey_samples(tmp_path):
    params = fake.small({"lr": [0.1]}, image={"size": 24, "colour": "grey"}, models=("plain",))
    params["weights"] = {}
    params["studies"]["odd"]["models"] = {"plain": {"layers": [{"pool": "flatten"}]}}
    params["studies"]["odd"]["fixed"]["mode"] = "scratch"
    study = evaluated(tmp_path, params)
    tensors = np.load(tmp_path / "tensors.npy")
    assert tensors.shape[-1] == 1
    figure = samples(study, pd.read_csv(tmp_path / "images.csv"), tensors)
    shown = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    assert shown
    assert all(image.ndim == 2 for image in shown)


def test_saved_figures_keep_their_colours(tmp_path, monkeypatch):
    """Lines under bands of the same hues: what names a line must not be merged with another's colour."""
    drawn = []
    quantize = PIL.Image.Image.quantize
    monkeypatch.setattr(
        PIL.Image.Image, "quantize", lambda image, *a, **k: drawn.append(np.array(image)) or quantize(image, *a, **k)
    )
    style.use()
    figure, axes = plt.subplots(figsize=(5, 4))
    x = np.linspace(0, 1, 200)
    for i, colour in enumerate(sns.color_palette(style.PALETTE, 6)):
        for shift in np.linspace(0, 0.5, 5):
            axes.fill_between(x, x**0.5 + 0.1 * i, x + 0.1 * i + shift, color=colour, alpha=0.13)
        axes.plot(x, x**0.5 + 0.1 * i, color=colour, label=f"line {i}")
    axes.legend()
    style.save(figure, tmp_path / "a.png", "a note")
    with PIL.Image.open(tmp_path / "a.png") as image:
        saved = np.array(image.convert("RGB")).astype(int)
    assert len(np.unique(drawn[0].reshape(-1, 3), axis=0)) > 1000
    assert np.abs(saved - drawn[0]).sum(axis=2).max() < 45


def test_the_note_lies_below_everything_else(tmp_path):
    style.use()
    figure, axes = plt.subplots(figsize=(5, 4), layout="constrained")
    axes.plot([0, 1], color="red", linewidth=3, label="red")
    figure.legend(loc="outside lower center")
    style.save(figure, tmp_path / "a.png", "a note")
    with PIL.Image.open(tmp_path / "a.png") as image:
        pixels = np.array(image.convert("RGB")).astype(int)
    written = np.flatnonzero((pixels < 200).any(axis=(1, 2)))
    # the last lines of the picture are those of the note: grey, without the legend's red
    last = np.split(written, np.flatnonzero(np.diff(written) > 1) + 1)[-1]
    assert len(last) > 3
    assert np.ptp(pixels[last], axis=2).max() < 40


# pages


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
        elif tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def assert_stands_alone(page: str, folder) -> None:
    links = Links(page)
    assert not links.open
    files = [link for link in links.found if not link.startswith("data:image/png;base64,")]
    assert all((folder / link).exists() for link in files), files
    assert not re.search(r"https?://|<script|@import|url\(", page)


def test_a_large_page_folds_what_is_long(large):
    (large.folder / "explanations").mkdir(exist_ok=True)
    images = str(large.folder / "images.csv")
    write_page(large.settings, str(large.folder), images, images)
    page = (large.folder / "index.html").read_text()
    assert_stands_alone(page, large.folder)
    assert "109 more cells" in page
    results = page[page.index("<h2>Results") : page.index("Tables:")]
    assert results.count("<tr") == 139 + 2  # in two tables with their headers
    assert results.index("<details>") > 0
    assert results[: results.index("<details>")].count("<tr") == 31
    assert page.count("<details><summary>vgg19, layer by layer") == 1
    assert "vgg19 &lt;layers&gt;" in page


def test_a_page_shows_published_numbers_and_sizes(tmp_path):
    rows = [["sgd", 0.1, 0.5], ["rmsprop", 0.1, 0.7]]
    entries = [
        {"source": "the table", "by": ["optimizer", "lr"], "metrics": ["test_accuracy"], "rows": rows},
        {"source": "sizes", "by": ["model"], "metrics": ["parameters", "conv"], "rows": [["resnet18", 15244100, 13]]},
    ]
    _, page = finished(tmp_path, fake.small({"optimizer": ["sgd", "adam"], "lr": [0.1]}, published=entries))
    assert_stands_alone(page, tmp_path)
    text = re.sub(r"\s*<[^>]+>\s*", "|", page[page.index("Published beside ours") :])
    text = re.sub(r"\|+", "|", text)
    ours = pd.read_csv(tmp_path / "published.csv").loc[0]
    assert f"|sgd, learning rate 0.1|test accuracy %|50.00|{100 * ours['ours']:.2f}|" in text
    assert ("|outside|" if ours["inside"] == "no" else "|inside|") in text
    assert "|rmsprop, learning rate 0.1|test accuracy %|70.00|not run|" in text
    assert "Not run here: 1." in page
    assert "|resnet18|parameters|15,244,100|" in text
    assert "|resnet18|conv|13|13|0|equal|" in text


def test_a_page_reports_the_classes_of_chosen_cells(tmp_path):
    settings, page = finished(tmp_path, fake.small({"lr": [0.1, 0.01]}), figures=False)
    study = Study(settings, tmp_path)
    per_class = pd.read_csv(tmp_path / "per_class.csv")
    own = per_class[(per_class["cell"] == study.chosen(None)) & (per_class["checkpoint"] == "best")]
    report = re.sub(r"\s*<[^>]+>\s*", "|", page[page.index("Classification reports") : page.index("<h2>Networks")])
    for name, rows in own.groupby("class"):
        mean = 100 * rows["recall"].mean()
        assert re.search(rf"\|{name}\|+[\d.]+\|[^|]+\|+{mean:.2f}\|", report)
    assert re.search(rf"mean of classes\|+{100 * own['precision'].mean():.2f}\|", report)


def test_several_packs_of_a_model_are_one_row(tmp_path):
    params = fake.small({"lr": [0.1, 0.01]}, pack="replicate")
    settings, packs = fake.settings_of(params, "odd")
    fake.write_study(tmp_path, settings, packs)
    place = tmp_path / "packs" / settings["packs"][0] / "pack.json"
    pack = json.loads(place.read_text())
    pack["training"]["device"] = "another machine"
    place.write_text(json.dumps(pack))
    page = fake.finish(tmp_path, settings, figures=False)
    machines = page[page.index("Weights and machine") : page.index("<h2>Results")]
    assert machines.count("<tr>") == 2
    assert "another machine, cpu" in machines
    assert "<td>4</td>" in machines


def test_commands_hand_in_what_is_real(tmp_path):
    params = fake.small({"lr": [0.1, 0.01]}, classes=("no", "yes"), dataset=CONTEST)
    settings, page = finished(tmp_path, params, figures=False)
    assert "kaggle competitions submit" not in page
    assert "there is nothing to hand in" in page
    page = fake.finish(tmp_path, settings | {"synthetic": False}, figures=False)
    chosen = Study(settings, tmp_path).chosen(None)
    file = tmp_path / "submissions" / f"{chosen}.csv"
    command = f'kaggle competitions submit -c some-contest -f "{file}" -m "odd {chosen}"'
    assert command in page.replace("&#34;", '"')
    assert "without a label" in page


def test_explanations_are_shown_where_images_may_be(tmp_path):
    settings, packs = fake.settings_of(fake.small({"lr": [0.1]}), "odd")
    fake.write_study(tmp_path, settings, packs)
    (tmp_path / "explanations").mkdir()
    for name in ("gradcam", "lime"):
        PIL.Image.new("RGB", (8, 8)).save(tmp_path / "explanations" / f"{name}.png")
    page = fake.finish(tmp_path, settings, figures=False)
    assert page.index("LIME: superpixels") < page.index("Grad-CAM: where")
    assert page.count("data:image/png") == 2
    page = fake.finish(tmp_path, settings | {"show_images": False}, figures=False)
    assert "data:image/png" not in page


def test_the_front_page_leads_to_every_study_and_back(tmp_path):
    results = tmp_path / "results"
    manifests = []
    for name, lr in (("one", [0.1, 0.01]), ("two", [0.1])):
        settings, packs = fake.settings_of(fake.small({"lr": lr}, replicates=3), "odd")
        settings |= {"study": name, "title": f"Study {name}"}
        (results / name).mkdir(parents=True)
        fake.write_study(results / name, settings, packs)
        page = fake.finish(results / name, settings, figures=False, front="../index.html")
        assert 'href="../index.html"' in page
        manifests.append(results / name / "manifest-x.json")
        manifests[-1].write_text(json.dumps(settings))
    write_front({"manifests": list(map(str, manifests))}, str(results / "index.html"))
    front = (results / "index.html").read_text()
    assert_stands_alone(front, results)
    assert_stands_alone((results / "one" / "index.html").read_text(), results / "one")
    assert "Study one" in front
    assert "Study two" in front
    assert "2 cells × 3 replicates" in front  # noqa: RUF001
    assert "Synthetic images." in front
    assert "not for clinical use" in front
    cells = pd.read_csv(results / "two" / "cells.csv")
    assert f"test accuracy {100 * cells.loc[0, 'test_accuracy_mean']:.2f} %" in front


def test_a_page_without_a_front_has_no_link_to_it(tmp_path):
    _, page = finished(tmp_path, fake.small({"lr": [0.1]}), figures=False)
    assert "../index.html" not in page


def test_jobs_read_long_settings_from_a_file(tmp_path):
    """The largest study's settings are longer than the kernel lets a single argument be."""
    settings, packs = fake.settings_of(fake.small({"lr": [0.1]}), "odd")
    fake.write_study(tmp_path, settings, packs)
    file = tmp_path / "manifest.json"
    file.write_text(json.dumps(settings | {"document": "x" * 200_000}))
    command = [sys.executable, "-m", "medgrid", "evaluate", f"@{file}", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "cells.csv").exists()


def test_batch_sizes_that_never_vary_alone_make_no_trend(tmp_path):
    """Extra cells may change the rate with the batch size: there is no line to draw."""
    params = fake.small({"batch_size": [16], "lr": [0.1]})
    (key,) = params["run"]
    params["studies"][key]["extra"] = [{"batch_size": size, "lr": rate} for size, rate in ((32, 0.2), (64, 0.3))]
    assert "auc_batch_size" not in drawings(evaluated(tmp_path, params))
