"""Everything that follows from a study's predictions, in one job: its parts take less time than starting another."""

from medgrid.evaluation.tables import write_tables
from medgrid.evaluation.verdicts import write_verdicts


def write_results(settings: dict, folder: str, split: str) -> None:
    """Write the study's tables, then the verdicts on its claims, into `folder`."""
    write_tables(settings, folder, split)
    write_verdicts(settings, folder, split)
