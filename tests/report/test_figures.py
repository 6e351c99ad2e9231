"""Figures of usual studies and unusual ones: few axes, gaps in the grid, diverged cells, two classes."""

import itertools
import textwrap

import fake
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import PIL.Image
import pytest
import seaborn as sns

from medgrid.report import style
from medgrid.report.beside import published, sources
from medgrid.report.classes import confusion, roc
from medgrid.report.compare import best_worst, heatmap, ranking
from medgrid.report.curves import colour_axis, curve_figures, curves
from medgrid.report.figures import drawings
from medgrid.report.forest import labels
from medgrid.report.images import class_counts, samples
from medgrid.report.reliability import reliability_diagrams
from medgrid.report.study import Study, settings_in
from medgrid.report.trends import accuracy_parameters, auc_batch_size, speed

# a warning of pandas or matplotlib is a mistake of ours
pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def large(large_study, params) -> Study:
    """The largest grid: 139 cells, eleven of them beside the product of the axes, of six models and two classes."""
    settings, _ = fake.settings_of(fake.shortened(params, "stroke_transfer"), "stroke_transfer")
    style.use()
    study = Study(settings, large_study)
    assert len(study.cells) == 139
    return study


@pytest.fixture(scope="module")
def gaps(tmp_path_factory, params) -> Study:
    """A grid whose extra cells lack settings that the others have."""
    folder = tmp_path_factory.mktemp("gaps")
    return fake.evaluated(folder, fake.shortened(params, "pneumonia_loss"), "pneumonia_loss")


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
    fake.finished(tmp_path, fake.small({"lr": [1e-5, 0.1]}))
    assert {path.stem for path in (tmp_path / "figures").iterdir()} == {
        "class_counts", "samples", "heatmap", "ranking", "confusion", "curves", "roc", "reliability",
    }  # fmt: skip


def test_what_varies_decides_which_figures_there_are(tmp_path):
    axes = {"model": ["resnet18", "vgg16"], "batch_size": [16, 32, 64], "lr": [0.1, 0.01]}
    entry = {"source": "x", "by": ["model", "lr"], "metrics": ["test_accuracy"], "rows": [["vgg16", 0.1, 0.5]]}
    params = fake.small(axes, models=("resnet18", "vgg16"), published=[entry])
    assert set(drawings(fake.evaluated(tmp_path, params))) == {
        "ranking", "heatmap", "published", "auc_batch_size", "best_worst", "accuracy_parameters", "speed",
        "curves-resnet18", "curves-vgg16", "confusion", "roc-resnet18", "roc-vgg16", "reliability",
    }  # fmt: skip


def test_models_of_one_panel_each_share_a_figure(tmp_path):
    axes = {"model": ["resnet18", "vgg16"], "mode": ["scratch", "full"]}
    study = fake.evaluated(tmp_path, fake.small(axes, models=("resnet18", "vgg16")))
    assert list(curve_figures(study)) == ["curves"]
    figure, _ = curves(study, *curve_figures(study)["curves"])
    titles = [axes.get_title() for part in figure.subfigs for axes in part.axes]
    assert {title for title in titles if title} == {"resnet18", "vgg16"}


@pytest.mark.parametrize("some", ["one", pytest.param("all", marks=pytest.mark.slow)])
def test_diverged_cells_are_marked(some, tmp_path):
    seeds = [("lr=0.1", 0), ("lr=0.1", 1)]
    seeds += [(f"lr={lr}", seed) for lr in (0.01, 0.001) for seed in (0, 1)] * (some == "all")
    params = fake.small({"lr": [0.1, 0.01, 0.001]}, classes=("a", "b"))
    _, page = fake.finished(tmp_path, params, diverged=tuple(seeds))
    assert page.count("2 diverged") == len(seeds) // 2
    assert ("◆</td>" in page or 'class="chosen"' in page) == (some == "one")


def test_a_heat_map_says_where_every_replicate_diverged(tmp_path):
    params = fake.small({"lr": [0.1, 0.01], "batch_size": [16, 32]})
    study = fake.evaluated(tmp_path, params, diverged=tuple(("batch_size=16_lr=0.1", seed) for seed in (0, 1)))
    figure, _ = heatmap(study)
    words = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert words.count("div.") == 1
    assert len(words) == 4


def test_a_cell_of_which_some_diverged_is_starred_and_never_chosen(tmp_path):
    params = fake.small({"lr": [0.1, 0.01]})
    best = fake.evaluated(tmp_path / "sound", params).chosen(None)
    study = fake.evaluated(tmp_path / "unsound", params, diverged=((best, 0),))
    assert study.best.loc[best, "validation_loss_mean"] == study.best["validation_loss_mean"].min()
    assert study.chosen(None) != best
    texts = [text.get_text() for text in heatmap(study)[0].axes[0].texts]
    # rates ascend
    assert [text.endswith("*") for text in texts] == [best == "lr=0.01", best == "lr=0.1"]


# large and incomplete grids
LARGE, GAPS = (pytest.param(study, marks=pytest.mark.slow) for study in ("large", "gaps"))


@pytest.mark.slow
def test_settings_that_a_model_implies_are_not_repeated(large):
    assert large.axes == ["model", "mode", "unfrozen", "augmentation", "normalisation", "optimizer", "lr"]
    assert large.varied == ["model", "unfrozen", "augmentation", "optimizer", "lr"]
    assert len({large.label(cell) for cell in large.cells.index}) == 139


@pytest.mark.parametrize("which", [LARGE, GAPS])
def test_every_cell_has_its_curves_once(which, request):
    study = request.getfixturevalue(which)
    figures = curve_figures(study)
    shown = [cell for cells, _ in figures.values() for cell in cells.index]
    assert sorted(shown) == sorted(study.cells.index)
    for cells, hue in figures.values():
        panels = [axis for axis in study.varied if axis not in ("model", hue)]
        assert len(settings_in(cells, panels)) <= 6


@pytest.mark.slow
def test_curves_compare_the_number_with_the_most_values(large, gaps):
    assert colour_axis(large, large.cells_of("vgg19")) == "unfrozen"
    # of this model, only words vary
    assert colour_axis(large, large.cells_of("cnn_simple")) == "optimizer"
    assert colour_axis(gaps, gaps.cells) == "step_size"


@pytest.mark.slow
def test_a_ranking_names_every_cell_readably(large):
    figure, _ = ranking(large)
    assert_readable(figure)
    labels = [label.get_text() for axes in figure.axes for label in axes.get_yticklabels()]
    assert sorted(labels) == sorted(large.label(cell) for cell in large.cells.index)
    best = large.best["test_accuracy_mean"].idxmax()
    assert large.best.loc[best, "test_accuracy_mean"] == large.best["test_accuracy_mean"].max()
    assert figure.get_size_inches()[0] < 12


@pytest.mark.parametrize("which", [LARGE, GAPS])
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


@pytest.mark.slow
def test_absent_settings_are_labelled_as_such(gaps):
    assert gaps.values["step_size"] == ["3", "5", "10", "20", "–"]  # noqa: RUF001
    assert gaps.values["milestones"] == ["–", "20, 40"] or gaps.values["milestones"] == ["20, 40", "–"]  # noqa: RUF001
    labels = [gaps.label(cell).replace("\u00a0", " ") for cell in gaps.cells.index]
    assert "cross_entropy · cosine · – · 32 · 0.001" in labels  # noqa: RUF001


@pytest.mark.parametrize("which", [LARGE, GAPS])
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
    study = fake.evaluated(tmp_path, fake.shortened(params, key), key)
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
    study = fake.evaluated(tmp_path, params)
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
    study = fake.evaluated(tmp_path, fake.small(axes, published=[entry]))
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


@pytest.mark.slow
def test_best_and_worst_are_what_validation_says(large):
    figure, _ = best_worst(large)
    (axes,) = figure.axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    for model, best, worst in zip(large.models, labels[::2], labels[1::2], strict=True):
        losses = large.of_model(large.best, model)["validation_loss_mean"]
        assert best == f"{large.label(losses.idxmin())}  best"
        assert worst == f"{large.label(losses.idxmax())}  worst"


@pytest.mark.slow
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
    study = fake.evaluated(tmp_path, fake.small(axes, models=("resnet18", "vgg16")))
    assert study.best["test_accuracy_high"].max() == 1
    (axes,) = drawing(study)[0].axes
    low, high = axes.get_ylim() if drawing is accuracy_parameters else axes.get_xlim()
    assert -5 < low < high < 105


def test_speed_is_seconds_per_epoch(tmp_path):
    study = fake.evaluated(tmp_path, fake.small({"model": ["resnet18", "vgg16"]}, models=("resnet18", "vgg16")))
    figure, note = speed(study)
    best = study.replicates[study.replicates["checkpoint"] == "best"]
    wanted = (best["seconds"] / best["epochs"]).groupby(best["cell"]).mean()
    drawn = [x for points in figure.axes[0].collections for x, _ in points.get_offsets()]
    assert sorted(drawn) == pytest.approx(sorted(wanted))
    assert "trained on: cpu" in note


def test_published_numbers_stand_beside_ours(tmp_path):
    rows = [["sgd", 0.1, 0.5, 1.5], ["adam", 0.1, 0.6, None], ["rmsprop", 0.1, 0.7, 0.1]]
    entry = {"source": "x", "by": ["optimizer", "lr"], "metrics": ["test_accuracy", "test_loss"], "rows": rows}
    study = fake.evaluated(tmp_path, fake.small({"optimizer": ["sgd", "adam"], "lr": [0.1, 0.01]}, published=[entry]))
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
    two = roc(fake.evaluated(tmp_path / "2", fake.small({"lr": [0.1]}, classes=("no", "yes"))), None)[0]
    three = roc(fake.evaluated(tmp_path / "3", fake.small({"lr": [0.1]})), None)[0]
    # the diagonal, then the curves
    assert [len(figure.axes[0].get_lines()) for figure in (two, three)] == [1 + 1, 1 + 3 + 2]
    assert two.axes[0].get_legend().get_texts()[0].get_text().startswith("yes: AUC")


@pytest.mark.parametrize("models", [("resnet18",), ("resnet18", "vgg16", "vgg19", "resnet50", "alexnet")])
def test_reliability_is_that_of_the_chosen_cells(models, tmp_path):
    study = fake.evaluated(tmp_path, fake.small({"model": list(models), "lr": [0.1, 0.01]}, models=models))
    figure, _ = reliability_diagrams(study)
    assert_readable(figure)
    drawn = [axes for axes in figure.axes if len(axes.get_lines()) == 3]
    assert len(drawn) == len(models)
    for axes, model in zip(drawn, models, strict=True):
        cell = study.chosen(model if len(models) > 1 else None)
        _, trained, mended = axes.get_lines()
        # the marks hold as many images: their mean is that of all, of both seeds
        probabilities, labels = study.probabilities(cell)
        assert np.mean(trained.get_ydata()) == pytest.approx((probabilities.argmax(2) == labels).mean(), abs=0.02)
        assert np.mean(trained.get_xdata()) == pytest.approx(probabilities.max(2).mean(), abs=0.02)
        own = study.replicates[(study.replicates["cell"] == cell) & (study.replicates["checkpoint"] == "best")]
        powers = probabilities ** (1 / own.sort_values("seed")["temperature"].to_numpy()[:, None, None])
        wanted = (powers.max(2) / powers.sum(2)).mean()
        assert np.mean(mended.get_xdata()) == pytest.approx(wanted, abs=0.002)
        assert f"(T = {study.best.loc[cell, 'temperature_mean']:.2f})" in axes.get_title().replace("\n", " ")


def test_reliability_where_everything_diverged(tmp_path):
    study = fake.evaluated(tmp_path, fake.small({"lr": [0.1]}), diverged=(("lr=0.1", 0), ("lr=0.1", 1)))
    figure, _ = reliability_diagrams(study)
    assert "diverged" in figure.axes[0].get_title()


def test_confusion_reads_the_chosen_cell(tmp_path):
    study = fake.evaluated(tmp_path, fake.small({"lr": [0.1, 0.01]}))
    figure, _ = confusion(study)
    counts = pd.read_csv(tmp_path / "confusion.csv")
    counts = counts[(counts["cell"] == study.chosen(None)) & (counts["checkpoint"] == "best")]
    matrix = counts.groupby(["class", "predicted"])["images"].mean().unstack()
    wanted = (100 * matrix.div(matrix.sum(axis=1), axis=0)).to_numpy().ravel()
    assert [float(text.get_text()) for text in figure.axes[0].texts] == pytest.approx(wanted, abs=0.051)


def test_images_without_a_label_are_not_counted(tmp_path):
    study = fake.evaluated(tmp_path, fake.small({"lr": [0.1]}, classes=("no", "yes"), dataset=fake.CONTEST))
    split = pd.read_csv(tmp_path / "images.csv")
    assert (split["part"] == "unlabelled").sum() == 10
    figure = class_counts(study, split)
    assert f"({fake.IMAGES} in all)" in figure.axes[0].get_title()
    assert sum(bar.get_height() for bars in figure.axes[0].containers for bar in bars) == fake.IMAGES
    # an image that validates and tests is one image, in two bars
    both = pd.concat([split, split[split["part"] == "test"].assign(part="validation")])
    assert f"({fake.IMAGES} in all)" in class_counts(study, both).axes[0].get_title()


def test_grey_samples(tmp_path):
    params = fake.small({"lr": [0.1]}, image={"size": 24, "colour": "grey"}, models=("plain",))
    params["weights"] = {}
    params["studies"]["odd"]["models"] = {"plain": {"layers": [{"pool": "flatten"}]}}
    params["studies"]["odd"]["fixed"]["mode"] = "scratch"
    study = fake.evaluated(tmp_path, params)
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


def test_batch_sizes_that_never_vary_alone_make_no_trend(tmp_path):
    """Extra cells may change the rate with the batch size: there is no line to draw."""
    params = fake.small({"batch_size": [16], "lr": [0.1]})
    (key,) = params["run"]
    params["studies"][key]["extra"] = [{"batch_size": size, "lr": rate} for size, rate in ((32, 0.2), (64, 0.3))]
    assert "auc_batch_size" not in drawings(fake.evaluated(tmp_path, params))


def test_numbers_that_are_all_whole_are_drawn(tmp_path):
    """Every training right about every image: the table says 1, not 1.0."""
    study = fake.evaluated(tmp_path, fake.small({"lr": [0.1, 0.01], "batch_size": [16, 32]}))
    study.best["test_accuracy_mean"] = 1
    heatmap(study)


@pytest.mark.slow
def test_classes_named_by_numbers(tmp_path):
    fake.finished(tmp_path, fake.small({"lr": [0.1]}, classes=("0", "1")))


def test_labels_of_claims_leave_out_what_all_begin_with_but_no_setting_s_name():
    def parts(texts: list[str]) -> list[dict]:
        return [{"what": text} for text in texts]

    of = " (cross_entropy, scheduler step, step size 10, learning rate 0.001)"
    gaps = [f"training less validation accuracy of resnet50, learning rate {rate} below 1 point" for rate in (0.1, 1)]
    pairs = [f"batch size {size} above batch size 64{of}" for size in (32, 128)]
    assert labels(parts(pairs)) == [textwrap.fill(text, 62) for text in pairs]
    assert labels(parts(gaps)) == [f"… resnet50, learning rate {rate} below 1 point" for rate in (0.1, 1)]
    assert labels(parts(gaps[:1])) == [textwrap.fill(gaps[0], 62)]  # nothing to tell apart


def test_a_dollar_in_a_name_is_a_dollar(tmp_path):
    figure, axes = plt.subplots()
    axes.set(title=r"$\frac{$ costs $1", xscale="log", xlim=(0.001, 1))
    style.save(figure, tmp_path / "a.png", "$note")
    assert (tmp_path / "a.png").exists()
    # powers of ten are none
    assert all("10^{" in label.get_text() and label.get_parse_math() for label in axes.get_xticklabels())
