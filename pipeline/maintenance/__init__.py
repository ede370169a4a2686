"""Keeps a store whole and small: verification, repair, garbage collection."""
