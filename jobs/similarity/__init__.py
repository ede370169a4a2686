"""Exact comparison of vectors: all pairs at or above a cosine, or the closest of many, on the CPU or a GPU."""
