"""Images: fetch, inventory, split, tensors."""

PARTS = ("train", "validation", "test")
HELD_OUT = PARTS[1:]
# images without a label, to predict only, as competitions have them; no part of the above
UNLABELLED = "unlabelled"
