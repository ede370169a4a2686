"""What goes wrong with images: one exception, a sentence each on what is required, what was given and what to do."""


class ImageError(Exception):
    """An image could not be built, pushed or looked up."""
