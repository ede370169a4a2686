"""What the sandboxed process that decodes untrusted images is asked and answers; untrusted.py serves it."""

from __future__ import annotations

from jobs.imaging.limits import WHITE, Colour, Filter, ImageLimits
from jobs.runtime.sandbox.messages import Service
from jobs.shards.strict_json import Count, JsonModel


class PixelsRequest(JsonModel):
    """With a file's bytes: the middle square of its image, `size` pixels a side. `name` is for messages."""

    name: str
    size: int
    resize: Filter = "bicubic"
    background: Colour = WHITE
    """What is seen where the image is transparent."""

    thumbnail: Count = 0
    """Of the whole image too, scaled down to at most so many pixels a side, never up; 0 for none."""


class Decoded(JsonModel):
    """With size x size x 3 bytes of RGB, then those of the thumbnail; width and height are those of the whole image."""

    width: int
    height: int
    thumbnail: tuple[int, int] | None = None
    """Width and height of the thumbnail, where one was asked for."""


class Undecodable(JsonModel):
    """In place of pixels; `reason` is the same everywhere, `message` says more."""

    message: str
    reason: str


Answer = Decoded | Undecodable
PIXELS: Service[ImageLimits, PixelsRequest, Answer] = Service(
    "jobs.imaging.untrusted:SERVER", ImageLimits, PixelsRequest, (Decoded, Undecodable)
)
