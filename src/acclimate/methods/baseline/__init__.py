"""What every adaptation is measured against: no adaptation, and training with the labels of the target."""
