"""Model cards: their numbers are those of the tables, and what was not measured is not reported."""

import hashlib
import json
import re

import factories
import numpy as np
import pandas as pd
import pytest

from medgrid.report.labelled_results import LabelledResults
from medgrid.report.model_card import duration, write_model_cards

pytestmark = pytest.mark.filterwarnings("error")
MODELS = ("resnet18", "vgg16")
AUDIT = {
    "file": {"images": 4, "clusters": 2, "surplus": 2, "conflicting": 0, "across_splits": 1},
    "pixels": {"images": 9, "clusters": 4, "surplus": 5, "conflicting": 1, "across_splits": 2},
    "near_duplicate": {"images": 31, "clusters": 14, "surplus": 17, "conflicting": 3, "across_splits": 6},
    "shortcuts": {"file format": 0.41, "mean brightness": 0.62},
}


def cards_of(folder, manifest, audit="") -> dict[str, str]:
    images, tensors = str(folder / "images.csv"), str(folder / "tensors.npy")
    write_model_cards(manifest, str(folder), images, images, tensors, audit)
    return {path.stem: path.read_text() for path in (folder / "cards").iterdir()}


def evaluated_with_cards(folder, params, diverged=(), audit="") -> tuple[LabelledResults, dict[str, str]]:
    study = factories.evaluated(folder, params, diverged=diverged)
    return study, cards_of(folder, study.manifest, audit)


def rows_of(card: str, heading: str) -> dict[str, list[str]]:
    """The first table below a heading, by its first column."""
    lines = re.search(rf"^#+ {heading}$.*?\n(\|.*?)\n(?!\|)", card, re.M | re.S)[1].splitlines()[2:]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return {row[0]: row[1:] for row in cells}


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cards")
    params = factories.small({"model": list(MODELS), "lr": [0.1, 0.01]}, models=MODELS, replicates=3)
    study = factories.evaluated(folder, params)
    study = LabelledResults(study.manifest.model_copy(update={"synthetic": False}), folder, study.split)
    return folder, study, cards_of(folder, study.manifest)


def test_every_model_has_a_card_in_the_order_of_mitchell(two):
    _, _, cards = two
    assert set(cards) == set(MODELS)
    wanted = [
        "Model details", "Intended use", "Factors", "Metrics", "Evaluation data", "Training data",
        "Quantitative analyses", "Ethical considerations", "Caveats and recommendations", "Cost",
    ]  # fmt: skip
    for card in cards.values():
        assert re.findall("^## (.+)$", card, re.M) == wanted
        assert "Not a medical device" in card
        assert not re.search(r"\{\{|\}\}|\{%|None|nan|Undefined|&#|&amp;", card)


def test_metrics_are_those_of_the_selected_cell(two):
    _, study, cards = two
    for model, card in cards.items():
        best = study.best.loc[study.best_cell(model)]
        rows = rows_of(card, "Quantitative analyses") | rows_of(card, "Calibration")
        for name, metric in (
            ("accuracy", "test_accuracy"), ("accuracy without near-duplicates", "test_accuracy_deduplicated"),
            ("ECE", "test_ece"), ("balanced accuracy", "test_recall_macro"), ("ECE, scaled", "test_ece_scaled"),
        ):  # fmt: skip
            mean, low, high = (100 * best[f"{metric}_{each}"] for each in ("mean", "low", "high"))
            assert rows[name][:2] == [f"{mean:.1f} %", f"{low:.1f} % to {high:.1f} %"]
        assert rows["temperature"][0] == f"{best['temperature_mean']:.3f}"
        assert "on 60 test images, or on 54 without near-duplicates." in card
        assert "6 of 60 (10.0 %) test images have a near-duplicate in training" in card
        assert "is correct for 75.0 % of the test images, and for 50.0 % of those without a near-duplicate" in card
        assert "report the accuracy without near-duplicates" in card


def test_counts_are_those_of_the_split(two):
    folder, study, cards = two
    split = pd.read_csv(folder / "images.csv")
    rows = rows_of(cards["vgg16"], "Training data")
    for name in study.classes:
        of_class = split.loc[split["label"] == name, "part"].value_counts()
        assert rows[name] == [str(of_class[part]) for part in ("train", "validation", "test")]
    assert rows["all"] == ["60", "60", "60"]


def test_recall_of_classes_is_that_of_the_other_table(two):
    folder, study, cards = two
    per_class = pd.read_csv(folder / "tables/per_class.csv")
    for model, card in cards.items():
        of_cell = per_class[(per_class["cell"] == study.best_cell(model)) & (per_class["checkpoint"] == "best")]
        recall = of_cell.groupby("class")["recall"].mean()
        table = re.findall(r"^\| class \| (\w) \| (\d+) \| (\d+) \| ([\d.]+) %", card, re.M)
        assert [name for name, *_ in table] == ["a", "b", "c"]
        for name, images, clusters, accuracy in table:
            assert (images, clusters) == ("20", "20")
            assert float(accuracy) == pytest.approx(100 * recall[name], abs=0.051)


def test_constant_factors_and_small_groups_are_listed(tmp_path):
    study = factories.evaluated(tmp_path, factories.small({"lr": [0.1]}))
    images = pd.read_csv(tmp_path / "images.csv")
    tested = images.index[images["part"] == "test"]
    images.loc[tested[:19], "format"] = "WEBP|X"
    images.to_csv(tmp_path / "images.csv", index=False)
    (card,) = cards_of(tmp_path, study.manifest).values()
    assert "Not compared, since they have fewer than 20 images: format WEBP|X (19)." in card
    assert re.search(r"^\| format \| PNG \| 41 \|", card, re.M)
    assert "The same in all test images: mode L, side, px 24." in card


def test_trained_weights_and_machines_are_named(tmp_path):
    study = factories.evaluated(tmp_path, factories.small({"lr": [0.1]}, one_job_per="replicate"))
    blocks = study.blocks
    assert len(blocks) == 2
    for i, block in enumerate(blocks):
        (block / "weights.pt").write_bytes(bytes([i]))
        description = json.loads((block / "job.json").read_text())
        description["training"]["device"] = f"machine {i}"
        description["backbone"] |= {"weights": "resnet18-x.pth", "sha256": "ab" * 32}
        (block / "job.json").write_text(json.dumps(description))
    changes = {"notes": {"resnet18": "a stand-in"}, "archive_sha256": "cd" * 32}
    (card,) = cards_of(tmp_path, study.manifest.model_copy(update=changes)).values()
    for i, block in enumerate(blocks):
        assert (
            f"`{block.relative_to(tmp_path)}/weights.pt`, sha256 `{hashlib.sha256(bytes([i])).hexdigest()}`" in card
        )
    assert "machine 0; machine 1" in card
    assert f"`resnet18-x.pth` (a stand-in); sha256 `{'ab' * 32}`" in card
    assert f"Digest of the archive's content (sha256): `{'cd' * 32}`" in card
    assert "Its initial weights have the note “a stand-in”" in card


def test_the_audit_is_quoted_if_there_is_one(tmp_path):
    file = tmp_path / "audit.json"
    file.write_text(json.dumps(AUDIT))
    study, cards = evaluated_with_cards(tmp_path, factories.small({"lr": [0.1]}), audit=str(file))
    (card,) = cards.values()
    assert "Near-duplicates: 17 images besides the first of each of their 14 clusters" in card
    assert "3 clusters of copies have conflicting labels" in card
    assert rows_of(card, "Audit of the data set")["mean brightness"] == ["62.0 %"]
    assert "“mean brightness” reaches a balanced accuracy of 62.0 %" in card
    balanced = study.best.loc["lr=0.1", "test_recall_macro_mean"]
    assert ("less than that" in card) == (balanced <= 0.62)
    assert "not audited" not in card.lower()
    (card,) = cards_of(tmp_path, study.manifest).values()
    assert "Not audited." in card
    assert "was not audited:" in card


def test_intervals_over_images_are_next_to_those_over_seeds(tmp_path):
    study = factories.evaluated(tmp_path, factories.small({"lr": [0.1]}))
    row = {"cell": "lr=0.1", "metric": "test_accuracy", "both_low": 0.125, "both_high": 0.875}
    pd.DataFrame([row, row | {"cell": "another", "both_low": 0.0}]).to_csv(
        tmp_path / "tables/intervals.csv", index=False
    )
    (card,) = cards_of(tmp_path, study.manifest).values()
    rows = rows_of(card, "Quantitative analyses")
    assert rows["accuracy"][2] == "12.5 % to 87.5 %"
    assert rows["kappa"][2] == "–"  # noqa: RUF001


def test_limits_follow_from_what_was_run(tmp_path):
    params = factories.small({"lr": [0.1, 0.01, 0.001]})
    worst = factories.evaluated(tmp_path / "sound", params).validation_scores().idxmin()
    _, cards = evaluated_with_cards(tmp_path / "unsound", params, diverged=((worst, 1),))
    (card,) = cards.values()
    assert "the best of 3 cells by validation" in card
    assert "1 of these cells could not be selected, since a replicate diverged" in card
    assert "The images are synthetic." in card
    assert "although the mode is full, it starts from random weights" in card
    (alone,) = evaluated_with_cards(tmp_path / "single", factories.small({"lr": [0.1]}, replicates=1))[1].values()
    assert "A single replicate" in alone
    assert "the best of" not in alone
    assert "| accuracy | " in alone and " | – |" in alone  # noqa: RUF001


def test_test_images_used_for_validation_are_a_limit(tmp_path):
    study = factories.evaluated(tmp_path, factories.small({"lr": [0.1]}))
    images = pd.read_csv(tmp_path / "images.csv")
    tested = images[images["part"] == "test"]
    pd.concat([images[images["part"] != "validation"], tested.assign(part="validation", near_duplicate="")]).to_csv(
        tmp_path / "split.csv", index=False
    )
    names = [str(tmp_path / name) for name in ("images.csv", "split.csv", "tensors.npy")]
    write_model_cards(study.manifest, str(tmp_path), *names)
    assert "**The test images are also validation images:**" in (tmp_path / "cards" / "resnet18.md").read_text()


def test_names_with_a_bar_or_an_ampersand_stay_what_they_are(tmp_path):
    _, cards = evaluated_with_cards(tmp_path, factories.small({"lr": [0.1]}, classes=("a|b", "c&d")))
    (card,) = cards.values()
    assert rows_of(card, "Training data") == {r"a\|b": ["30"] * 3, "c&d": ["30"] * 3, "all": ["60"] * 3}
    assert "probabilities of a|b, c&d" in card


def test_where_every_cell_diverged_there_is_no_card(tmp_path):
    _, cards = evaluated_with_cards(tmp_path, factories.small({"lr": [0.1]}), diverged=(("lr=0.1", 0),))
    assert cards == {}


def test_cost_is_the_time_of_the_cell(two):
    folder, study, cards = two
    replicates = pd.read_csv(folder / "tables/replicates.csv").query("checkpoint == 'best'")
    seconds = replicates[replicates["cell"] == study.best_cell("vgg16")]["seconds"].sum()
    all_seconds = replicates["seconds"].sum()
    text = f"3 replicates: {duration(seconds)} of cpu; of the 4 cells of the grid: {duration(all_seconds)}."
    assert text in cards["vgg16"]
    assert "Energy: not measured." in cards["vgg16"]
    assert [duration(each) for each in (59, 60, 5400)] == ["59.0 s", "1.0 min", "1.5 h"]


def test_cards_of_the_same_tables_are_the_same(two):
    folder, study, cards = two
    assert cards_of(folder, study.manifest) == cards
    assert np.load(folder / "tensors.npy").ndim == 4
