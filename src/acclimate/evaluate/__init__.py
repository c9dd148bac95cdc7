"""What a model says of a domain, and how right it is."""
