"""``compare``: many methods with several settings and seeds, a choice without target labels, and its Run."""
