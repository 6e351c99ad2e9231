"""Findings about a data set: copies, conflicting labels, leakage, shortcuts. Training does not depend on them."""
