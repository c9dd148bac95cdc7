"""What differs between two domains."""
