"""Leaves out images of a single colour, which teach nothing."""
