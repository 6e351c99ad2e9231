import copy

import pytest

from medgrid.config import load
from medgrid.fingerprint import VERSIONS, fingerprint
from medgrid.grid import cells, plan

STUDY = "brain_tumor_lr_batch"


def paths(params: dict) -> set[str]:
    """Names of everything that holds numbers."""
    laid = plan(load(params))
    packs = {f"pack {pack}" for pack in laid.packs_of[STUDY]}
    return packs | {f"features {name}" for name in laid.features} | {f"split {name}" for name in laid.splits}


def test_the_first_study_has_its_sixteen_cells(params):
    study = load(params).studies[STUDY]
    grid = cells(study)
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
    assert load(params).studies["brain_tumor_lr_batch_mobilenet"].models == [
        "efficientnet_b0", "mobilenet_v2", "resnet50",
    ]  # fmt: skip


def test_a_pack_per_backbone_holds_every_replicate(params):
    laid = plan(load(params))
    held = [laid.packs[f"{STUDY}/{pack}"].settings for pack in laid.packs_of[STUDY]]
    assert sum(len(pack["cells"]) * len(pack["seeds"]) for pack in held) == 16 * 5


def test_rates_that_differ_by_little_keep_their_own_cells(params):
    changed = copy.deepcopy(params)
    changed["studies"][STUDY]["axes"]["lr"] = [1e-5, 1.0000001e-5, 1e-7, 1.1e-7]
    ids = [cell.id for cell in cells(load(changed).studies[STUDY])]
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
        "normalisation": lambda p: p["studies"][STUDY].update(normalisation="none"),
        "selection": lambda p: p["studies"][STUDY].update(select="validation_accuracy"),
        "replicates": lambda p: p["studies"][STUDY].update(replicates=6),
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
        packs = {path for path in paths(changed) if path.startswith("pack")}
        assert not packs & before, name


def test_where_things_lie_and_what_they_are_called_is_not(params):
    changed = copy.deepcopy(params) | {
        "mirror": "elsewhere", "device": "cpu", "results": "other", "data": "disk",
    }  # fmt: skip
    changed["studies"][STUDY]["title"] = "Another title"
    changed["weights"]["resnet50"]["note"] = "as published"
    changed["datasets"]["brain_tumor_mri"]["max_undecodable"] = 0.5
    assert paths(changed) == paths(params)


@pytest.mark.parametrize("room", ["data", "models", "training"])
def test_code_versions_are_in_the_path(params, room, monkeypatch):
    before = paths(params)
    monkeypatch.setitem(VERSIONS, room, VERSIONS[room] + 1)
    after = paths(params)
    assert not {path for path in after & before if path.startswith("pack")}
    # heads may be trained anew without passing every image through the backbones again
    assert any(path.startswith("features") for path in after & before) == (room == "training")


def test_what_tables_and_pages_show_is_in_the_manifest(params):
    changed = copy.deepcopy(params)
    changed["studies"][STUDY]["title"] = "Another title"
    renamed = plan(load(changed)).manifest_of[STUDY]
    changed["weights"]["resnet50"]["note"] = "as published"
    noted = plan(load(changed)).manifest_of[STUDY]
    assert len({plan(load(params)).manifest_of[STUDY], renamed, noted}) == 3


def test_studies_share_what_they_have_in_common(params):
    laid = plan(load(params))
    assert len(laid.archives) == len(laid.inventories) == len(laid.splits) == len(laid.tensors) == 1
    assert len(laid.features) == 5  # two genuine backbones, two stand-ins, MobileNetV2


def test_fingerprints_do_not_depend_on_the_order_of_keys():
    assert fingerprint({"a": 1, "b": 2.0}) == fingerprint({"b": 2.0, "a": 1})
    assert fingerprint(1e-5) != fingerprint(1.0000001e-5)
    assert len(fingerprint()) == 12
