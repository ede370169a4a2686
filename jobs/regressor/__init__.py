"""The network that train, evaluate and infer share: an image tower and a head that gives the prompt's unit vector."""
