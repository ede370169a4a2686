"""Losses, one file each: `loss(predicted, true)` of unit vectors of shape (n, 384) gives a scalar to be minimised."""
