"""What training leaves: Runs, the outputs in them, and what they found."""
