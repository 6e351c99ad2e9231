"""Figures of the images: how many of each class, and samples."""

import factories
import numpy as np
import pandas as pd
import pytest

from medgrid.report.figures.class_counts import class_counts
from medgrid.report.figures.samples import samples
from medgrid.report.labelled_results import LabelledResults

# warnings of pandas or matplotlib are errors in our code
pytestmark = pytest.mark.filterwarnings("error")


def test_images_without_a_label_are_not_counted(tmp_path):
    params = factories.small({"lr": [0.1]}, classes=("no", "yes"), dataset=factories.CONTEST)
    study = factories.evaluated(tmp_path, params)
    split = pd.read_csv(study.split)
    assert (split["part"] == "unlabelled").sum() == 10
    figure, note = class_counts(study)
    assert f"({factories.IMAGES} in all)" in figure.axes[0].get_title()
    assert sum(bar.get_height() for bars in figure.axes[0].containers for bar in bars) == factories.IMAGES
    assert note == study.manifest.data
    # an image that is in both validation and test is one image, in two bars
    both = pd.concat([split, split[split["part"] == "test"].assign(part="validation")])
    both.to_csv(tmp_path / "both.csv", index=False)
    study = LabelledResults(study.manifest, tmp_path, tmp_path / "both.csv")
    assert f"({factories.IMAGES} in all)" in class_counts(study)[0].axes[0].get_title()


def test_grey_samples(tmp_path):
    params = factories.small({"lr": [0.1]}, image={"size": 24, "colour": "grey"}, models=("plain",))
    params["weights"] = {}
    params["studies"]["odd"]["models"] = {"plain": {"layers": [{"pool": "flatten"}]}}
    params["studies"]["odd"]["fixed"]["mode"] = "scratch"
    study = factories.evaluated(tmp_path, params)
    assert np.load(study.tensors).shape[-1] == 1
    figure, _ = samples(study)
    shown = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    assert len(shown) == 3 * 2 * 3  # classes, images of each, parts
    assert all(image.ndim == 2 for image in shown)
