"""Several random splits of a study: which files they share, and their seeds."""

import copy

import pytest

from medgrid.config import load
from medgrid.grid.layout import lay_out
from medgrid.grid.versions import non_default
from medgrid.utils.errors import MedgridError

STUDY = "brain_tumor_lr_batch"


def on_splits(params: dict, splits: int, seeds: int = 1, seed: int = 42) -> dict:
    changed = copy.deepcopy(params)
    changed["studies"][STUDY] |= {"replicates": {"splits": splits, "seeds": seeds}}
    changed["studies"][STUDY]["split"]["seed"] = seed
    return changed


def test_splits_share_all_that_does_not_depend_on_them(params):
    one, three, four = (lay_out(load(each)) for each in (params, on_splits(params, 3), on_splits(params, 4, 2)))
    manifest = three.manifests[STUDY]
    assert (three.features, three.tensors, three.weights) == (one.features, one.tensors, one.weights)
    assert len({three.jobs[f"{STUDY}/{job}"].inputs["split"] for job in manifest.all_jobs}) == 3
    # the first split is the study's own, with the same jobs
    assert manifest.jobs == one.manifests[STUDY].jobs
    assert three.inputs_of == one.inputs_of
    assert len(manifest.all_jobs) == len(set(manifest.all_jobs)) == 3 * len(manifest.jobs)
    for other, seed in zip(manifest.other_splits, (1, 2), strict=True):
        assert three.splits[other.split].settings["seed"] == seed
        for job in other.jobs:
            assert three.jobs[f"{STUDY}/{job}"].inputs["split"] == other.split
    # more splits keep those that exist, more seeds the seeds
    assert four.manifests[STUDY].other_splits[:2] == manifest.other_splits
    job = manifest.other_splits[1].jobs[0]
    assert three.blocks_of(STUDY, job, []) == ["seeds-2000"]
    assert four.blocks_of(STUDY, job, ["seeds-2000"]) == ["seeds-2000", "seeds-2001"]
    assert four.blocks_of(STUDY, manifest.jobs[0], ["seeds-0-4"]) == ["seeds-0-4"]


def test_no_two_splits_have_the_same_seed(params):
    study = load(on_splits(params, 4, seed=2)).studies[STUDY]
    assert [split.seed for split in study.splits] == [2, 1, 3, 4]
    assert [split.seed for split in load(params).studies[STUDY].splits] == [42]


def test_one_split_has_the_names_that_it_had(params):
    """A neutral default: the field of other splits is not part of a manifest's hash."""
    manifest = lay_out(load(params)).manifests[STUDY]
    assert "other_splits" not in non_default(manifest)


@pytest.mark.parametrize(
    ("replicates", "message"),
    [
        ({"splits": 1}, r"replicates\.splits: Input should be greater than or equal to 2 \(it is 1\)"),
        ({"splits": 3, "seeds": 0}, r"replicates\.seeds: Input should be greater than or equal to 1"),
        ({"seeds": 3}, r"replicates\.splits: this key is missing"),
        ({"splits": 3, "seed": 1}, r"replicates\.seed: unknown key"),
        (0, "replicates: Input should be greater than or equal to 1"),
        ("many", "replicates: Input should be a valid integer"),
    ],
)
def test_wrong_numbers_of_replicates_are_named(params, replicates, message):
    changed = copy.deepcopy(params)
    changed["studies"][STUDY]["replicates"] = replicates
    with pytest.raises(MedgridError, match=rf"studies\.{STUDY}\.{message}"):
        load(changed)
