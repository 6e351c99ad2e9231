"""medgrid re-runs published image-classification studies as one reproducible pipeline."""

__version__ = "0.1.0"
