"""Figures of usual studies and unusual ones: few axes, gaps in the grid, diverged cells, two classes."""

import factories
import pandas as pd
import pytest
from readable import assert_readable

from medgrid.report.figures import style
from medgrid.report.figures.accuracy_parameters import accuracy_parameters
from medgrid.report.figures.auc_batch_size import auc_batch_size
from medgrid.report.figures.best_worst import best_worst
from medgrid.report.figures.heatmap import heatmap
from medgrid.report.figures.learning_curves import colour_axis, curve_figures, curves
from medgrid.report.figures.published import published, sources
from medgrid.report.figures.ranking import ranking
from medgrid.report.figures.registry import drawings
from medgrid.report.figures.speed import speed
from medgrid.report.labelled_results import LabelledResults, settings_in

# warnings of pandas or matplotlib are errors in our code
pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(scope="module")
def large(large_study, params) -> LabelledResults:
    """The largest grid: 139 cells, eleven of them outside the product of the axes, of six models and two classes."""
    manifest, _ = factories.settings_of(factories.shortened(params, "stroke_transfer"), "stroke_transfer")
    style.use()
    study = LabelledResults(manifest, large_study, large_study / "images.csv", large_study / "tensors.npy")
    assert len(study.cells) == 139
    return study


@pytest.fixture(scope="module")
def gaps(tmp_path_factory, params) -> LabelledResults:
    """A grid whose extra cells lack settings that the others have."""
    folder = tmp_path_factory.mktemp("gaps")
    return factories.evaluated(folder, factories.shortened(params, "pneumonia_loss"), "pneumonia_loss")


# which figures apply to a study


@pytest.mark.slow
def test_one_axis_without_models(tmp_path):
    factories.finished(tmp_path, factories.small({"lr": [1e-5, 0.1]}))
    assert {path.stem for path in (tmp_path / "figures").iterdir()} == {
        "class_counts", "samples", "heatmap", "ranking", "confusion", "curves", "roc", "reliability",
    }  # fmt: skip


def test_what_varies_decides_which_figures_there_are(tmp_path):
    axes = {"model": ["resnet18", "vgg16"], "batch_size": [16, 32, 64], "lr": [0.1, 0.01]}
    entry = {"source": "x", "by": ["model", "lr"], "metrics": ["test_accuracy"], "rows": [["vgg16", 0.1, 0.5]]}
    params = factories.small(axes, models=("resnet18", "vgg16"), published=[entry])
    assert set(drawings(factories.evaluated(tmp_path, params))) == {
        "class_counts", "samples", "ranking", "heatmap", "published", "auc_batch_size", "best_worst",
        "accuracy_parameters", "speed", "curves-resnet18", "curves-vgg16", "confusion", "roc-resnet18", "roc-vgg16",
        "reliability",
    }  # fmt: skip


def test_models_of_one_panel_each_share_a_figure(tmp_path):
    axes = {"model": ["resnet18", "vgg16"], "mode": ["scratch", "full"]}
    study = factories.evaluated(tmp_path, factories.small(axes, models=("resnet18", "vgg16")))
    assert list(curve_figures(study)) == [""]
    figure, _ = curves(study, *curve_figures(study)[""])
    titles = [axes.get_title() for part in figure.subfigs for axes in part.axes]
    assert {title for title in titles if title} == {"resnet18", "vgg16"}


@pytest.mark.parametrize("some", ["one", pytest.param("all", marks=pytest.mark.slow)])
def test_diverged_cells_are_marked(some, tmp_path):
    seeds = [("lr=0.1", 0), ("lr=0.1", 1)]
    seeds += [(f"lr={lr}", seed) for lr in (0.01, 0.001) for seed in (0, 1)] * (some == "all")
    params = factories.small({"lr": [0.1, 0.01, 0.001]}, classes=("a", "b"))
    _, page = factories.finished(tmp_path, params, diverged=tuple(seeds))
    assert page.count("2 diverged") == len(seeds) // 2
    assert ("◆</td>" in page or 'class="chosen"' in page) == (some == "one")


def test_a_heat_map_marks_cells_in_which_every_replicate_diverged(tmp_path):
    params = factories.small({"lr": [0.1, 0.01], "batch_size": [16, 32]})
    study = factories.evaluated(tmp_path, params, diverged=tuple(("batch_size=16_lr=0.1", seed) for seed in (0, 1)))
    figure, _ = heatmap(study)
    words = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert words.count("div.") == 1
    assert len(words) == 4


def test_a_cell_of_which_some_diverged_is_starred_and_never_chosen(tmp_path):
    params = factories.small({"lr": [0.1, 0.01]})
    best = factories.evaluated(tmp_path / "sound", params).best_cell()
    study = factories.evaluated(tmp_path / "unsound", params, diverged=((best, 0),))
    assert study.best.loc[best, "validation_loss_mean"] == study.best["validation_loss_mean"].min()
    assert study.best_cell() != best
    texts = [text.get_text() for text in heatmap(study)[0].axes[0].texts]
    # rates ascend
    assert [text.endswith("*") for text in texts] == [best == "lr=0.01", best == "lr=0.1"]


# large and incomplete grids
LARGE, GAPS = (pytest.param(study, marks=pytest.mark.slow) for study in ("large", "gaps"))


@pytest.mark.slow
def test_settings_that_a_model_implies_are_not_repeated(large):
    assert large.axes == ["model", "mode", "unfrozen", "augmentation", "normalisation", "optimizer", "lr"]
    assert large.varied == ["model", "unfrozen", "augmentation", "optimizer", "lr"]
    assert len({large.label(cell) for cell in large.cells}) == 139


@pytest.mark.parametrize("which", [LARGE, GAPS])
def test_every_cell_has_its_curves_once(which, request):
    study = request.getfixturevalue(which)
    figures = curve_figures(study)
    shown = [cell for cells, _ in figures.values() for cell in cells.index]
    assert sorted(shown) == sorted(study.cells)
    for cells, hue in figures.values():
        panels = [axis for axis in study.varied if axis not in ("model", hue)]
        assert len(settings_in(cells, panels)) <= 6


@pytest.mark.slow
def test_curves_compare_the_number_with_the_most_values(large, gaps):
    assert colour_axis(large, large.grid_of("vgg19")) == "unfrozen"
    # of this model, only words vary
    assert colour_axis(large, large.grid_of("cnn_simple")) == "optimizer"
    assert colour_axis(gaps, gaps.grid) == "step_size"


@pytest.mark.slow
def test_a_ranking_names_every_cell_readably(large):
    figure, _ = ranking(large)
    assert_readable(figure)
    labels = [label.get_text() for axes in figure.axes for label in axes.get_yticklabels()]
    assert sorted(labels) == sorted(large.label(cell) for cell in large.cells)
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
        " · ".join(study.grid.loc[cell, study.varied]): f"{100 * accuracy:.1f}"
        for cell, accuracy in study.best["test_accuracy_mean"].items()
    }
    assert {place: text for place, text in shown.items() if text} == wanted


@pytest.mark.slow
def test_absent_settings_are_labelled_as_such(gaps):
    assert gaps.values["step_size"] == ["3", "5", "10", "20", "–"]  # noqa: RUF001
    assert gaps.values["milestones"] == ["–", "20, 40"] or gaps.values["milestones"] == ["20, 40", "–"]  # noqa: RUF001
    labels = [gaps.label(cell).replace("\u00a0", " ") for cell in gaps.cells]
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


@pytest.mark.slow
def test_long_titles_of_neighbours_are_wrapped(tmp_path, params):
    key = "pneumonia_loss_published_cells"
    study = factories.evaluated(tmp_path, factories.shortened(params, key), key)
    (cells, hue) = curve_figures(study)[""]
    assert_readable(curves(study, cells, hue)[0])


# what figures show


def test_early_stopped_curves_continue_fainter(tmp_path):
    fixed = {
        "mode": "full",
        "optimizer": "adam",
        "loss": "cross_entropy",
        "epochs": 10,
        "batch_size": 32,
        "patience": 2,
    }
    params = factories.small({"lr": [0.1]}, replicates=4)
    params["studies"]["odd"]["fixed"] = {"model": "resnet18", **fixed}
    study = factories.evaluated(tmp_path, params)
    lengths = study.best_replicates["epochs"]
    assert lengths.min() < lengths.max()
    figure, _ = curves(study, *curve_figures(study)[""])
    whole, rest = figure.subfigs[0].axes[0].get_lines()[:2]
    assert whole.get_xdata()[-1] == rest.get_xdata()[0] == lengths.min()
    assert rest.get_xdata()[-1] == lengths.max()
    assert rest.get_alpha() < 1


def test_auc_by_batch_size_shows_our_values_and_published_ones(tmp_path):
    axes = {"optimizer": ["sgd", "adam"], "batch_size": [64, 16, 32], "lr": [0.1, 0.01]}
    rows = [["adam", size, 0.1, 0.9 + size / 1000] for size in (16, 32, 64)]
    entry = {
        "source": "the paper",
        "by": ["optimizer", "batch_size", "lr"],
        "metrics": ["test_auc_macro"],
        "rows": rows,
    }
    study = factories.evaluated(tmp_path, factories.small(axes, published=[entry]))
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
def test_best_and_worst_are_by_validation(large):
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
    models = pd.read_csv(large.folder / "networks/networks.csv").drop_duplicates("model")
    assert shown == {*models["parameters"], *models["trainable"]}


@pytest.mark.parametrize("drawing", [ranking, best_worst, accuracy_parameters])
def test_axes_end_at_possible_accuracies(drawing, tmp_path):
    """The interval of two seeds is wider than the scale."""
    axes = {"model": ["resnet18", "vgg16"], "lr": [0.1, 0.01, 0.001]}
    study = factories.evaluated(tmp_path, factories.small(axes, models=("resnet18", "vgg16")))
    assert study.best["test_accuracy_high"].max() == 1
    (axes,) = drawing(study)[0].axes
    low, high = axes.get_ylim() if drawing is accuracy_parameters else axes.get_xlim()
    assert -5 < low < high < 105


def test_speed_is_seconds_per_epoch(tmp_path):
    study = factories.evaluated(
        tmp_path, factories.small({"model": ["resnet18", "vgg16"]}, models=("resnet18", "vgg16"))
    )
    figure, note = speed(study, "model")
    best = study.best_replicates
    wanted = (best["seconds"] / best["epochs"]).groupby(best["cell"]).mean()
    drawn = [x for points in figure.axes[0].collections for x, _ in points.get_offsets()]
    assert sorted(drawn) == pytest.approx(sorted(wanted))
    assert "trained on: cpu" in note
    again = [x for points in speed(study, "model")[0].axes[0].collections for x in points.get_offsets().tolist()]
    assert again == [x for points in figure.axes[0].collections for x in points.get_offsets().tolist()]


def test_published_numbers_are_drawn_next_to_ours(tmp_path):
    rows = [["sgd", 0.1, 0.5, 1.5], ["adam", 0.1, 0.6, None], ["rmsprop", 0.1, 0.7, 0.1]]
    entry = {"source": "x", "by": ["optimizer", "lr"], "metrics": ["test_accuracy", "test_loss"], "rows": rows}
    study = factories.evaluated(
        tmp_path, factories.small({"optimizer": ["sgd", "adam"], "lr": [0.1, 0.01]}, published=[entry])
    )
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


def test_batch_sizes_that_never_vary_alone_make_no_trend(tmp_path):
    """Extra cells may change the rate with the batch size: no line connects them."""
    params = factories.small({"batch_size": [16], "lr": [0.1]})
    (key,) = params["run"]
    params["studies"][key]["extra"] = [{"batch_size": size, "lr": rate} for size, rate in ((32, 0.2), (64, 0.3))]
    assert "auc_batch_size" not in drawings(factories.evaluated(tmp_path, params))


def test_numbers_that_are_all_whole_are_drawn(tmp_path):
    """Every training right about every image: the table says 1, not 1.0."""
    study = factories.evaluated(tmp_path, factories.small({"lr": [0.1, 0.01], "batch_size": [16, 32]}))
    study.best["test_accuracy_mean"] = 1
    heatmap(study)


@pytest.mark.slow
def test_classes_named_by_numbers(tmp_path):
    factories.finished(tmp_path, factories.small({"lr": [0.1]}, classes=("0", "1")))
