"""Training: dense networks in stacks, other networks one by one, with checkpoints and predictions."""

# what is measured in each epoch
CURVES = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")
