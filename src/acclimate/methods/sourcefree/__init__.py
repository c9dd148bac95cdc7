"""Methods that adapt a trained model to the target without the source."""
