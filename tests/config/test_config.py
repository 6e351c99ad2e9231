import copy
import subprocess
import sys

import pytest
import torchvision
from conftest import ROOT

from medgrid.architectures.torchvision_names import TORCHVISION
from medgrid.config import load, read_yaml, schema
from medgrid.utils.errors import MedgridError


def test_the_project_s_own_params_are_valid(params):
    loaded = load(params)
    study = loaded.studies["brain_tumor_lr_batch"]
    assert study.axis_names == ["model", "batch_size", "lr"]
    assert study.axes.lr == [1e-5, 1e-4, 1e-3, 1e-2]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("studies.brain_tumor_lr_batch.axes.lr", [1e-3, -1], "studies.brain_tumor_lr_batch.axes.lr[1]: "),
        ("studies.brain_tumor_lr_batch.axes.lr", [float("inf")], "axes.lr[0]: "),
        ("studies.brain_tumor_lr_batch.split.seed", -1, "split.seed: "),
        ("results", "", "results: "),
        ("studies.brain_tumor_lr_batch.axes.lr", [], "studies.brain_tumor_lr_batch.axes.lr: "),
        ("studies.brain_tumor_lr_batch.axes.lr", [1e-3, 1e-3], "is listed twice"),
        ("studies.brain_tumor_lr_batch.axes.lr", ["fast"], "axes.lr[0]: "),
        ("studies.brain_tumor_lr_batch.axes.model", ["resnet5"], "did you mean resnet50"),
        ("studies.brain_tumor_lr_batch.axes.batchsize", [1], "unknown key; did you mean 'batch_size'?"),
        ("studies.brain_tumor_lr_batch.axes.epochs", [1, 2], "'epochs' is both in fixed and in axes"),
        ("studies.brain_tumor_lr_batch.fixed.optimizer", None, "'optimizer' is neither"),
        ("studies.brain_tumor_lr_batch.dataset", "brains", "there is no data set 'brains'"),
        ("studies.brain_tumor_lr_batch.split.test", 1.5, "studies.brain_tumor_lr_batch.split.test: "),
        ("studies.brain_tumor_lr_batch.split", {"test": 0.6, "validation": 0.5}, "leave no images for training"),
        ("studies.brain_tumor_lr_batch.weights.resnet50", {"file": "my.pth"}, "sha256 is missing"),
        ("studies.brain_tumor_lr_batch.axes", {}, "axes is empty"),
        ("weights", {}, "there are no weights for efficientnet_b0"),
        ("datasets.brain_tumor_mri.images", "(", "not a regular expression"),
        ("datasets.brain_tumor_mri.images", "x", "needs the named group (?P<label>…)"),
        ("datasets.brain_tumor_mri.kaggle.handle", "owner/name", "datasets.brain_tumor_mri.kaggle.handle: "),
        ("run", ["nothing"], "there is no study 'nothing'"),
        (
            "studies.brain_tumor_lr_batch.claims.odd",
            {"text": "x", "tests": [{"kind": "trend", "axis": "model", "direction": "up"}]},
            "claims.odd.tests[0]",
        ),
        ("device", "tpu", "device: "),
        ("unheard_of", 1, "unheard_of: unknown key"),
        ("studies.stroke_transfer.extra", [{"lr": -1}], "extra[0].lr: Input should be greater than 0 (it is -1)"),
        ("studies.stroke_transfer.extra", [{"lr": [1, "x"]}], "extra[0].lr[1]: Input should be a valid number"),
        ("studies.stroke_transfer.extra", [{"optimiser": "sgd"}], "unknown key; did you mean 'optimizer'?"),
        ("studies.stroke_transfer.split.validation", "tset", "or: Input should be 'test' (it is 'tset')"),
        ("studies.stroke_transfer.models.vgg19.backbone", "vgg99", "no classifier named 'vgg99'; did you mean vgg19"),
        (
            "studies.stroke_transfer.models.vgg19.layers",
            [{"dense": 3}],
            "layers[0]: dense needs {pool: global_average}",
        ),
        ("studies.stroke_transfer.models.vgg19.layers", [{"conv": 3}], "before the output"),
        (
            "studies.stroke_transfer.models.vgg19.layers",
            [{"conv": 3, "dense": 2}],
            "conv and dense cannot be in one layer",
        ),
        ("studies.stroke_transfer.models.vgg19.layers", [{"l2": 0.1}], "is not a layer"),
        ("studies.stroke_transfer.axes.model", ["cnn_simpel"], "did you mean cnn_simple"),
        (
            "studies.stroke_transfer.fixed.protocol",
            "clean",
            "fixed.protocol: unknown key; it belongs to another block",
        ),
        (
            "studies.pneumonia_loss.published",
            [{"source": "x", "by": ["lr"], "metrics": ["a"], "rows": [[1]]}],
            "rows[0] has",
        ),
        (
            "studies.pneumonia_loss.published",
            [{"source": "x", "by": ["optimiser"], "metrics": ["test_accuracy"], "rows": [["sgd", 0.5]]}],
            "by: there is no setting 'optimiser'; did you mean optimizer?",
        ),
        (
            "studies.pneumonia_loss.published",
            [{"source": "x", "by": ["lr"], "metrics": ["test_acuracy"], "rows": [[0.1, 0.5]]}],
            "metrics: there is no metric named 'test_acuracy'; did you mean test_accuracy?",
        ),
        (
            "studies.pneumonia_loss.published",
            [{"source": "x", "by": ["class"], "metrics": ["test_accuracy"], "rows": [["NORMAL", 0.5]]}],
            "there is no metric per class named 'test_accuracy'",
        ),
        (
            "studies.pneumonia_loss.published",
            [{"source": "x", "by": ["class"], "metrics": ["f1"], "rows": [["NORMAL", "ninety"]]}],
            "rows[0]: f1 is not a number: 'ninety'",
        ),
        (
            "studies.pneumonia_loss.published",
            [{"source": "x", "by": ["class"], "metrics": ["f1"], "rows": [["NORMA", 0.5]]}],
            "there is no class 'NORMA'; did you mean NORMAL?",
        ),
        ("datasets.mri_stroke.folder", "here", "either kaggle or folder"),
        ("datasets.mri_stroke.labels", {"file": "a.csv"}, "needs the named group (?P<id>…)"),
        ("datasets.mri_stroke.kaggle", None, "either kaggle or folder"),
        (
            "datasets.mri_stroke.group",
            {"file": "a.csv", "slide": "b"},
            "datasets.mri_stroke.group.slide: unknown key",
        ),
        ("datasets.mri_stroke.group", {"id": "a"}, "datasets.mri_stroke.group.file: this key is missing"),
        ("datasets.mri_stroke.group", "x", "datasets.mri_stroke.group: needs the named group (?P<group>…)"),
        ("datasets.mri_stroke.series", "chain", "datasets.mri_stroke.series: Input should be 'chains'"),
        ("datasets.mri_stroke.series", {"blocks": 0}, "datasets.mri_stroke.series.blocks: Input should be greater"),
        (
            "datasets.mri_stroke.series",
            {"blocks": 9, "classes": ["Contrl"]},
            "datasets.mri_stroke: series.classes: there is no class 'Contrl'",
        ),
        ("studies.stroke_transfer.split", {"validation": 0.1}, "split: set either test or by: archive"),
        (
            "studies.stroke_transfer.split",
            {"by": "archive", "test": 0.1, "validation": 0.1},
            "split: set either test or by: archive",
        ),
        (
            "studies.stroke_transfer.split",
            {"by": "archive", "validation": 0.1},
            "studies.stroke_transfer.split.by: datasets.mri_stroke.images has no group (?P<split>…)",
        ),
        ("augmentations.mild", {}, "all operations are 0"),
        ("studies.stroke_transfer.weights", {"vgg91": "random"}, "no model or backbone 'vgg91'; did you mean vgg19?"),
        ("augmentations.none", {"rotation": 5}, "augmentations.none: the name none"),
        ("weights.vgg19", "rnd", "weights.vgg19: Input should be 'random' or 'random_calibrated' (it is 'rnd')"),
    ],
)
def test_faults_name_their_place(params, path, value, message):
    changed = copy.deepcopy(params)
    *parents, last = path.split(".")
    place = changed
    for parent in parents:
        place = place.setdefault(parent, {})
    place[last] = value
    with pytest.raises(MedgridError) as caught:
        load(changed)
    assert message in str(caught.value)


def test_all_faults_are_reported_at_once(params):
    changed = copy.deepcopy(params) | {"device": "tpu", "source": "thin air"}
    with pytest.raises(MedgridError, match=r"2 errors:\n(.|\n)*device(.|\n)*") as caught:
        load(changed)
    assert "source: " in str(caught.value)


def test_broken_yaml_names_the_line(tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text("run: [a]\nweights: [b\n")
    with pytest.raises(MedgridError, match=r"params.yaml, line 3, column 1: invalid YAML"):
        read_yaml(file)
    file.write_text("- a list\n")
    with pytest.raises(MedgridError, match="expected a mapping, got list"):
        read_yaml(file)
    with pytest.raises(MedgridError, match="does not exist"):
        read_yaml(tmp_path / "other.yaml")


def test_schema_is_in_sync():
    kept = (ROOT / "workflow/schemas/params.schema.json").read_text()
    assert kept == schema(), "run `make schema`"


def test_model_names_are_torchvision_s():
    assert set(torchvision.models.list_models(module=torchvision.models)) == TORCHVISION


@pytest.mark.parametrize("module", ["medgrid.cli", "medgrid.config", "medgrid.grid.layout", "medgrid.launch.run"])
def test_what_snakemake_and_help_import_is_light(module):
    heavy = "{'torch', 'torchvision', 'pandas', 'numpy', 'matplotlib', 'sklearn', 'scipy', 'kagglehub'}"
    code = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_published_settings_written_as_words_are_numbers(params):
    """YAML takes 1e-2 for a word, and a rate of 0.01 would not find its cell."""
    params = copy.deepcopy(params)
    entry = {"source": "x", "by": ["lr"], "metrics": ["test_accuracy"], "rows": [["1e-2", "0.5"]]}
    params["studies"]["pneumonia_loss"]["published"] = [entry]
    assert load(params).studies["pneumonia_loss"].published[0].rows == [[0.01, 0.5]]


def test_published_classes_are_words_even_when_numbers(params):
    params = copy.deepcopy(params)
    study = params["studies"]["pneumonia_loss"]
    params |= {"studies": {"pneumonia_loss": study}, "run": ["pneumonia_loss"]}
    params["datasets"]["chest_xray"]["classes"] = ["0", "01"]
    study["published"] = [{"source": "x", "by": ["class"], "metrics": ["f1"], "rows": [[0, 0.5], ["01", 0.5]]}]
    rows = load(params).studies["pneumonia_loss"].published[0].rows
    assert rows == [["0", 0.5], ["01", 0.5]]


def test_a_key_that_stands_twice_is_a_fault(tmp_path):
    (tmp_path / "a.yaml").write_text("one: {epochs: 100}\ntwo:\n  epochs: 100\n  lr: 1\n  epochs: 7\n")
    with pytest.raises(MedgridError, match="line 5, column 3: invalid YAML: 'epochs' is repeated"):
        read_yaml(tmp_path / "a.yaml")
    (tmp_path / "a.yaml").write_text("one: &one {epochs: 100}\ntwo: {<<: *one, epochs: 7}\n")
    assert read_yaml(tmp_path / "a.yaml")["two"] == {"epochs": 7}
