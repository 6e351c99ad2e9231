import copy
import itertools
import re

import pytest
import yaml
from conftest import ROOT, merged

from medgrid.config import Augmentation, Training, load
from medgrid.grid.cells import expand_grid
from medgrid.grid.layout import lay_out, seed_blocks, seeds_of
from medgrid.grid.versions import VERSIONS, fingerprint, non_default
from medgrid.utils.errors import MedgridError

STUDY = "brain_tumor_lr_batch"


def paths(params: dict) -> set[str]:
    """Names of everything that holds numbers."""
    layout = lay_out(load(params))
    jobs = {f"job {job}" for job in layout.manifests[STUDY].jobs}
    return jobs | {f"features {name}" for name in layout.features} | {f"split {name}" for name in layout.splits}


def test_the_first_study_has_its_sixteen_cells(params):
    study = load(params).studies[STUDY]
    grid = expand_grid(study)
    assert len(grid) == 16
    assert {(c.training.model, c.training.batch_size, c.training.lr) for c in grid} == {
        (model, batch, lr)
        for model in ("efficientnet_b0", "resnet50")
        for batch in (32, 64)
        for lr in (1e-5, 1e-4, 1e-3, 1e-2)
    }
    assert {(c.training.optimizer, c.training.epochs, c.training.loss) for c in grid} == {
        ("adamw", 100, "cross_entropy")
    }
    assert load(params).studies["brain_tumor_lr_batch_mobilenet"].model_names == [
        "efficientnet_b0", "mobilenet_v2", "resnet50",
    ]  # fmt: skip


# cells of each document's full grid, and jobs that train them
FULL = {
    "brain_tumor_lr_batch": (16, 2),  # a job per backbone
    "brain_tumor_transfer": (10, 10),  # augmented anew: a job per cell
    "histopathology_batch": (24, 24),
    "stroke_transfer": (
        128 + 8 + 3,
        16 // 16 * 4 + 4 * 16 + 4 * 12 + 8 + 3,
    ),  # frozen without augmentation: one per backbone
    "pneumonia_loss": (48 + 3, 2 * 3),  # a job per loss and batch size
}


@pytest.mark.parametrize("study", FULL)
def test_every_replicate_of_every_cell_is_trained_once(params, study):
    loaded = load(params)
    layout = lay_out(loaded)
    manifest = layout.manifests[study]
    settings = [layout.jobs[f"{study}/{job}"].settings for job in manifest.jobs]
    seeds = [seed for block in seed_blocks([], range(manifest.replicates)) for seed in seeds_of(block)]
    trained = [(cell["id"], seed) for job in settings for cell in job["cells"] for seed in seeds]
    count, jobs = FULL[study]
    assert len(settings) == jobs
    assert len(trained) == len(set(trained)) == count * 5
    assert {cell for cell, _ in trained} == {cell.id for cell in expand_grid(loaded.studies[study])}


def test_the_grids_are_the_documents(params):
    studies = load(params).studies

    def points(study: str, *names: str) -> list[tuple]:
        return [tuple(getattr(cell.training, name) for name in names) for cell in expand_grid(studies[study])]

    transfer = points("brain_tumor_transfer", "model", "mode")
    backbones, modes = ("vgg16", "resnet50", "inception_v3"), ("scratch", "head_only", "full")
    assert sorted(transfer) == sorted([*itertools.product(backbones, modes), ("vgg16_deeper", "head_only")])
    assert set(points("histopathology_batch", "batch_size", "optimizer", "lr")) == set(
        itertools.product((16, 32, 64, 128, 256, 512), ("sgd", "adam"), (1e-3, 1e-4))
    )
    stroke = points("stroke_transfer", "model", "unfrozen", "lr", "optimizer", "augmentation")
    families = ("vgg19", "resnet50", "inception_v3", "efficientnet_b0")
    optimizers, switch = ("rmsprop", "adam"), ("none", "mild")
    product = set(itertools.product(families, (0, 3, 12, 20), (1e-2, 1e-4), optimizers, switch))
    plain = set(itertools.product(("cnn_simple", "cnn_improved"), (0,), (1e-5,), optimizers, switch))
    named = {("vgg19", 3, 1e-5, "rmsprop", "none"), ("vgg19", 3, 1e-5, "adam", "none"),
             ("vgg19", 3, 1e-5, "rmsprop", "mild")}  # fmt: skip
    assert set(stroke) == product | plain | named
    loss = points("pneumonia_loss", "loss", "batch_size", "scheduler", "step_size", "lr")
    losses = ("binary_cross_entropy", "cross_entropy")
    product = set(itertools.product(losses, (32, 64, 128), ("step",), (3, 5, 10, 20), (1e-3, 1e-6)))
    more = {
        ("cross_entropy", 32, name, size, 1e-3)
        for name, size in (("cosine", None), ("multistep", None), ("plateau", 5))
    }
    assert set(loss) == product | more


def test_every_published_row_has_its_cell(params):
    """What a document prints belongs to a cell of its full grid, but for batch sizes that only one source has."""
    loaded = load(params)
    for study in FULL:
        trainings = [cell.training for cell in expand_grid(loaded.studies[study])]
        for published in loaded.studies[study].published:
            for row in published.rows:
                wanted = {name: value for name, value in zip(published.by, row, strict=False) if name != "class"}
                assert [t for t in trainings if all(getattr(t, n) == v for n, v in wanted.items())], (study, wanted)


def test_what_trains_from_nothing_needs_no_file(params):
    layout = lay_out(load(params))
    jobs = {name.rsplit("-", 1)[0]: layout.jobs[f"brain_tumor_transfer/{name}"]
             for name in layout.manifests["brain_tumor_transfer"].jobs}  # fmt: skip
    assert jobs["vgg16_scratch"].settings["weights"] == "random"
    assert "weights" not in jobs["vgg16_scratch"].inputs
    assert jobs["vgg16_full"].inputs["weights"].startswith("vgg16-")
    assert jobs["vgg16_deeper_head_only"].settings["weights"] == "random"


def test_a_weight_file_s_folder_is_not_in_the_path(params):
    changed = copy.deepcopy(params)
    changed["weights"]["vgg16"]["file"] = "/elsewhere/" + changed["weights"]["vgg16"]["file"]
    assert set(lay_out(load(changed)).jobs) == set(lay_out(load(params)).jobs)


def test_jobs_of_whole_networks_can_be_cut_as_small_as_wanted(params):
    jobs = {}
    for one_job_per in ("replicate", "cell", "model"):
        changed = copy.deepcopy(params)
        changed["studies"]["histopathology_batch"]["one_job_per"] = one_job_per
        manifest = lay_out(load(changed)).manifests["histopathology_batch"]
        blocks = seed_blocks([], range(manifest.replicates), one_job_per == "replicate")
        jobs[one_job_per] = len(manifest.jobs) * len(blocks)
    assert jobs == {"replicate": 24 * 5, "cell": 24, "model": 1}


@pytest.mark.parametrize(
    ("existing", "replicates", "one_each", "blocks"),
    [
        ([], 5, False, ["seeds-0-4"]),
        ([], 2, True, ["seeds-0", "seeds-1"]),
        (["seeds-0-4"], 8, False, ["seeds-0-4", "seeds-5-7"]),
        (["seeds-0-4", "seeds-5-7"], 5, False, ["seeds-0-4"]),
        (["seeds-0-7"], 5, False, ["seeds-0-7"]),
        (["seeds-5-7", "seeds-2"], 8, False, ["seeds-0-1", "seeds-2", "seeds-3-4", "seeds-5-7"]),
        (["seeds-0-4", "seeds-0-7"], 8, False, ["seeds-0-7"]),
        (["seeds-1"], 3, True, ["seeds-0", "seeds-1", "seeds-2"]),
        (["seeds-0-2", "seeds-2-4"], 6, False, ["seeds-0-2", "seeds-2-4", "seeds-5"]),
    ],
)
def test_finished_seeds_are_kept_and_only_missing_ones_asked_for(existing, replicates, one_each, blocks):
    assert seed_blocks(existing, range(replicates), one_each) == blocks


@pytest.mark.parametrize(
    ("study", "change", "message"),
    [
        ("pneumonia_loss", {"fixed": {"mode": "full"}}, "perceptron has no backbone with weights"),
        ("pneumonia_loss", {"extra": [{"scheduler": "multistep", "loss": "cross_entropy", "batch_size": 1, "lr": 1}]},
         "multistep needs milestones"),
        ("pneumonia_loss", {"extra": [{"loss": "cross_entropy"}]}, "has no value for 'batch_size'"),
        ("stroke_transfer", {"image": {"colour": "grey"}}, "needs colour images"),
        ("stroke_transfer", {"axes": {"unfrozen": [0, 99]}}, "unfrozen: 99 is too large; vgg19 has 22"),
        ("stroke_transfer", {"axes": {"augmentation": ["wild"]}}, "there is no augmentation 'wild'"),
        ("brain_tumor_transfer", {"fixed": {"loss": "binary_cross_entropy"}}, "is for two classes, not 4"),
        ("brain_tumor_transfer", {"fixed": {"views": 4}}, "need an augmentation and a frozen backbone"),
        ("brain_tumor_transfer", {"extra": [{"model": "vgg16", "mode": "full"}]}, "is listed twice"),
    ],
)  # fmt: skip
def test_settings_that_do_not_go_together_are_named(params, study, change, message):
    changed = copy.deepcopy(params)
    for key, value in change.items():
        block = changed["studies"][study]
        block[key] = value if isinstance(value, list) else block[key] | value
    with pytest.raises(MedgridError, match=message) as caught:
        lay_out(load(changed))
    assert f"studies.{study}" in str(caught.value)


def test_protocols_differ_in_split_and_settings(params):
    changed = copy.deepcopy(params)
    changed["studies"]["brain_tumor_transfer"]["protocol"] = "published"
    clean, published = (load(each).studies["brain_tumor_transfer"] for each in (params, changed))
    assert (clean.split_settings.validation, published.split_settings.validation) == (0.1, "test")
    assert {cell.training.lr for cell in expand_grid(clean)} == {0.001}
    assert {cell.training.lr for cell in expand_grid(published)} == {0.005}


def test_rates_that_differ_by_little_keep_their_own_cells(params):
    changed = copy.deepcopy(params)
    changed["studies"][STUDY]["axes"]["lr"] = [1e-5, 1.0000001e-5, 1e-7, 1.1e-7]
    ids = [cell.id for cell in expand_grid(load(changed).studies[STUDY])]
    assert len(set(ids)) == 16


def test_what_shapes_numbers_is_in_the_path(params):
    before = paths(params)
    changes = {
        "epochs": lambda p: p["studies"][STUDY]["fixed"].update(epochs=99),
        "one rate": lambda p: p["studies"][STUDY]["axes"].update(lr=[1e-5, 1e-4, 1e-3, 2e-2]),
        "size": lambda p: p["studies"][STUDY]["image"].update(size=128),
        "interpolation": lambda p: p["studies"][STUDY]["image"].update(interpolation="bicubic"),
        "split seed": lambda p: p["studies"][STUDY]["split"].update(seed=1),
        "protocol": lambda p: p["studies"][STUDY].update(protocol="published"),
        "normalisation": lambda p: p["studies"][STUDY]["fixed"].update(normalisation="unit"),
        "schedule": lambda p: p["studies"][STUDY]["fixed"].update(scheduler="cosine"),
        "patience": lambda p: p["studies"][STUDY]["fixed"].update(patience=3),
        "decay": lambda p: p["studies"][STUDY]["fixed"].update(gamma=0.5),
        "head": lambda p: p["studies"][STUDY].update(
            models={
                m: {"backbone": m, "layers": [{"pool": "global_average"}]} for m in ("efficientnet_b0", "resnet50")
            }
        ),
        "selection": lambda p: p["studies"][STUDY].update(select="validation_accuracy"),
        "data": lambda p: p["datasets"]["brain_tumor_mri"].update(sha256="a" * 64),
        "groups": lambda p: p["datasets"]["brain_tumor_mri"].update(group="(?P<group>x)"),
        "source": lambda p: p.update(source="synthetic"),
        "optimizer": lambda p: p["studies"][STUDY]["fixed"].update(optimizer="adam"),
        "weight decay": lambda p: p["studies"][STUDY]["fixed"].update(weight_decay=0.1),
        "which files": lambda p: p["datasets"]["brain_tumor_mri"].update(images="(?P<label>x)"),
        "weights": lambda p: p["weights"].update(
            resnet50={"file": "a.pth", "sha256": "b" * 64}, efficientnet_b0="random"
        ),
    }
    for name, change in changes.items():
        changed = copy.deepcopy(params)
        change(changed)
        jobs = {path for path in paths(changed) if path.startswith("job")}
        assert not jobs & before, name


def test_where_things_lie_and_what_they_are_called_is_not(params):
    changed = copy.deepcopy(params) | {
        "mirror": "elsewhere", "device": "cpu", "results": "other", "data": "disk",
    }  # fmt: skip
    changed["studies"][STUDY]["title"] = "Another title"
    changed["weights"]["resnet50"]["note"] = "as published"
    changed["datasets"]["brain_tumor_mri"]["max_undecodable"] = 0.5
    changed["studies"][STUDY]["replicates"] = 8
    assert paths(changed) == paths(params)


@pytest.mark.parametrize("package", ["data", "near_duplicates", "split", "models", "training"])
def test_code_versions_are_in_the_path(params, package, monkeypatch):
    before = paths(params)
    monkeypatch.setitem(VERSIONS, package, VERSIONS[package] + 1)
    after = paths(params)
    assert not {path for path in after & before if path.startswith("job")}
    # heads may be trained anew without passing every image through the backbones again
    assert any(path.startswith("features") for path in after & before) == (
        package in ("near_duplicates", "split", "training")
    )


def test_what_tables_and_pages_show_is_in_the_manifest(params):
    changed = copy.deepcopy(params)
    changed["studies"][STUDY]["title"] = "Another title"
    original, renamed = (lay_out(load(each)).manifests[STUDY] for each in (params, changed))
    changed["weights"]["resnet50"]["note"] = "as published"
    noted = lay_out(load(changed)).manifests[STUDY]
    assert len({original.page_name, renamed.page_name, noted.page_name}) == 3
    # a title is on the page, and in no table
    assert original.tables_name == renamed.tables_name != noted.tables_name


def test_a_change_of_looks_makes_no_table_again(params, monkeypatch):
    def names() -> tuple[str, list[str], str]:
        manifest = lay_out(load(params)).manifests[STUDY]
        return manifest.tables_name, manifest.jobs, manifest.page_name

    before = names()
    monkeypatch.setitem(VERSIONS, "report", VERSIONS["report"] + 1)
    after = names()
    assert before[:2] == after[:2]
    assert before[2] != after[2]


class WithNeutralField(Training):
    """As a later version of the code may have it."""

    label_smoothing: float = 0.0


class WithNewOperation(Augmentation):
    shear: float = 0.0


def test_a_neutral_field_changes_no_name(params):
    """A new setting with a neutral default, and a new operation of augmentation, keep finished results."""
    training = lay_out(load(params)).manifests["stroke_transfer"].trainings
    for settings in training.values():
        later = WithNeutralField(**settings.model_dump())
        assert fingerprint(non_default(later)) == fingerprint(non_default(settings))
        assert fingerprint(non_default(later.model_copy(update={"label_smoothing": 0.1}))) != fingerprint(
            non_default(settings)
        )
    for augmentation in load(params).augmentations.values():
        later = WithNewOperation(**augmentation.model_dump())
        assert fingerprint(non_default(later)) == fingerprint(non_default(augmentation))


def test_another_audit_changes_no_training(params, monkeypatch):
    before = lay_out(load(params))
    monkeypatch.setitem(VERSIONS, "audit", VERSIONS["audit"] + 1)
    after = lay_out(load(params))
    for names in ("jobs", "splits", "near_duplicates", "features"):
        assert set(getattr(before, names)) == set(getattr(after, names))
    assert before.audits != after.audits


def test_studies_share_what_they_have_in_common(params):
    layout = lay_out(load(params))
    assert len(layout.archives) == 5  # four data sets, one of them also re-encoded
    assert len(layout.inventories) == 5
    # two studies have a split of their own on a data set that others share, and one has nine other splits
    assert len(layout.splits) == 7 + 9
    assert len(layout.tensors) == 6
    of_lr_batch = [step for step in layout.features.values() if step.settings["feature_level"] == "output"]
    assert len(of_lr_batch) == 5  # two genuine backbones, two stand-ins, MobileNetV2


def test_a_changed_group_table_or_series_changes_the_split(params):
    key = "histopathologic_cancer"

    def names(**changes) -> tuple[str, str]:
        changed = copy.deepcopy(params)
        changed["datasets"][key] |= changes
        inputs = lay_out(load(changed)).inputs_of["histopathology_batch"]
        return inputs["inventory"], inputs["split"]

    table = {"file": "slides.csv", "sha256": "1" * 64}
    plain, grouped, series = names(), names(group=table), names(series="chains")
    assert names(group=table | {"file": "moved/slides.csv"}) == grouped
    assert len({plain, grouped, names(group=table | {"sha256": "2" * 64}), names(group={"file": "slides.csv"})}) == 4
    # series change the split alone
    assert series[0] == plain[0]
    assert len({plain[1], series[1], names(series={"blocks": 20})[1]}) == 3


def test_synthetic_images_are_not_in_the_user_s_table(params):
    changed = copy.deepcopy(params) | {"source": "synthetic"}
    changed["datasets"]["chest_xray"]["group"] = {"file": "slides.csv"}
    layout = lay_out(load(changed))
    assert layout.inventories[layout.inputs_of["pneumonia_loss"]["inventory"]].settings["group"] is None


def test_fingerprints_do_not_depend_on_the_order_of_keys():
    assert fingerprint({"a": 1, "b": 2.0}) == fingerprint({"b": 2.0, "a": 1})
    assert fingerprint(1e-5) != fingerprint(1.0000001e-5)
    assert len(fingerprint()) == 12


def test_the_demo_shows_every_way_to_train_and_every_value(params):
    overrides = yaml.safe_load((ROOT / "workflow/profiles/demo/params.yaml").read_text())
    demo, full = load(merged(params, overrides)).studies, load(params).studies
    assert sum(len(expand_grid(demo[study])) for study in FULL) <= 60
    assert set(overrides["run"]) < set(FULL)
    # what `make demo-all` names
    assert re.search(r"^STUDIES = (.*)$", (ROOT / "Makefile").read_text(), re.M)[1].split() == list(FULL)
    for study in FULL:
        shown, whole = ([cell.training for cell in expand_grid(studies[study])] for studies in (demo, full))
        pairs = [{(t.model, t.mode, t.unfrozen) for t in trainings} for trainings in (shown, whole)]
        assert pairs[0] == pairs[1], study
        axes = full[study].axis_names
        for axis in {*axes, "scheduler", "loss", "optimizer", "augmentation"}:
            values = [{getattr(t, axis) for t in trainings} for trainings in (shown, whole)]
            assert values[0] == values[1], (study, axis)


@pytest.mark.parametrize(
    ("fixed", "axes"),
    [
        ({"mode": "head_only"}, {"unfrozen": [0, 3]}),
        ({"optimizer": "adam"}, {"momentum": [0.0, 0.9]}),
        ({}, {"step_size": [2, 3]}),
    ],
)
def test_cells_that_are_the_same_training_are_a_fault(fixed, axes, params):
    params = copy.deepcopy(params)
    study = params["studies"][STUDY]
    study["fixed"] = {name: value for name, value in study["fixed"].items() if name not in axes} | fixed
    study["axes"] |= axes
    params |= {"studies": {STUDY: study}, "run": [STUDY]}
    with pytest.raises(MedgridError, match="are identical: they differ only in settings that have no effect"):
        lay_out(load(params))


def test_batchnorm_wants_more_than_one_image(params):
    params = copy.deepcopy(params)
    params["studies"]["brain_tumor_transfer"]["fixed"]["batch_size"] = 1
    with pytest.raises(MedgridError, match="BatchNorm cannot normalise a batch of one image"):
        lay_out(load(params))
