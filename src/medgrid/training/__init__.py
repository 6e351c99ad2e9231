"""Training: dense networks in stacks, other networks one by one, with checkpoints and predictions."""

# what is measured in each epoch
CURVES = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Optimizer steps of an epoch. A single image left over is not a batch (see `loop.py`)."""
    steps = -(-images // batch_size)
    return steps - (images % batch_size == 1 and steps > 1 and batch_size > 1)
