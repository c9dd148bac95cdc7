"""Methods that align the two domains."""
