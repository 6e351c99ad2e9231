"""Verdicts on claims, on artificial studies whose truth is known."""

import json
import shutil
import zlib
from typing import get_args

import factories
import numpy as np
import pandas as pd
import pytest
from claim_texts import describe, reason

from medgrid.config import claims as claim_settings
from medgrid.config import load
from medgrid.data import HELD_OUT
from medgrid.evaluation.claim_kinds import KINDS
from medgrid.evaluation.results import StudyResults
from medgrid.evaluation.verdicts import judgements
from medgrid.evaluation.verdicts import verdicts as verdicts_of
from medgrid.grid.manifest import StudyManifest
from medgrid.training.predictions import Predictions, write_predictions
from medgrid.utils.errors import MedgridError

IMAGES, SEEDS, EPOCHS = 1200, 5, 24
AXES = {"optimizer": ["sgd", "adam"], "batch_size": [16, 32, 64], "lr": [0.1, 0.001]}


def accuracy(cell: dict) -> float:
    """Adam is better by 6 points; batches of 64 beat those of 16 by 8 at the high rate, and by nothing at the low."""
    gain = {16: -0.04, 32: 0.0, 64: 0.04}[cell["batch_size"]]
    return 0.75 + 0.06 * (cell["optimizer"] == "adam") + gain * (cell["lr"] == 0.1)


def write_job(folder, job: dict, diverged: tuple = ()) -> None:
    """Predictions that are right as often as `accuracy` says, images alike hard for every cell, and curves."""
    folder.mkdir(parents=True)
    cells, classes = job["cells"], job["classes"]
    labels = np.arange(IMAGES) % len(classes)
    hard = np.random.default_rng(1).random(IMAGES)
    probabilities = np.full((len(cells), SEEDS, 2, IMAGES, len(classes)), 0.1 / (len(classes) - 1), np.float32)
    rows = []
    for i, cell in enumerate(cells):
        for seed in range(SEEDS):
            rng = np.random.default_rng([seed, zlib.crc32(cell["id"].encode())])
            right = hard + rng.normal(0, 0.02, IMAGES) + rng.normal(0, 0.002) < accuracy(cell["training"])
            classified_as = np.where(right, labels, (labels + 1) % len(classes))
            probabilities[i, seed][:, np.arange(IMAGES), classified_as] = 0.9
            noise = 0.04 if cell["training"]["lr"] == 0.1 else 0.01
            level = np.minimum(1, np.arange(EPOCHS) / 12)
            curve = 0.5 + 0.3 * level + rng.normal(0, noise, EPOCHS)
            train = curve + 0.1 * (cell["training"]["optimizer"] == "adam") + rng.normal(0, 0.001, EPOCHS)
            epochs = np.arange(EPOCHS)
            train_loss = (1 - train) * 0.97**epochs
            # of Adam, validation loss rises after epoch 12
            rise = 1 + 0.08 * (cell["training"]["optimizer"] == "adam") * np.maximum(0, epochs - 12)
            loss = (1 - curve) * rise * 0.99**epochs
            rows += [[cell["id"], seed, e + 1, train_loss[e], train[e], loss[e], curve[e]] for e in epochs]
    shape = len(cells), SEEDS
    failed = np.array([[int((cell["id"], seed) in diverged) for seed in range(SEEDS)] for cell in cells])
    pace = np.array([1.0 if cell["training"]["optimizer"] == "sgd" else 2.0 for cell in cells])
    jitter = np.random.default_rng(zlib.crc32(cells[0]["id"].encode())).uniform(0.95, 1.05, shape)
    images = [f"{i}.png" for i in range(IMAGES)]
    predictions = Predictions(
        cells=[cell["id"] for cell in cells], seeds=list(range(SEEDS)), classes=classes,
        best_epoch=np.full(shape, EPOCHS), epochs=np.full(shape, EPOCHS), diverged_at=failed,
        seconds=EPOCHS * pace[:, None] * jitter, penalty=np.zeros((*shape, 2)),
        probabilities=dict.fromkeys(HELD_OUT, probabilities), images=dict.fromkeys(HELD_OUT, images),
        labels=dict.fromkeys(HELD_OUT, labels),
    )  # fmt: skip
    write_predictions(folder, predictions)
    names = ["cell", "seed", "epoch", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy"]
    pd.DataFrame(rows, columns=names).to_csv(folder / "curves.csv", index=False)
    factories.write_description(folder, job)


def write_study(folder, diverged: tuple = (), **study) -> StudyManifest:
    manifest, jobs = factories.settings_of(factories.small(AXES, classes=("a", "b"), replicates=SEEDS, **study))
    for name, job in jobs.items():
        write_job(folder / "jobs" / name / factories.block_name(list(range(SEEDS))), job, diverged)
    factories.write_models(manifest, folder)
    rows = [[f"{i}.png", "test", i // 2, "no"] for i in range(IMAGES)]
    rows += [[f"t{i}.png", "train", IMAGES + i, ""] for i in range(320)]
    split = pd.DataFrame(rows, columns=["path", "part", "cluster", "near_duplicate"])
    split.to_csv(folder / "images.csv", index=False)
    return manifest


def verdicts(folder, claims: dict, diverged: tuple = (), **study) -> dict[str, dict]:
    """Claims of a study as claims.json has them; given by name as lists of tests."""
    stated = {name: {"text": name, "tests": tests} for name, tests in claims.items()}
    results = StudyResults(write_study(folder, diverged, claims=stated, **study), folder, folder / "images.csv")
    content = json.loads(json.dumps(verdicts_of(results)))  # as in the file
    return {claim["name"]: claim for claim in content["claims"]}


HIGH, LOW = {"lr": 0.1}, {"lr": 0.001}
ADAM, SGD = {"optimizer": "adam"}, {"optimizer": "sgd"}
LARGE, SMALL = {"batch_size": 64}, {"batch_size": 16}
# name: tests, verdict
JUDGED = {
    "adam_is_best": ([{"kind": "best", "settings": ADAM}], "supported"),
    "adam_is_worst": ([{"kind": "worst", "settings": ADAM}], "contradicted"),
    "sgd_is_best": ([{"kind": "best", "settings": SGD}], "contradicted"),
    "best_of_all": ([{"kind": "best", "settings": ADAM | HIGH | LARGE}], "supported"),
    "an_order": ([{"kind": "order", "settings": [LARGE, {"batch_size": 32}, SMALL], "of": HIGH}], "supported"),
    "an_order_of_what_is_alike": ([{"kind": "order", "settings": [LARGE, SMALL], "of": LOW}], "negligible"),
    "by_much": ([{"kind": "order", "settings": [ADAM, SGD], "by_at_least": 0.04}], "supported"),
    "by_too_much": ([{"kind": "order", "settings": [ADAM, SGD], "by_at_least": 0.08}], "contradicted"),
    "adam_is_best_everywhere": ([{"kind": "best", "settings": ADAM, "each": True}], "supported"),
    "large_is_best_everywhere": (
        [{"kind": "order", "settings": [LARGE, SMALL], "each": True, "margin": 0.03}], "negligible",
    ),
    "alike_everywhere": ([{"kind": "equal", "settings": [LARGE, SMALL], "each": True}], "contradicted"),
    "alike": ([{"kind": "equal", "settings": [LARGE, SMALL], "of": LOW}], "supported"),
    "not_alike": ([{"kind": "equal", "settings": [SGD, ADAM]}], "contradicted"),
    "no_better": ([{"kind": "no_better", "settings": [SGD, ADAM]}], "supported"),
    "better_after_all": ([{"kind": "no_better", "settings": [ADAM, SGD]}], "contradicted"),
    "grows": ([{"kind": "trend", "axis": "batch_size", "direction": "up", "of": HIGH}], "supported"),
    "shrinks": ([{"kind": "trend", "axis": "batch_size", "direction": "down", "of": HIGH}], "contradicted"),
    "flat_line": ([{"kind": "trend", "axis": "batch_size", "direction": "up", "of": LOW}], "negligible"),
    "together": ([{"kind": "interaction", "axis": "batch_size", "settings": [HIGH, LOW]}], "supported"),
    "together_reversed": ([{"kind": "interaction", "axis": "batch_size", "settings": [LOW, HIGH]}], "contradicted"),
    "by_chance": ([{"kind": "chance", "settings": SGD}], "contradicted"),
    "noisier": ([{"kind": "noisier", "settings": [HIGH, LOW]}], "supported"),
    "smoother": ([{"kind": "noisier", "settings": [LOW, HIGH]}], "contradicted"),
    "overfits": ([{"kind": "generalization_gap", "settings": ADAM, "above": 0.05, "each": True}], "supported"),
    "does_not": ([{"kind": "generalization_gap", "settings": SGD, "below": 0.05}], "supported"),
    "by_ten": ([{"kind": "generalization_gap", "settings": ADAM, "about": 0.1, "margin": 0.01}], "supported"),
    "by_twenty": ([{"kind": "generalization_gap", "settings": ADAM, "about": 0.2, "margin": 0.01}], "contradicted"),
    "settles": ([{"kind": "plateau", "settings": LOW, "after": 14, "margin": 0.02}], "supported"),
    "still_climbing": ([{"kind": "plateau", "settings": LOW, "after": 4, "margin": 0.02}], "contradicted"),
    "quick": ([{"kind": "fastest", "settings": SGD}], "supported"),
    "slow": ([{"kind": "slowest", "settings": SGD}], "contradicted"),
    "twice_as_slow": ([{"kind": "slowest", "settings": ADAM, "factor": [1.5, 3]}], "supported"),
    "three_times_as_slow": ([{"kind": "slowest", "settings": ADAM, "factor": [3, 6]}], "contradicted"),
    "loss_rises": ([{"kind": "overfits", "settings": ADAM | LOW, "above": 1.3, "each": True}], "supported"),
    "loss_stays": ([{"kind": "overfits", "settings": SGD | LOW, "below": 1.3, "each": True}], "supported"),
    "loss_rises_after_all": ([{"kind": "overfits", "settings": ADAM, "below": 1.3}], "contradicted"),
    "sooner": ([{"kind": "overfits_sooner", "settings": [ADAM, SGD], "of": LOW}], "supported"),
    "later": ([{"kind": "overfits_sooner", "settings": [SGD, ADAM], "of": LOW}], "contradicted"),
    "slow_learner": ([{"kind": "learns_slower", "settings": [SGD, ADAM], "curve": "train_accuracy"}], "supported"),
    "quick_one": ([{"kind": "learns_slower", "settings": [ADAM, SGD], "curve": "train_accuracy"}], "contradicted"),
    "best_of_some": (
        [{"kind": "best", "settings": ADAM | {"batch_size": 32}, "of": HIGH, "without": LARGE}], "supported",
    ),
    "both_must_hold": (
        [{"kind": "best", "settings": ADAM}, {"kind": "best", "settings": HIGH | SMALL}], "contradicted",
    ),
    "of_what_is_not_there": ([{"kind": "best", "settings": {"batch_size": 128}}], "not_run"),
    "of_what_is_not_there_at_all": ([{"kind": "best", "settings": {"batch_size": 128} | HIGH}], "not_run"),
    "half_of_it_is_not_there": ([{"kind": "best", "settings": ADAM}, {"kind": "plateau", "after": 30}], "not_run"),
    "networks_of_one_size": ([{"kind": "correlated"}], "open"),
}  # fmt: skip


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    folder = tmp_path_factory.mktemp("claims")
    return folder, verdicts(folder, {name: tests for name, (tests, _) in JUDGED.items()})


@pytest.mark.parametrize("name", JUDGED)
def test_a_claim_is_judged_by_the_truth(judged, name):
    claim = judged[1][name]
    assert claim["verdict"] == JUDGED[name][1], claim
    assert claim["decisive"]
    for comparison in claim["comparisons"]:
        assert comparison["estimate"] is None or comparison["low"] < comparison["estimate"] < comparison["high"]
        assert (comparison["missing"] is None) == (comparison["estimate"] is not None)


def test_each_kind_of_claim_has_an_evaluation_and_a_test_here():
    kinds = {
        kind
        for test in get_args(get_args(claim_settings.Test)[0])
        for kind in get_args(test.model_fields["kind"].annotation)
    }
    assert kinds == set(KINDS)
    assert kinds == {test["kind"] for tests, _ in JUDGED.values() for test in tests} | {"worst"}


def test_numbers_are_those_that_were_planted(judged):
    (comparison,) = judged[1]["adam_is_best"]["comparisons"]
    assert comparison["low"] < 0.06 < comparison["high"]
    assert comparison["unit"] == "share"
    assert comparison["over"] == "seeds and test images"
    (comparison,) = judged[1]["together"]["comparisons"]
    assert comparison["low"] < 0.08 < comparison["high"]
    (comparison,) = judged[1]["quick"]["comparisons"]
    assert comparison["unit"] == "times"
    assert comparison["low"] < 2 < comparison["high"]
    assert len(judged[1]["best_of_all"]["comparisons"]) == 11
    (comparison,) = judged[1]["twice_as_slow"]["comparisons"]
    assert comparison["holds"] == pytest.approx([1.5, 3])
    assert comparison["low"] < 2 < comparison["high"]
    of_rivals = [comparison["right"] for comparison in judged[1]["best_of_some"]["comparisons"]]
    assert [right["batch_size"] for right in of_rivals] == [[16], [32], [16]]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("an_order", "batch size 64 above batch size 32 (learning rate 0.1)"),
        ("alike", "batch size 64 like batch size 16 (learning rate 0.001)"),
        ("no_better", "sgd not above adam"),
        ("grows", "better from lowest to highest batch size (learning rate 0.1)"),
        ("shrinks", "worse from lowest to highest batch size (learning rate 0.1)"),
        ("together", "more gained along batch size at learning rate 0.1 than at learning rate 0.001"),
        ("by_chance", "balanced accuracy of sgd less chance"),
        (
            "noisier",
            "validation accuracy of learning rate 0.1 rougher than of learning rate 0.001",
        ),
        ("overfits", "training less validation accuracy of adam, batch size 16, learning rate 0.1 above 5 points"),
        ("does_not", "training less validation accuracy of sgd below 5 points"),
        ("by_ten", "training less validation accuracy of adam about 10 points"),
        ("settles", "validation accuracy of learning rate 0.001 flat after epoch 14"),
        ("quick", "sgd faster per epoch than adam"),
        ("slow", "sgd slower per epoch than adam"),
        ("twice_as_slow", "adam slower per epoch than sgd, by a factor of 1.5 to 3"),
        ("sooner", "lowest validation loss of adam before that of sgd (learning rate 0.001)"),
        ("slow_learner", "train accuracy of the first 10 epochs lower for sgd than for adam"),
        ("of_what_is_not_there", "batch size 128 above others"),
        ("networks_of_one_size", "more trainable parameters, better test accuracy: rank correlation"),
    ],
)
def test_a_comparison_has_what_its_text_needs(judged, name, text):
    assert describe(judged[1][name]["comparisons"][0]) == text


def test_the_weakest_comparison_comes_first(judged):
    for claim in judged[1].values():
        p = [claim["comparisons"][i]["p_support"] for i in claim["decisive"]]
        assert p[0] is None or p[0] == max(p)
    assert len(judged[1]["best_of_all"]["decisive"]) == 11
    assert judged[1]["both_must_hold"]["decisive"][0] != 0  # the other one fails


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """Folder of the same study with its tables."""
    folder = tmp_path_factory.mktemp("tables")
    factories.evaluate(folder, write_study(folder))
    return folder


@pytest.mark.slow
def test_tables_say_the_same(evaluated):
    folder = evaluated
    pairs = pd.read_csv(folder / "tables/comparisons.csv").set_index(["compared", "first", "second"])
    adam = pairs.loc[("optimizer", "sgd", "adam")]
    assert adam["verdict"] == adam["verdict_adjusted"] == "second better"
    assert adam["low"] < -0.06 < adam["high"]
    assert (pairs["p_adjusted"] >= pairs["p"]).all()
    assert len(pairs) == 1 + 3 + 1 + 11
    both = pd.read_csv(folder / "tables/interactions.csv").set_index(["first", "second"])
    assert both.loc[("batch_size", "lr")]["p_adjusted"] < 0.001
    assert both.loc[("optimizer", "lr")]["p_adjusted"] > 0.05
    cells = pd.read_csv(folder / "tables/intervals.csv")
    accuracies = cells[cells["metric"] == "test_accuracy"]
    assert len(accuracies) == 12
    assert (accuracies["both_low"] < accuracies["images_low"] + 0.002).all()
    assert (accuracies["clusters"] == IMAGES // 2).all()


@pytest.mark.slow
def test_equal_steps_are_not_equal_epochs(evaluated):
    folder = evaluated
    views = pd.read_csv(folder / "tables/batch_sizes.csv")
    epochs, steps = (views[views["view"] == view] for view in ("epochs", "steps"))
    assert set(epochs["epoch"]) == {EPOCHS}
    assert set(epochs["steps"]) == {20 * EPOCHS, 10 * EPOCHS, 5 * EPOCHS}  # of 320 images
    assert set(steps["steps"]) == {5 * EPOCHS}
    assert set(steps["epoch"]) == {EPOCHS, EPOCHS // 2, EPOCHS // 4}
    # a quarter of the epochs, half of the way up
    early = steps[steps["batch_size"] == 16]["validation_accuracy"]
    assert early.max() < epochs[epochs["batch_size"] == 16]["validation_accuracy"].min()


def test_one_replicate_leaves_everything_open(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "SEEDS", 1)
    claim = verdicts(tmp_path, {"x": [{"kind": "best", "settings": ADAM}]})["x"]
    assert claim["verdict"] == "open"
    assert "one replicate" in reason(claim)


def test_a_diverged_training_counts_as_chance_and_claims_of_its_curves_do_without_it(tmp_path):
    cell = "sgd_batch_size=16_lr=0.1"
    tests = {
        "adam": [{"kind": "order", "settings": [ADAM, SGD], "of": HIGH | {"batch_size": 16}}],
        "generalization_gap": [
            {"kind": "generalization_gap", "settings": SGD | HIGH | {"batch_size": 16}, "below": 0.05}
        ],
    }
    claims = verdicts(tmp_path, tests, tuple((cell, seed) for seed in range(4)))
    (comparison,) = claims["adam"]["comparisons"]
    # 0.77 against (0.71 + 4 x 0.5) / 5
    assert comparison["estimate"] == pytest.approx(0.77 - 0.542, abs=0.03)
    assert claims["generalization_gap"]["comparisons"][0]["replicates"] == 1


def test_significantly_less_than_the_margin_is_negligible_for_claim_and_comparison(tmp_path):
    test = {"kind": "best", "settings": ADAM, "margin": 0.12}  # of a difference of 6 points
    claim = verdicts(tmp_path, {"x": [test]})["x"]
    (comparison,) = claim["comparisons"]
    assert comparison["low"] > 0
    assert (claim["verdict"], comparison["verdict"]) == ("negligible", "negligible")
    assert "less than 12 points either way" in reason(claim)
    low, high = claim["margins"]
    assert (low, high) == (pytest.approx(comparison["high"], rel=2e-3), None)


def test_curves_without_a_seed_in_common_have_no_estimate(tmp_path):
    one, other = "sgd_batch_size=16_lr=0.1", "sgd_batch_size=16_lr=0.001"
    failed = [(one, 0), (one, 1), (one, 2), (other, 3), (other, 4)]
    test = {"kind": "generalization_gap", "settings": SGD | SMALL, "below": 0.05}
    claim = verdicts(tmp_path, {"x": [test]}, tuple(failed))["x"]
    assert claim["verdict"] == "open"
    assert claim["comparisons"][0]["missing"] == "no_common_seed"
    assert "no seed with which all of these cells can be measured" in reason(claim)


def test_cells_that_lack_a_setting_are_rivals_too(tmp_path):
    extra = [{"scheduler": "step", "step_size": [5, 10], "optimizer": "sgd", "batch_size": 16, "lr": 0.1}]
    test = {"kind": "best", "settings": {"scheduler": "step", "step_size": 5}, "of": SGD | HIGH | SMALL}
    comparisons = verdicts(tmp_path, {"x": [test]}, extra=extra)["x"]["comparisons"]
    assert len(comparisons) == 2
    assert all(comparison["replicates"] == SEEDS for comparison in comparisons), comparisons


def test_two_networks_in_order_are_no_correlation(tmp_path):
    claims = {"x": {"text": "x", "tests": [{"kind": "correlated"}]}}
    params = factories.small({"model": ["resnet18", "vgg16"]}, ("resnet18", "vgg16"), replicates=SEEDS, claims=claims)
    manifest, jobs = factories.settings_of(params)
    factories.write_study(tmp_path, manifest, jobs)
    factories.evaluate(tmp_path, manifest)
    (claim,) = json.loads((tmp_path / "tables/claims.json").read_text())["claims"]
    assert claim["verdict"] == "open", claim


def test_heads_that_share_their_time_are_not_clocked(tmp_path):
    claims = {"x": {"text": "x", "tests": [{"kind": "fastest", "settings": SGD}]}}
    params = factories.small(AXES, classes=("a", "b"), replicates=SEEDS, claims=claims)
    params["studies"]["odd"]["fixed"]["mode"] = "head_only"
    manifest, jobs = factories.settings_of(params)
    assert set(manifest.stacked) == {cell["id"] for cell in manifest.cells}
    factories.write_study(tmp_path, manifest, jobs)
    factories.evaluate(tmp_path, manifest)
    (claim,) = json.loads((tmp_path / "tables/claims.json").read_text())["claims"]
    assert claim["verdict"] == "not_run"
    assert {comparison["missing"] for comparison in claim["comparisons"]} == {"time_shared"}


def test_another_study_s_split_is_refused(tmp_path):
    manifest = write_study(tmp_path)
    split = pd.read_csv(tmp_path / "images.csv").iloc[2:]
    split.to_csv(tmp_path / "images.csv", index=False)
    with pytest.raises(MedgridError, match=r"images.csv has no test image 0\.png"):
        factories.evaluate(tmp_path, manifest)


@pytest.mark.parametrize(
    ("test", "message"),
    [
        ({"kind": "best", "settings": {"learning_rate": 1}}, r"tests\[0\]\S*settings\.learning_rate: unknown key"),
        ({"kind": "wins", "settings": {}}, r"tests\[0\]: .*'wins'"),
        ({"kind": "trend", "axis": "batch", "direction": "up"}, r"tests\[0\]\S*axis: "),
        ({"kind": "trend", "axis": "optimizer", "direction": "up"}, r"tests\[0\]\S*axis: "),
        ({"kind": "equal", "settings": [{"lr": 0.1}, {"lr": 0.1}]}, "the same group is listed twice"),
        (
            {"kind": "generalization_gap", "settings": {}, "above": 0.1, "margin": 0.1},
            "margin is only valid with about",
        ),
        ({"kind": "order", "settings": [{"lr": 0.1}]}, r"tests\[0\]\S*settings: "),
        (
            {"kind": "generalization_gap", "settings": {}, "above": 1, "below": 0},
            "set exactly one of above, below and about",
        ),
        ({"kind": "best", "settings": {"lr": 0.1}, "metric": "test_f1"}, r"tests\[0\]\S*metric: "),
        ({"kind": "best", "settings": HIGH, "rivals": [LOW], "without": SMALL}, "set rivals or without, not both"),
        ({"kind": "overfits", "settings": {}, "above": 1.1, "below": 1.2}, "set exactly one of above and below"),
        ({"kind": "overfits", "settings": {}, "above": 0.9}, r"tests\[0\]\S*above: "),
        ({"kind": "slowest", "settings": SGD, "factor": [3, 2]}, "factor: the first number must be smaller"),
    ],
)
def test_a_claim_that_cannot_be_judged_is_refused_with_its_place(test, message):
    params = factories.small(AXES, claims={"x": {"text": "x", "tests": [test]}})
    with pytest.raises(MedgridError, match=r"studies\.odd\.claims\.x\.(.|\n)*" + message):
        load(params)


def test_what_holds_on_average_only_says_where_it_does_not(tmp_path):
    """Batches of 64 are better by 8 points at the high rate, and by nothing at the low one: alike in no sense."""
    tests = {
        "average": [{"kind": "order", "settings": [LARGE, SMALL], "margin": 0.02}],
        "alike": [{"kind": "equal", "settings": [LARGE, SMALL], "margin": 0.06}],
        "adam": [{"kind": "order", "settings": [ADAM, SGD]}],
    }
    claims = verdicts(tmp_path, tests)
    assert [claims[name]["verdict"] for name in tests] == ["supported"] * 3
    # no difference at the low rate is not the opposite of a difference
    assert not claims["average"]["on_average_only"]
    assert claims["alike"]["on_average_only"]
    opposed = [each for each in claims["alike"]["comparisons"][0]["strata"] if each["opposed"]]
    assert {each["where"]["lr"][0] for each in opposed} == {0.1}
    assert len(claims["adam"]["comparisons"][0]["strata"]) == 6
    assert not claims["adam"]["on_average_only"]


def test_over_many_claims_fewer_remain(tmp_path):
    """Holm's correction over the study."""
    (strong,) = verdicts(tmp_path / "1", {"x": [{"kind": "order", "settings": [ADAM, SGD]}]}).values()
    assert strong["verdict_in_study"] == "supported"
    barely = {"kind": "order", "settings": [ADAM, SGD], "by_at_least": strong["comparisons"][0]["low"] - 0.0005}
    claims = verdicts(tmp_path / "2", {"x": [barely]} | {f"y{i}": [barely] for i in range(9)})
    assert claims["x"]["verdict"] == "supported"
    assert claims["x"]["verdict_in_study"] == "open"


def test_a_verdict_stands_between_its_margins(tmp_path):
    tests = {"x": [{"kind": "order", "settings": [ADAM, SGD]}], "y": [{"kind": "equal", "settings": [ADAM, SGD]}]}
    for number, margin in enumerate((0.001, 0.04, 0.2)):
        for claim in verdicts(tmp_path / str(number), tests, criterion={"margin": margin}).values():
            low, high = claim["margins"]
            assert low <= margin <= (np.inf if high is None else high)
            if margin == 0.04:
                verdict, bounds = claim["verdict"], (low, high)
                inside, outside = bounds[1] - 0.001, bounds[1] + 0.001
                for each, same in ((inside, True), (outside, False)):
                    folder = tmp_path / f"{number}_{claim['name']}_{same}"
                    again = verdicts(folder, tests, criterion={"margin": each})[claim["name"]]
                    assert (again["verdict"] == verdict) == same


def test_seeds_that_are_added_later_are_another_look(tmp_path):
    results = StudyResults(write_study(tmp_path), tmp_path, tmp_path / "images.csv")
    assert verdicts_of(results)["judgements"] == 1
    for job in (tmp_path / "jobs").iterdir():
        (block,) = job.iterdir()
        block.rename(job / "seeds-0-2")
        shutil.copytree(job / "seeds-0-2", job / "seeds-3-4")
    results = StudyResults(results.manifest, tmp_path, tmp_path / "images.csv")
    assert judgements(results) == 2
