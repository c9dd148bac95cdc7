"""Training in memory, and what is wrapped round it."""
