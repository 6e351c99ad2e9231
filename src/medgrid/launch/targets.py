"""The targets of a run, checked against those of the workflow."""

import difflib
import os
from collections.abc import Callable, Iterable

from medgrid.utils.errors import MedgridError

# Snakemake reads the Snakefile before the workflow knows its targets, so `medgrid run` puts them here
requested: list[str] = []


def check(rules: Iterable[str], studies: list[str], is_output: Callable[[str], bool]) -> None:
    """Raise MedgridError if a target is not a rule, an existing file, or an output of a rule (`is_output`)."""
    for target in requested:
        known = target in rules or os.path.lexists(target)
        if known or is_output(target) or is_output(os.path.normpath(target)):
            continue
        close = difflib.get_close_matches(target, rules, 1)
        suggestion = f"; did you mean '{close[0]}'?" if close else ""
        raise MedgridError(
            f"there is no study or target '{target}'{suggestion}\n"
            f"Studies: {', '.join(studies)}.\n"
            "Other targets: all (the studies that params.yaml runs), studies (all of them), plan_STUDY, prune_STUDY, "
            "data_DATASET, audit_DATASET, or an output file of a rule."
        )
