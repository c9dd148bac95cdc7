"""The jobs that a person asks for, each from domains to a folder."""
