"""Sizes of the studies' networks, against published ones and those of Keras."""

import pandas as pd
import pytest
import torch
import torchvision
from torch import nn

from medgrid.architectures.keras_layers import last_layers
from medgrid.config import load
from medgrid.grid.layout import lay_out
from medgrid.grid.manifest import StudyManifest
from medgrid.models.network_sizes import KINDS, write_networks

STUDIES = [
    "brain_tumor_lr_batch",
    "brain_tumor_transfer",
    "histopathology_batch",
    "stroke_transfer",
    "pneumonia_loss",
]
# number of weights in the last `unfrozen` Keras layers, without the head, counted on torchvision's modules
UNFROZEN = {
    "vgg19": {0: 0, 3: 4_719_616, 12: 18_288_896, 20: 20_022_592},
    "resnet50": {0: 0, 3: 4_096, 12: 4_462_592, 20: 8_925_184},
    "inception_v3": {0: 0, 3: 0, 12: 394_240, 20: 1_937_408},
    "efficientnet_b0": {0: 0, 3: 412_160, 12: 895_536, 20: 1_350_960},
}
BACKBONES = {"vgg19": 20_024_384, "resnet50": 23_508_032, "inception_v3": 21_785_568, "efficientnet_b0": 4_007_548}


@pytest.fixture(scope="module")
def manifests(params) -> dict[str, StudyManifest]:
    return lay_out(load(params)).manifests


@pytest.fixture(scope="module")
def folder(manifests, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sizes")
    for study in STUDIES:
        write_networks(manifests[study], str(folder / study))
    return folder


def table(folder, study: str) -> pd.DataFrame:
    return pd.read_csv(folder / study / "networks.csv", keep_default_na=False)


def published(manifests, source: str) -> pd.DataFrame:
    (table,) = (each for each in manifests["brain_tumor_transfer"].published if each.source.startswith(source))
    return pd.DataFrame(table.rows, columns=[*table.by, *table.metrics]).set_index("model")


def test_every_combination_has_a_row(folder, manifests):
    for study in STUDIES:
        rows = table(folder, study)
        wanted = {(t.model, t.mode, t.unfrozen) for t in manifests[study].trainings.values()}
        assert set(rows[["model", "mode", "unfrozen"]].itertuples(index=False, name=None)) == wanted
        assert (rows["trainable"] + rows["frozen"] == rows["parameters"]).all()
        assert (rows["trainable"] > 0).all()
        for model in rows["model"].unique():
            lines = (folder / study / f"{model}.txt").read_text().splitlines()
            assert len(lines) < 200
            total = rows.loc[rows["model"] == model, "parameters"].iloc[0]
            assert f"Total params: {total:,}" in lines


def test_vgg16_has_the_published_parameters(folder):
    rows = table(folder, "brain_tumor_transfer").set_index(["model", "mode"])
    sizes = rows.loc[("vgg16", "head_only"), ["parameters", "trainable", "frozen"]].tolist()
    assert sizes == [15_244_100, 529_412, 14_714_688]
    for mode in ("scratch", "full"):
        assert rows.loc[("vgg16", mode), ["trainable", "frozen"]].tolist() == [15_244_100, 0]
    assert rows["trains"].to_dict()["vgg16", "head_only"] == "none"
    assert rows["trains"].to_dict()["vgg16", "full"] == "all"


def test_every_head_has_the_published_parameters(folder, manifests):
    rows = table(folder, "brain_tumor_transfer")
    ours = rows[rows["mode"] == "head_only"].set_index("model")["trainable"]
    for model, trainable in published(manifests, "Figure 11, parameter table")["trainable"].items():
        assert ours[model] == trainable


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(("backbone", "difference"), [("vgg16", 0), ("resnet50", 79_680), ("inception_v3", 17_216)])
def test_differences_to_keras_are_explained(backbone, difference, folder, manifests):
    rows = table(folder, "brain_tumor_transfer")
    ours = rows[rows["mode"] == "head_only"].set_index("model")["frozen"]
    assert published(manifests, "Figure 11, parameter table")["frozen"][backbone] - ours[backbone] == difference
    with torch.device("meta"):
        network = torchvision.models.get_model(backbone)
    network.AuxLogits = network.classifier = None  # neither belongs to the backbone
    channels = sum(m.num_features for m in network.modules() if isinstance(m, nn.BatchNorm2d))
    without_bias = sum(m.out_channels for m in network.modules() if isinstance(m, nn.Conv2d) and m.bias is None)
    if backbone == "resnet50":
        # Keras's convolutions have a bias, and statistics count there: two for each channel
        assert (without_bias, 2 * channels) == (26_560, 53_120)
        assert without_bias + 2 * channels == difference
    if backbone == "inception_v3":
        # Keras's convolutions have no bias either; its BatchNorm has statistics that count, but no scale
        assert 2 * channels - channels == difference


def test_layer_counts_differ_from_keras_s_only_as_explained(folder, manifests):
    ours = table(folder, "brain_tumor_transfer").drop_duplicates("model").set_index("model")[[*KINDS]]
    keras = published(manifests, "Figure 12")[[*KINDS]]
    difference = (ours.loc[keras.index] - keras).T.to_dict()
    # in Keras, an activation within a convolution or dense layer is not a layer, but input and padding are; global
    # pooling includes flattening
    none = {"conv": 0, "dense": 0, "normalisation": 0}
    assert difference == {
        "vgg16": none | {"activation": 13 + 1, "other": 1 - 1},
        "resnet50": none | {"activation": 1, "other": 1 - 1 - 2},
        "inception_v3": none | {"activation": 1, "other": 1 - 1},
    }


def test_unfrozen_layers_have_the_weights_of_keras_s(folder):
    rows = table(folder, "stroke_transfer").set_index(["model", "unfrozen"])
    for backbone, sizes in UNFROZEN.items():
        head = rows.loc[(backbone, 0), "trainable"]
        assert rows.loc[(backbone, 0), "frozen"] == BACKBONES[backbone]
        for unfrozen, weights in sizes.items():
            row = rows.loc[(backbone, unfrozen)]
            assert row["trainable"] - head == weights
            assert row["trains"] == (", ".join(last_layers(backbone, unfrozen)) or "none")


def test_one_and_two_outputs_have_rows_of_their_own(folder):
    rows = table(folder, "pneumonia_loss").set_index("outputs")
    hidden = (256 * 256 + 1) * 128 + 2 * (128 + 1) * 128
    assert rows["parameters"].to_dict() == {1: hidden + 129, 2: hidden + 2 * 129}
    assert rows[[*KINDS]].loc[1].tolist() == [0, 4, 3, 0, 1]


def test_files_of_earlier_networks_are_removed(manifests, tmp_path):
    target = tmp_path / "networks"
    write_networks(manifests["pneumonia_loss"], str(target))
    (target / "earlier.txt").touch()
    write_networks(manifests["pneumonia_loss"], str(target))
    assert [path.name for path in tmp_path.iterdir()] == ["networks"]
    assert sorted(path.name for path in target.iterdir()) == ["networks.csv", "perceptron.txt"]
