"""Findings about a data set: copies, conflicting labels, leakage, file order, shortcuts.

Training does not depend on them.
"""
