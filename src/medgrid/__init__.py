"""medgrid re-runs published image-classification studies as one reproducible pipeline.

`medgrid.load_study("results/NAME")` returns the results of a study as data frames.
"""

from typing import TYPE_CHECKING, Any

from medgrid.utils.errors import MedgridError

if TYPE_CHECKING:
    from medgrid.study import load_study

__version__ = "0.1.0"
__all__ = ["MedgridError", "__version__", "load_study"]


def __getattr__(name: str) -> Any:
    # `import medgrid` stays quick: every job of the pipeline does it
    if name == "load_study":
        from medgrid.study import load_study

        return load_study
    raise AttributeError(f"module 'medgrid' has no attribute '{name}'")
