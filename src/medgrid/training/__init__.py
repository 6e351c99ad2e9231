"""Training: dense networks in stacks, other networks one by one, with checkpoints and predictions."""
