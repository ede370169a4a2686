"""Scores predictions on anybody's pairs of image and prompt, of a run's network or of any other system."""
