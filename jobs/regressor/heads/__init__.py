"""Heads, one file each: `build(features, dimensions)` gives what turns a tower's output into a vector."""
