"""Images: fetch, inventory, split, tensors."""

PARTS = ("train", "validation", "test")
