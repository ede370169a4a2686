"""Finds near-identical pictures in different splits, and leaves one of each two out."""
