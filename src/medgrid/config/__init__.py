"""`params.yaml` as typed settings, checked before Snakemake creates any rule.

Modules here import neither torch nor pandas: every Snakemake process, also in a cluster's jobs, loads them.
"""

from medgrid.config.dataset import Dataset, GroupTable, Image, Kaggle, LabelTable, Split, Synthetic
from medgrid.config.load import load, read_yaml, schema
from medgrid.config.study import Params, Study
from medgrid.config.training import Augmentation, Layer, Model, Training, Weights

__all__ = [
    "Augmentation", "Dataset", "GroupTable", "Image", "Kaggle", "LabelTable", "Layer", "Model", "Params",
    "Split", "Study", "Synthetic", "Training", "Weights", "load", "read_yaml", "schema",
]  # fmt: skip
