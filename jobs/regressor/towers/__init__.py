"""Families of image towers, one file each: which classes they cover, and how such a tower is cut into layers.

The configuration is checked without importing them, so what it has to know are literals at the top of a file:

- `CLASSES`: dotted names of the classes of timm or open_clip that the family covers.
- `SUPPORTS`: those of `last-quarter` and `layer_decay` that it can do.
- `TOWERS`, if any: {name: facts as in known_towers.json} of towers that the file itself registers with timm.

`layers(tower)` gives the list of layers that together do what the tower's `forward` does; `num_before_last_quarter`,
where `last-quarter` is supported, how many of them stay frozen then. A class that no family covers is of `other`.
"""
