"""Trainings: heads and dense networks in stacks, whole networks one by one, with checkpoints."""

# what is measured after each epoch
CURVES = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")
# which weights of a training predict: third axis of the predictions
CHECKPOINTS = ("best", "last")


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Optimizer steps in an epoch: a last image alone is no batch of its own (loop.py)."""
    steps = -(-images // batch_size)
    return steps - (images % batch_size == 1 and steps > 1 and batch_size > 1)
