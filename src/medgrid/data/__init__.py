"""Images: fetch, inventory, split, tensors."""

PARTS = ("train", "validation", "test")
HELD_OUT = PARTS[1:]
UNLABELLED = "unlabelled"  # of a competition: predicted, never trained on or tested
