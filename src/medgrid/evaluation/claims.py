"""Claims, judged: supported, contradicted, or open."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests

from medgrid.evaluation.contrasts import (
    Selection,
    cells_of,
    describe_selection,
    difference,
    linear_contrast,
    mean_of,
    rivals,
    select,
)
from medgrid.evaluation.labels import setting_name
from medgrid.evaluation.results import StudyResults
from medgrid.evaluation.statistics import LEVEL, Estimate, Region, estimate

UNITS = {"test_accuracy": "share", "test_recall_macro": "share", "test_auc_macro": "share", "test_loss": "nats"}


@dataclass(frozen=True)
class Part:
    """One comparison of a claim: what is said, what was found (None: not run), and where that must lie."""

    what: str
    found: Estimate | None
    region: Region
    unit: str  # share (of 1), nats, times, or none
    over: str  # what the interval covers: seeds, or seeds and test images
    lacking: str = "not run here"

    @property
    def verdict(self) -> str:
        """On its own, without regard to a claim's other parts."""
        if self.found is None:
            return "open"
        # first: what is surely too small to matter is no support, however surely it is there
        if self.region.p_against(self.found) <= LEVEL:
            return "contradicted"
        return "supported" if self.region.p_for(self.found) <= LEVEL else "open"

    def numbers(self) -> str:
        """Estimate and interval in words."""
        if self.found is None:
            return self.lacking
        if not np.isfinite(self.found.value):
            return "no seed of which all these cells can be measured"
        low, high = self.found.interval()
        unit = UNIT_NAMES[self.unit]
        shown = [_shown(self._bounded(value), self.unit) for value in (self.found.value, low, high)]
        if not np.isfinite(low):
            return f"{shown[0]}{unit}, from one replicate"
        return f"{shown[0]}{unit} ({shown[1]} to {shown[2]})"

    def _bounded(self, value: float) -> float:
        """Correlations within their range."""
        return np.clip(value, -1, 1) if self.unit == "none" else value

    def _told(self, value: float) -> float:
        """Ratios as such, not as logarithms."""
        return round(float(np.exp(value) if self.unit == "times" else self._bounded(value)), 6)

    def remark(self) -> str:
        """What the interval alone does not show: that a difference, if there is one, is too small to matter."""
        if self.verdict != "contradicted" or not (self.region.low < self.found.interval()[1] < self.region.floor):
            return ""
        return f", less than {_shown(self.region.floor, self.unit).lstrip('+')}{UNIT_NAMES[self.unit]} if anything"

    def to_dict(self) -> dict[str, Any]:
        """As claims.json has it.

        `holds`: bounds between which the claim holds; what surely lies outside of `matters` contradicts it. Null
        where there is no bound.
        """
        found = {"what": self.what, "estimate": None, "low": None, "high": None, "unit": self.unit, "over": self.over}
        for name, bounds in (
            ("holds", (self.region.low, self.region.high)), ("matters", (self.region.floor, self.region.ceiling)),
        ):  # fmt: skip
            found[name] = [self._told(bound) if np.isfinite(bound) else None for bound in bounds]
        found |= {"p": None, "p_against": None, "verdict": self.verdict, "replicates": 0, "needed": None}
        if self.found is None or not np.isfinite(self.found.value):
            return found | {"note": self.numbers()}
        for name, value in zip(("estimate", "low", "high"), (self.found.value, *self.found.interval()), strict=True):
            found[name] = self._told(value) if np.isfinite(value) else None
        found |= {"p": self.region.p_for(self.found), "p_against": self.region.p_against(self.found)}
        if self.verdict == "open":
            found["needed"] = self.region.needed(self.found)
        return found | {"replicates": self.found.seeds}


UNIT_NAMES = {"share": " points", "nats": " nats", "times": " times", "none": ""}


def _points(share: float) -> str:
    return f"{100 * share:g} point{'s' * (share != 0.01)}"


def _shown(value: float, unit: str) -> str:
    if unit == "share":
        return f"{100 * value:+.2f}"
    return f"{np.exp(value):.2f}" if unit == "times" else f"{value:+.3g}"


class Judge:
    """Turns the tests of a claim into parts, with a study's replicates.

    `sizes`: number of parameters of each cell's network, by cell, in columns parameters, trainable, frozen.
    """

    def __init__(self, study: StudyResults, sizes: pd.DataFrame):
        self.study, self.sizes = study, sizes
        self.by = study.settings["criterion"]

    def parts(self, test: dict[str, Any]) -> list[Part]:
        """What a test (see `medgrid.config.claims`) compares."""
        return list(getattr(self, f"_{test['kind']}")(test))

    def _margin(self, test: dict) -> float:
        return test.get("margin") or self.by["margin"]

    def _weighted(self, weights: pd.Series | None, metric: str) -> Estimate | None:
        """A weighted sum over cells of a metric of the test set; higher is better."""
        if weights is None:
            return None
        sign = -1 if metric == "test_loss" else 1
        return estimate(sign * self.study.weighted(weights, metric), self.study.clusters)

    def _compared(self, what: str, weights: pd.Series | None, test: dict, region: Region) -> Part:
        metric = test.get("metric") or self.by["metric"]
        return Part(what, self._weighted(weights, metric), region, UNITS[metric], "seeds and test images")

    def _of_curves(
        self, what: str, values: pd.DataFrame, weights: pd.Series | None, region: Region, unit: str
    ) -> Part:
        found = None
        if weights is not None:
            # a seed of which one of the cells diverged is left out
            found = estimate(weights.to_numpy() @ values.loc[list(weights.index)].to_numpy())
        return Part(what, found, region, unit, "seeds")

    def _among(self, test: dict) -> tuple[Selection, str]:
        of = select(test["of"])
        return of, f" ({describe_selection(of)})" if of else ""

    def _best(self, test: dict, sign: int = 1) -> Iterator[Part]:
        of, where = self._among(test)
        chosen = select(test["settings"])
        others = [select(each) for each in test["rivals"]] or rivals(self.study, chosen, of)
        region = Region.above(margin=self._margin(test))
        if not others or not cells_of(self.study, of, chosen):
            yield self._compared(f"{describe_selection(chosen)} above others{where}", None, test, region)
            return
        for other in others:
            pair = (chosen, other)[::sign]
            weights = difference(self.study, *pair, of)
            yield self._compared(
                f"{describe_selection(pair[0])} above {describe_selection(pair[1])}{where}", weights, test, region
            )

    def _worst(self, test: dict) -> Iterator[Part]:
        return self._best(test, -1)

    def _order(self, test: dict) -> Iterator[Part]:
        of, where = self._among(test)
        for first, second in itertools.pairwise(map(select, test["settings"])):
            weights = difference(self.study, first, second, of)
            what = f"{describe_selection(first)} above {describe_selection(second)}{where}"
            yield self._compared(what, weights, test, Region.above(margin=self._margin(test)))

    def _equal(self, test: dict) -> Iterator[Part]:
        of, where = self._among(test)
        for first, second in itertools.combinations(map(select, test["settings"]), 2):
            weights = difference(self.study, first, second, of)
            what = f"{describe_selection(first)} like {describe_selection(second)}{where}"
            yield self._compared(what, weights, test, Region.about(0, self._margin(test)))

    def _no_better(self, test: dict) -> Iterator[Part]:
        of, where = self._among(test)
        first, second = map(select, test["settings"])
        weights = difference(self.study, first, second, of)
        what = f"{describe_selection(first)} not above {describe_selection(second)}{where}"
        yield self._compared(what, weights, test, Region.below(self._margin(test)))

    def _trend(self, test: dict) -> Iterator[Part]:
        of, where = self._among(test)
        weights = linear_contrast(self.study, test["axis"], of)
        sign = 1 if test["direction"] == "up" else -1
        what = f"{'better' if sign > 0 else 'worse'} from lowest to highest {setting_name(test['axis'])}{where}"
        weights = None if weights is None else sign * weights
        yield self._compared(what, weights, test, Region.above(margin=self._margin(test)))

    def _interaction(self, test: dict) -> Iterator[Part]:
        of, where = self._among(test)
        sides = [linear_contrast(self.study, test["axis"], of, select(each)) for each in test["settings"]]
        weights = None if any(side is None for side in sides) else sides[0].sub(sides[1], fill_value=0)
        first, second = (describe_selection(select(each)) for each in test["settings"])
        what = f"more gained along {setting_name(test['axis'])} at {first} than at {second}{where}"
        yield self._compared(what, weights, test, Region.above(margin=self._margin(test)))

    def _chance(self, test: dict) -> Iterator[Part]:
        of, where = self._among(test)
        cells = cells_of(self.study, of, select(test["settings"]))
        chance = 1 / len(self.study.settings["classes"])
        what = f"balanced accuracy of {describe_selection(select(test['settings']))}{where} less chance"
        found = self._weighted(mean_of(self.study, cells) if cells else None, "test_recall_macro")
        if found:
            found = replace(found, value=found.value - chance)
        region = Region.about(0, self._margin(test))
        yield Part(what, found, region, UNITS["test_recall_macro"], "seeds and test images")

    def _noisier(self, test: dict) -> Iterator[Part]:
        of, where = self._among(test)
        first, second = map(select, test["settings"])
        values = self.study.of_curves(lambda run: run[test["curve"]].diff().abs().mean())
        weights = difference(self.study, first, second, of)
        curve = test["curve"].replace("_", " ")
        what = f"{curve} of {describe_selection(first)} rougher than of {describe_selection(second)}{where}: mean change per epoch"
        unit = "share" if curve.endswith("accuracy") else "nats"
        yield self._of_curves(what, values, weights, Region.above(), unit)

    def _generalization_gap(self, test: dict) -> Iterator[Part]:
        of, where = self._among(test)
        cells = cells_of(self.study, of, select(test["settings"]))
        values = self.study.of_curves(
            lambda run: run["train_accuracy"].iloc[-1] - run["validation_accuracy"].iloc[-1]
        )
        if "about" in test:
            region, said = Region.about(test["about"], self._margin(test)), f"about {_points(test['about'])}"
        elif "above" in test:
            region, said = Region.above(test["above"]), f"above {_points(test['above'])}"
        else:
            region, said = Region.below(test["below"]), f"below {_points(test['below'])}"
        groups = [[cell] for cell in cells] if test["each"] else [cells]
        for group in groups or [[]]:
            who = group[0] if test["each"] and group else describe_selection(select(test["settings"])) + where
            weights = mean_of(self.study, group) if group else None
            what = f"training less validation accuracy of {who} {said}"
            yield self._of_curves(what, values, weights, region, "share")

    def _plateau(self, test: dict) -> Iterator[Part]:
        of, where = self._among(test)
        cells = cells_of(self.study, of, select(test["settings"]))

        def change(run: pd.DataFrame) -> float:
            later = run[run["epoch"] >= test["after"]][test["curve"]]
            return later.iloc[-1] - later.iloc[0] if len(later) > 1 else np.nan

        values = self.study.of_curves(change)
        usable = [cell for cell in cells if values.loc[cell].notna().any()]
        curve = test["curve"].replace("_", " ")
        what = f"{curve} of {describe_selection(select(test['settings']))} flat after epoch {test['after']}{where}"
        region = Region.about(0, self._margin(test))
        unit = "share" if curve.endswith("accuracy") else "nats"
        yield self._of_curves(what, values, mean_of(self.study, usable) if usable else None, region, unit)

    def _fastest(self, test: dict, sign: int = -1) -> Iterator[Part]:
        of, where = self._among(test)
        chosen = select(test["settings"])
        values = np.log(self.study.seconds_per_epoch.where(self.study.seconds_per_epoch > 0))
        stacked = set(self.study.settings["stacked"])
        word = "slower" if sign > 0 else "faster"
        others = rivals(self.study, chosen, of) if cells_of(self.study, of, chosen) else []
        for other in others or [{}]:
            what = f"{describe_selection(chosen)} {word} per epoch than {describe_selection(other) if other else 'others'}{where}"
            weights = difference(self.study, chosen, other, of) if other else None
            if weights is not None and stacked & set(weights.index):
                yield Part(what, None, Region.above(), "times", "seeds", "trained in a stack, which shares its time")
                continue
            weights = None if weights is None else sign * weights
            yield self._of_curves(what, values, weights, Region.above(), "times")

    def _slowest(self, test: dict) -> Iterator[Part]:
        return self._fastest(test, 1)

    def _correlated(self, test: dict) -> Iterator[Part]:
        of, where = self._among(test)
        cells = [cell for cell in cells_of(self.study, of) if cell in self.sizes.index]
        metric = test.get("metric") or self.by["metric"]
        sizes = self.sizes.loc[cells, test["size"]].astype(float)
        size = "parameters" if test["size"] == "parameters" else f"{test['size']} parameters"
        what = f"more {size}, better {metric.replace('_', ' ')}{where}: rank correlation"
        found = None
        if sizes.nunique() > 1:
            sign = -1 if metric == "test_loss" else 1
            ranks = self.study.by_seed(metric).loc[cells].corrwith(sizes, method="spearman")
            found = estimate(sign * ranks.to_numpy())
            # few networks fall into order by chance, and then for every seed: what chance alone would scatter
            least = np.sqrt(1 / (sizes.nunique() - 1) / found.seeds) if found.seeds else np.nan
            found = replace(found, seed_error=np.maximum(found.seed_error, least))
        yield Part(what, found, Region.above(), "none", "seeds")


def judged(claim: dict[str, Any], name: str, judge: Judge) -> dict[str, Any]:
    """One claim as claims.json has it.

    Supported: all of its parts are, each at the one-sided 2.5 % level (an intersection-union test, which needs no
    correction). Contradicted: one of them is, after Holm's correction over the parts. `needed`: replicates that would
    settle it.
    """
    parts = [part for test in claim["tests"] for part in judge.parts(test)]
    against = [part.region.p_against(part.found) if part.found else 1.0 for part in parts]
    contradicted = multipletests(against, LEVEL, "holm")[0]
    wrong = [part for part, it in zip(parts, contradicted, strict=True) if it]
    unsettled = [part for part in parts if part.verdict != "supported"]
    needed = None
    if wrong:
        verdict, why = "contradicted", _list(wrong)
    elif not unsettled:
        verdict, why = "supported", _list(parts)
    else:
        verdict, why = "open", _list(unsettled)
        wanted = [part.region.needed(part.found) if part.found else None for part in unsettled]
        needed = None if None in wanted else max(wanted)
    found = {"name": name, "text": claim["text"], "source": claim["source"], "verdict": verdict, "why": why}
    return found | {"needed": needed, "parts": [part.to_dict() for part in parts]}


def _list(parts: list[Part]) -> str:
    """The part nearest to the edge, and how many others there are."""
    first = max(parts, key=lambda part: part.region.p_for(part.found) if part.found else 2)
    more = f"; {len(parts) - 1} more" if len(parts) > 1 else ""
    return f"{first.what}: {first.numbers()}{first.remark()}{more}"
