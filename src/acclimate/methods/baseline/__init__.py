"""The rows every adaptation is compared with: no adaptation, and training on target labels."""
