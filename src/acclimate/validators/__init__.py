"""Judgements that need no labels of the target: which model to keep, and how good it may be."""
