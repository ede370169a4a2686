"""What sources have in common whose prompts come with their images."""

from __future__ import annotations

from typing import Any

from pydantic import SerializerFunctionWrapHandler, model_serializer

from jobs.collect.sources.base import FileSource
from jobs.imaging.limits import ImageLimits
from jobs.runtime.spec import without_defaults


class PairSource(FileSource):
    """A source of prompts with their images, which are taken over instead of being made.

    A row whose image is missing, damaged or too large counts as one that cannot be read.
    """

    image_limits: ImageLimits = ImageLimits()
    """What an image may take."""

    @model_serializer(mode="wrap")
    def _without_default_limits(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out the limits that are not set: they are no part of what a fingerprint covers."""
        return without_defaults(self, serialise, "limits", "image_limits")

    @property
    def gives_images(self) -> bool:
        """Whether each row has an image."""
        return True
