"""Images: fetch, inventory, split, tensors."""

PARTS = ("train", "validation", "test")
HELD_OUT = PARTS[1:]
