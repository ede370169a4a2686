"""Predicts vectors for images, with the closest known prompts and the score to expect of each prediction."""
