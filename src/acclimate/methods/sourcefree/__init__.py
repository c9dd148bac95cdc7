"""Methods that adapt a finished model to the target without the source."""
