"""Augmentations, one file each: `augmented(image, size, random)` gives uint8 pixels of shape (size, size, 3).

All that is random is drawn from `random`, which is seeded with (seed, epoch, key), so that the pixels are the same
whoever makes the batch.
"""
