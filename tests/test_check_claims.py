"""Claims of a publication against its own printed numbers, and the claims of params.yaml as a whole."""

import re
import subprocess
import sys

import factories
import pandas as pd
import pytest
from conftest import ROOT

from medgrid.check_claims import LEGEND, PrintedResults, check_study, print_checks
from medgrid.config import Params, load
from medgrid.evaluation.claim_kinds import KINDS
from medgrid.evaluation.claims import Judge
from medgrid.grid.cells import expand_grid
from medgrid.grid.manifest import StudyManifest
from medgrid.grid.study_manifest import study_manifest
from medgrid.utils.errors import MedgridError

ADAM, SGD, RMSPROP = ({"optimizer": name} for name in ("adam", "sgd", "rmsprop"))
CLAIMS = {
    "right": [{"kind": "order", "settings": [ADAM, SGD]}],
    "too_small": [{"kind": "order", "settings": [SGD, RMSPROP]}],
    "as_small_as_asked": [{"kind": "order", "settings": [SGD, RMSPROP], "margin": 0.005}],
    "wrong": [{"kind": "order", "settings": [ADAM, SGD, RMSPROP]}, {"kind": "order", "settings": [RMSPROP, ADAM]}],
    "alike": [{"kind": "equal", "settings": [SGD, RMSPROP]}],
    "in_each": [{"kind": "order", "settings": [ADAM, SGD], "each": True}],
    "best": [{"kind": "best", "settings": ADAM | {"lr": 0.1}}],
    "at_chance": [{"kind": "chance", "settings": ADAM | {"lr": 0.001}, "margin": 0.2}],
    "of_curves": [{"kind": "noisier", "settings": [ADAM, SGD]}],
    "partly": [{"kind": "order", "settings": [ADAM, SGD]}, {"kind": "plateau", "after": 2}],
}
# accuracies by optimizer, of both rates
ROWS = [["adam", 0.1, 0.95], ["adam", 0.001, 0.85], ["sgd", 0.1, 0.8], ["sgd", 0.001, 0.85], ["rmsprop", 0.1, 0.82]]


def small(**entry) -> Params:
    claims = {name: {"text": name, "source": "x", "tests": tests} for name, tests in CLAIMS.items()}
    axes = {"optimizer": ["adam", "sgd", "rmsprop"], "lr": [0.1, 0.001]}
    rows = [*ROWS, ["rmsprop", 0.001, 0.82]]
    published = {"source": "table 1", "by": ["optimizer", "lr"], "metrics": ["test_accuracy"], "rows": rows} | entry
    return load(factories.small(axes, classes=("a", "b"), claims=claims, published=[published]))


def summary(params: Params) -> dict[str, str]:
    """Result by claim."""
    lines = check_study(params, "odd")[2].splitlines()
    return {name: line[2 : line.index(":")] for line in lines for name in line[line.index("(") + 1 : -1].split(", ")}


def test_claims_are_compared_with_the_printed_numbers():
    assert summary(small()) == {
        "right": "agrees", "too_small": "below the margin", "as_small_as_asked": "agrees", "wrong": "contradicts",
        "alike": "agrees", "in_each": "below the margin", "best": "agrees", "at_chance": "contradicts",
        "of_curves": "not printed", "partly": "agrees, as far as printed",
    }  # fmt: skip


def test_the_table_has_each_comparison(capsys):
    print_checks(small(), "odd")
    text = capsys.readouterr().out
    assert text.startswith(LEGEND)
    rows = {tuple(cell.strip() for cell in line.split("|")[1:-1]) for line in text.splitlines() if "|" in line}
    assert ("too_small", "sgd better than rmsprop", "+0.50 points", "1", "below the margin") in rows
    assert ("wrong", "rmsprop better than adam", "-8.00 points", "1", "contradicts") in rows
    of_best = [row for row in rows if row[0] == "best"]
    assert len(of_best) == 1
    assert of_best[0][1].endswith("adam, learning rate 0.001, and 4 others")  # the closest rival
    assert ("partly", "validation accuracy flat after epoch 2: all cells", "", "", "not printed") in rows
    assert not [row for row in rows if row[0] == "of_curves"]


def test_other_accuracies_stand_for_that_of_the_test_set_but_other_metrics_do_not():
    assert summary(small(metrics=["validation_accuracy"])) == summary(small())
    assert set(summary(small(metrics=["test_f1_macro"])).values()) == {"not printed"}


def test_few_networks_in_order_stay_open():
    """Four networks are in any order with a probability of 1/24."""
    models = ["resnet18", "resnet34", "resnet50", "resnet101"]
    claims = {"sizes": {"text": "x", "source": "x", "tests": [{"kind": "correlated"}]}}
    rows = [[model, (i + 1) / 10, 1000 * i] for i, model in enumerate(models)]
    published = [{"source": "x", "by": ["model"], "metrics": ["test_accuracy", "trainable"], "rows": rows}]
    settings = factories.small({"model": models}, models=models, claims=claims, published=published)
    assert summary(load(settings)) == {"sizes": "too few networks"}


def test_an_unknown_study_is_named():
    with pytest.raises(MedgridError, match="there is no study 'x' in params.yaml; its studies are odd"):
        print_checks(small(), "x")


@pytest.mark.slow
def test_the_command_needs_no_torch():
    code = "import sys, medgrid.check_claims; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


def test_the_committed_page_is_up_to_date(params, capsys):
    """docs/claims_check.md; `make check-claims` writes it."""
    print_checks(load(params))
    assert capsys.readouterr().out == (ROOT / "docs/claims_check.md").read_text()


def test_the_page_on_claims_counts_them(params):
    """docs/claims.md."""
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (\d+) \| (\d+) \|$", (ROOT / "docs/claims.md").read_text(), re.M)
    studies = load(params).studies
    assert len(rows) == len({study.document for study in studies.values()})
    for name, *counts in rows:
        tests = sum(len(claim.tests) for claim in studies[name].claims.values())
        assert list(map(int, counts)) == [len(studies[name].claims), tests, len(studies[name].not_judged)]


def test_each_claim_of_a_publication_has_its_place(params):
    for name, study in load(params).studies.items():
        assert study.claims, name
        assert all(claim.source for claim in study.claims.values()), name
        assert len({claim.text for claim in study.claims.values()}) == len(study.claims), name
        assert study.not_judged, name


class WholeGrid(PrintedResults):
    """All cells of a study, without numbers."""

    def __init__(self, manifest: StudyManifest):
        super().__init__(manifest)
        self.cells = list(manifest.trainings)

    def of_curves(self, _: object) -> pd.DataFrame:
        return pd.DataFrame({0: 0.0}, self.cells)


@pytest.mark.slow
def test_each_test_is_about_cells_of_its_study(params):
    """A misspelt value would select no cell, and the claim would never be judged."""
    settings = load(params)
    for name, study in settings.studies.items():
        manifest = study_manifest(settings, name, expand_grid(study, name), [], [], [], {}, "")
        judge = Judge(WholeGrid(manifest))
        for key, claim in study.claims.items():
            for test in claim.tests:
                comparisons = list(KINDS[test.kind](judge, test))
                assert all(comparison.measured is not None for comparison in comparisons), (name, key, test)
