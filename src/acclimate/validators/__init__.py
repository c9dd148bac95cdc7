"""Judgements without labels of the target: which model to keep, and an estimate of its accuracy."""
