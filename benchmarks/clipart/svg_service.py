"""What the sandboxed process that draws foreign SVG files is asked and answers; rendering.py serves it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from jobs.runtime.sandbox.messages import Service
from jobs.shards.strict_json import JsonModel


class Settings(BaseModel):
    """How pictures are drawn."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int
    """Pixels of the square into which the longer side is fitted."""


class Svg(JsonModel):
    """With the bytes of a file."""


class Metadata(JsonModel):
    """What a file says of itself, each without blanks around it, empty where it says nothing."""

    title: str
    keywords: tuple[str, ...]
    creator: str
    licence: str


class Drawn(JsonModel):
    """With a PNG."""

    metadata: Metadata


class NotDrawn(JsonModel):
    """In place of a picture; `reason` is the same everywhere, `detail` says more."""

    reason: str
    detail: str = ""


Answer = Drawn | NotDrawn
SVGS: Service[Settings, Svg, Answer] = Service("benchmarks.clipart.rendering:SERVER", Settings, Svg, (Drawn, NotDrawn))
