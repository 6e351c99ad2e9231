"""Heads trained in stacks on features, with checkpoints."""

# what is measured after each epoch
CURVES = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")
# which heads of a training predict: third axis of the predictions
CHECKPOINTS = ("best", "last")
