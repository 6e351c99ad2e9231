"""From archives to tensors: download, inventory, near-duplicates, split, and images at one size."""

PARTS = ("train", "validation", "test")
HELD_OUT = PARTS[1:]
UNLABELLED = "unlabelled"  # part of a competition's test images: predicted, never trained on, without test metrics
