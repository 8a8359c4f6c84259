"""Comparisons: the baselines beside a model, and finished runs with the significance of their differences."""
