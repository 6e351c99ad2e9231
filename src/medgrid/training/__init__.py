"""Frozen features, heads trained in stacks, checkpoints."""
