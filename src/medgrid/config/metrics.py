"""Names of what is measured, as our tables call it."""

import math

# of one set of predictions
SUMMARY = (
    "loss", "accuracy", "precision_macro", "recall_macro", "f1_macro", "kappa", "auc_macro", "auc_micro", "ece",
    "brier",
)  # fmt: skip
# of one training, at one of its epochs: cells.csv has their means and intervals, replicates.csv each value
FITTED = ("train_loss", "train_accuracy")
MEASURED = (
    *(f"test_{name}" for name in SUMMARY),
    "test_accuracy_deduplicated", "temperature", "test_ece_scaled", "test_loss_scaled",
    "test_loss_with_penalty", "validation_loss", "validation_accuracy", *FITTED, "penalty",
)  # fmt: skip
# what claims and comparisons are judged by: known for each test image
JUDGED = ("test_accuracy", "test_recall_macro", "test_auc_macro", "test_loss")
# how many images the test numbers are of: all, and those that no training image is a near-duplicate of
TESTED = ("test_images", "test_images_deduplicated")
# of one class: per_class.csv
PER_CLASS = ("precision", "recall", "f1", "support", "auc")
# of a network without any training: models.csv
SIZES = ("parameters", "trainable", "frozen", "conv", "dense", "activation", "normalisation", "other")


def possible(metric: str) -> tuple[float, float]:
    """The lowest and the highest value that a measured or per-class metric can have."""
    if "kappa" in metric:
        return -1.0, 1.0
    if "brier" in metric:
        return 0.0, 2.0  # of two classes 1, by scikit-learn's convention
    unbounded = any(word in metric for word in ("loss", "penalty", "temperature", "support"))
    return 0.0, math.inf if unbounded else 1.0
