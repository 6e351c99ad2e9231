"""Figures of the images: how many of each class, and samples."""

import factories
import numpy as np
import pandas as pd
import pytest

from medgrid.report.figures.images import class_counts, samples

# a warning of pandas or matplotlib is a mistake of ours
pytestmark = pytest.mark.filterwarnings("error")


def test_images_without_a_label_are_not_counted(tmp_path):
    study = factories.evaluated(
        tmp_path, factories.small({"lr": [0.1]}, classes=("no", "yes"), dataset=factories.CONTEST)
    )
    split = pd.read_csv(tmp_path / "images.csv")
    assert (split["part"] == "unlabelled").sum() == 10
    figure = class_counts(study, split)
    assert f"({factories.IMAGES} in all)" in figure.axes[0].get_title()
    assert sum(bar.get_height() for bars in figure.axes[0].containers for bar in bars) == factories.IMAGES
    # an image that validates and tests is one image, in two bars
    both = pd.concat([split, split[split["part"] == "test"].assign(part="validation")])
    assert f"({factories.IMAGES} in all)" in class_counts(study, both).axes[0].get_title()


def test_grey_samples(tmp_path):
    params = factories.small({"lr": [0.1]}, image={"size": 24, "colour": "grey"}, models=("plain",))
    params["weights"] = {}
    params["studies"]["odd"]["models"] = {"plain": {"layers": [{"pool": "flatten"}]}}
    params["studies"]["odd"]["fixed"]["mode"] = "scratch"
    study = factories.evaluated(tmp_path, params)
    tensors = np.load(tmp_path / "tensors.npy")
    assert tensors.shape[-1] == 1
    figure = samples(study, pd.read_csv(tmp_path / "images.csv"), tensors)
    shown = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    assert shown
    assert all(image.ndim == 2 for image in shown)
