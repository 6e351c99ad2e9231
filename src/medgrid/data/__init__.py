"""Images: fetch, inventory, split, tensors."""
