"""Views of examples, augmentation in training, and views averaged over at test time."""
