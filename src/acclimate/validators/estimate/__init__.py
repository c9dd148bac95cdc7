"""Estimates of a model's accuracy on the target without its labels, from saved outputs."""
