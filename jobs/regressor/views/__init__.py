"""Views of an image that a network sees in turn, one file each, whose `views(images)` gives them.

`images` are uint8 of shape (n, 3, s, s), on the network's device; each view has that shape, the image itself among
them, with pixels from 0 to 255 as uint8 or float32. What the network gives for them is averaged.
"""
