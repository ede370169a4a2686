"""Tables that others have published of work like this, one module each, chosen by `--tables`: `write(view, asked,
show)` writes a run's images and prompts as they did.
"""
