"""Figures of the selected cells: ROC curves, confusion, reliability."""

import factories
import numpy as np
import pandas as pd
import pytest
from readable import assert_readable

from medgrid.report.figures.confusion import confusion
from medgrid.report.figures.reliability import reliability_diagrams
from medgrid.report.figures.roc import roc

# warnings of pandas or matplotlib are errors in our code
pytestmark = pytest.mark.filterwarnings("error")


def test_two_classes_have_one_roc_curve(tmp_path):
    two = roc(factories.evaluated(tmp_path / "2", factories.small({"lr": [0.1]}, classes=("no", "yes"))), None)[0]
    three = roc(factories.evaluated(tmp_path / "3", factories.small({"lr": [0.1]})), None)[0]
    # the diagonal, then the curves
    assert [len(figure.axes[0].get_lines()) for figure in (two, three)] == [1 + 1, 1 + 3 + 2]
    assert two.axes[0].get_legend().get_texts()[0].get_text().startswith("yes: AUC")


def test_confusion_shows_the_selected_cell(tmp_path):
    study = factories.evaluated(tmp_path, factories.small({"lr": [0.1, 0.01]}))
    figure, _ = confusion(study)
    counts = pd.read_csv(tmp_path / "tables/confusion.csv")
    counts = counts[(counts["cell"] == study.best_cell()) & (counts["checkpoint"] == "best")]
    matrix = counts.groupby(["class", "predicted"])["images"].mean().unstack()
    wanted = (100 * matrix.div(matrix.sum(axis=1), axis=0)).to_numpy().ravel()
    assert [float(text.get_text()) for text in figure.axes[0].texts] == pytest.approx(wanted, abs=0.051)


@pytest.mark.parametrize("models", [("resnet18",), ("resnet18", "vgg16", "vgg19", "resnet50", "alexnet")])
def test_reliability_is_that_of_the_selected_cells(models, tmp_path):
    study = factories.evaluated(tmp_path, factories.small({"model": list(models), "lr": [0.1, 0.01]}, models=models))
    figure, _ = reliability_diagrams(study)
    assert_readable(figure)
    drawn = [axes for axes in figure.axes if len(axes.get_lines()) == 3]
    assert len(drawn) == len(models)
    for axes, model in zip(drawn, models, strict=True):
        cell = study.best_cell(model if len(models) > 1 else None)
        _, trained, scaled = axes.get_lines()
        # marks stand for equal numbers of images: their mean is that of all images and both seeds
        probabilities, labels = study.predictions(cell)
        assert np.mean(trained.get_ydata()) == pytest.approx((probabilities.argmax(2) == labels).mean(), abs=0.02)
        assert np.mean(trained.get_xdata()) == pytest.approx(probabilities.max(2).mean(), abs=0.02)
        replicates = study.best_replicates[study.best_replicates["cell"] == cell]
        powers = probabilities ** (1 / replicates.sort_values("seed")["temperature"].to_numpy()[:, None, None])
        wanted = (powers.max(2) / powers.sum(2)).mean()
        assert np.mean(scaled.get_xdata()) == pytest.approx(wanted, abs=0.002)
        assert f"(T = {study.best.loc[cell, 'temperature_mean']:.2f})" in axes.get_title().replace("\n", " ")


def test_reliability_where_everything_diverged(tmp_path):
    study = factories.evaluated(tmp_path, factories.small({"lr": [0.1]}), diverged=(("lr=0.1", 0), ("lr=0.1", 1)))
    figure, _ = reliability_diagrams(study)
    assert "diverged" in figure.axes[0].get_title()
