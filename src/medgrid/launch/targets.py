"""The targets that a run is asked for, checked against what the workflow offers."""

import difflib
import os
from collections.abc import Callable, Iterable

from medgrid.utils.errors import MedgridError

# Snakemake reads the Snakefile before it tells a workflow its targets, so `medgrid run` leaves them here
asked: list[str] = []


def check(rules: Iterable[str], studies: list[str], makes: Callable[[str], bool]) -> None:
    """Raise MedgridError if a target is no rule, no file, and no file that a rule makes."""
    for target in asked:
        if target in rules or os.path.lexists(target) or makes(target) or makes(os.path.normpath(target)):
            continue
        close = difflib.get_close_matches(target, rules, 1)
        meant = f"; did you mean '{close[0]}'?" if close else ""
        raise MedgridError(
            f"there is no study or other target '{target}'{meant}\n"
            f"Studies: {', '.join(studies)}.\n"
            "Other targets: all (those that params.yaml runs), studies (all of them), plan_STUDY, prune_STUDY, "
            "data_DATASET, audit_DATASET, or a file that a rule makes."
        )
