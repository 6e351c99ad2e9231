"""Sentences about comparisons of claims, and their labels in the figure of claims."""

import re
import textwrap
from typing import Any

import pytest
from factories import CLAIM, COMPARISON

from medgrid.evaluation import verdicts
from medgrid.report.claim_text import RELATIONS, margins, numbers, opposed, reason, sentence
from medgrid.report.figures.claims import labels

GAP = {"relation": "gap_below", "right": None, "metric": None, "details": {"value": 0.01}}


def text(**changes: Any) -> str:
    return "".join(sentence(COMPARISON | changes))


def test_sentences_name_both_sides_and_the_condition():
    assert text() == "learning rate 0.1 better than learning rate 0.01"
    assert text(right=None) == "learning rate 0.1 better than others"
    where = {"model": ["vgg16"]}
    assert text(where=where) == "learning rate 0.1 better than learning rate 0.01 (vgg16)"
    assert text(**GAP) == "training minus validation accuracy of learning rate 0.1 below 1 point"
    # the left side repeats the condition
    assert text(**GAP, left={"model": ["vgg16"]}, where=where).endswith("accuracy of vgg16 below 1 point")
    flat = {"relation": "flat", "curve": "validation_loss", "details": {"epoch": 20}}
    assert text(**flat) == "validation loss flat after epoch 20: learning rate 0.1"
    improves = {"relation": "improves", "left": {}, "right": None, "details": {"axis": "lr"}}
    assert text(**improves, where=where) == "better from lowest to highest learning rate (vgg16)"


def test_a_relation_without_a_sentence_is_described_by_its_name():
    assert text(relation="twice_as_good_as") == "learning rate 0.1 twice as good as learning rate 0.01"
    of_value = {"relation": "reaches", "right": None, "details": {"value": 0.9}}
    assert text(**of_value) == "learning rate 0.1 reaches 90 points"
    assert text(**of_value, unit="nats", metric="test_loss") == "learning rate 0.1 reaches 0.9 nats"


def test_every_relation_of_the_documentation_has_a_sentence():
    relations = verdicts.__doc__.split("\nRelations")[1]
    names = re.findall(r"^- (.+?):", relations, re.M)
    assert set(RELATIONS) == set(re.findall(r"`(\w+)`", " ".join(names)))


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, "+2.24 points (−0.10 to +3.00)"),  # noqa: RUF001
        ({"low": None, "high": None, "replicates": 1}, "+2.24 points, from one replicate"),
        ({"low": None, "high": None}, "+2.24 points, without scatter over the replicates"),
        (
            {"low": None, "high": None, "unit": "none", "over": "networks", "p_support": 0.0456},
            "+0.0224 (p = 0.0456, permutation of sizes)",
        ),
        ({"unit": "times", "estimate": 1.5, "low": 1.2, "high": 2}, "1.50 times (1.20 to 2.00)"),
        ({"estimate": None, "missing": "not_run"}, "not run here"),
    ],
)
def test_numbers(changes, wanted):
    assert numbers(COMPARISON | changes) == wanted


def test_the_reason_is_the_first_decisive_comparison():
    small = COMPARISON | {"verdict": "negligible", "low": 0.001, "high": 0.005, "estimate": 0.003}
    claim = {"comparisons": [COMPARISON, small, COMPARISON], "decisive": [1, 0]}
    assert reason(claim) == (
        "learning rate 0.1 better than learning rate 0.01: +0.30 points (+0.10 to +0.50): less than 1 point either "
        "way; 1 more"
    )


def test_strata_opposed_to_the_average_are_named():
    strata = [
        {"left": {"lr": [0.1]}, "where": {"model": [name]}, "estimate": gain, "low": gain - 0.01, "high": gain + 0.01,
         "verdict": verdict, "opposed": verdict == "contradicted"}
        for name, gain, verdict in (("vgg16", 0.05, "supported"), ("resnet50", -0.02, "contradicted"))
    ]  # fmt: skip
    claim = CLAIM | {"comparisons": [COMPARISON | {"strata": strata}]}
    assert opposed(claim) == "resnet50: −2.00 points (−3.00 to −1.00)"  # noqa: RUF001
    assert opposed(CLAIM) == ""


@pytest.mark.parametrize(
    ("bounds", "wanted"),
    [
        (None, ""),
        ([0, 0.0123], "margins up to 1.23 points"),
        ([0.0123, None], "any margin above 1.23 points"),
        ([0.001, 0.02], "margins from 0.10 points to 2.00 points"),
        ([0, None], "any margin"),
    ],
)
def test_margins_over_which_a_verdict_stands(bounds, wanted):
    assert margins(CLAIM | {"margins": bounds}) == wanted


def test_long_labels_leave_out_a_beginning_that_all_share():
    condition = {"loss": ["cross_entropy"], "scheduler": ["step"], "step_size": [10], "lr": [0.001]}
    pairs = [
        COMPARISON | {"left": {"batch_size": [64]}, "right": {"batch_size": [size]}, "where": condition}
        for size in (32, 128)
    ]
    gaps = [COMPARISON | GAP | {"left": {"model": ["resnet50"], "lr": [rate]}} for rate in (0.1, 1)]
    words = " (cross_entropy, scheduler step, step size 10, learning rate 0.001)"
    assert labels(pairs) == [textwrap.fill(f"… batch size {size}{words}", 62) for size in (32, 128)]
    assert labels(gaps) == [f"… resnet50, learning rate {rate} below 1 point" for rate in (0.1, 1)]
    different = [pairs[0], pairs[1] | {"left": {"batch_size": [16]}}]
    starts = [label.replace("\n", " ").split(" better")[0] for label in labels(different)]
    assert starts == ["batch size 64", "batch size 16"]
    assert labels(gaps[:1]) == [textwrap.fill("".join(sentence(gaps[0])), 62)]  # nothing to distinguish
