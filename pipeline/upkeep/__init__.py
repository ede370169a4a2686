"""Keeping a store whole and small: what is damaged is made again, what nothing reaches is removed."""
