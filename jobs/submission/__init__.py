"""Writes predictions as the competition wants them, and checks such a file."""
