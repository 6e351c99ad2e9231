"""Names of what is measured, as our tables call it."""

# of one set of predictions
SUMMARY = (
    "loss", "accuracy", "precision_macro", "recall_macro", "f1_macro", "kappa", "auc_macro", "auc_micro",
)  # fmt: skip
# of one training, at one of its epochs: cells.csv has their means and intervals, replicates.csv each value
FITTED = ("train_loss", "train_accuracy")
MEASURED = (
    *(f"test_{name}" for name in SUMMARY),
    "test_loss_with_penalty", "validation_loss", "validation_accuracy", *FITTED, "penalty",
)  # fmt: skip
# what claims and comparisons are judged by: known for each test image
JUDGED = ("test_accuracy", "test_recall_macro", "test_auc_macro", "test_loss")
# of one class: per_class.csv
PER_CLASS = ("precision", "recall", "f1", "support", "auc")
# of a network without any training: models.csv
SIZES = ("parameters", "trainable", "frozen", "conv", "dense", "activation", "normalisation", "other")
