"""Trainings: heads and dense networks in stacks, whole networks one by one, with checkpoints."""

# what is measured after each epoch
CURVES = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")
# which weights of a training predict: third axis of the predictions
CHECKPOINTS = ("best", "last")
