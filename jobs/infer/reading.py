"""Files to be predicted, read and decoded in advance."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from jobs.errors import NotFound
from jobs.imaging.decoding import BadImage
from jobs.imaging.foreign import READERS, TooLarge, decoders, read_file
from jobs.imaging.limits import WHITE, Colour, ImageLimits
from jobs.imaging.pixels import Pixels
from jobs.infer.files import id_of, too_large
from jobs.runtime.prefetch import prefetch
from jobs.shards.store import Store

PixelsOf = Callable[[bytes, str, int], Pixels]


@dataclass(frozen=True, slots=True)
class Read:
    """What became of a file: its version as of reading it, None if it was not there, and its pixels or why not."""

    name: str
    version: str | None
    pixels: Pixels | BadImage | NotFound

    @property
    def id(self) -> str:
        """The image's id."""
        return id_of(self.name)


@contextmanager
def pixel_decoders(limits: ImageLimits, threads: int, background: Colour = WHITE) -> Iterator[PixelsOf]:
    """`decoders` that give uint8 of shape (size, size, 3)."""
    with decoders(limits, threads) as decode:

        def pixels_of(data: bytes, name: str, size: int) -> Pixels:
            square = decode(data, name, size, background=background)
            return np.frombuffer(square.rgb, np.uint8).reshape(size, size, 3)

        yield pixels_of


def read_files(
    store: Store,
    names: Sequence[str],
    pixels_of: Callable[[bytes, str], Pixels],
    limits: ImageLimits,
    *,
    threads: int,
    depth: int,
) -> Iterator[Read]:
    """Read and decode files, in order; up to `depth` of them before they are asked for, of which pixels remain."""

    def read(name: str) -> Read:
        try:
            body = read_file(store, name, limits)
        except TooLarge as error:
            return Read(name, too_large(error.size), error)
        except NotFound as error:
            return Read(name, None, error)
        try:
            return Read(name, body.version, pixels_of(body.data, f"{store.url}/{name}"))
        except BadImage as error:
            return Read(name, body.version, error)

    return prefetch(read, names, threads=threads + READERS, depth=depth)
