"""Untrusted files, read and decoded in advance: their bytes are in this process only to be passed on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from jobs.errors import I2PError, NotFound
from jobs.imaging.decoding import BadImage
from jobs.imaging.limits import ImageLimits
from jobs.imaging.pixel_service import PIXELS, PixelsRequest, Undecodable
from jobs.imaging.pixels import Pixels
from jobs.infer.files import id_of, too_large
from jobs.runtime.prefetch import prefetch
from jobs.runtime.sandbox.pool import Bounds, Pool, Refused
from jobs.shards.store import Store

_SPARE = 1  # processes: while one waits for its next file another has work; with 2 threads 5 % faster
_READERS = 4  # files that are read while others are decoded: a bucket answers in about 20 ms

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
def decoders(limits: ImageLimits, threads: int) -> Iterator[PixelsOf]:
    """A function from an image's bytes, a name to complain about and a size to uint8 of shape (size, size, 3).

    Sandboxed processes decode, so many at once that `threads` cores are busy; it is for several threads, and
    raises BadImage for what cannot be decoded within the limits.
    """
    bounds = Bounds(limits.seconds, limits.memory_mib << 20)
    with Pool(PIXELS, limits, bounds, threads + _SPARE) as pool:
        pool.start()

        def pixels_of(data: bytes, name: str, size: int) -> Pixels:
            length = 3 * size * size
            try:
                answer, body = pool.ask(PixelsRequest(name=name, size=size), data, most=length)
            except Refused as error:
                raise BadImage(f"{name} {error}", error.reason) from error
            if isinstance(answer, Undecodable):
                raise BadImage(answer.message, answer.reason)
            if len(body) != length:
                raise I2PError(f"{name}: {len(body):,} bytes of pixels came from the decoder instead of {length:,}")
            return np.frombuffer(body, np.uint8).reshape(size, size, 3)

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
        where = f"{store.url}/{name}"
        try:
            stat = store.stat(name)
            if stat and stat.size > limits.file_bytes:
                message = f"{where} has {stat.size:,} bytes; at most {limits.file_bytes:,} are read"
                reason = f"a file of more than {limits.file_bytes:,} bytes"
                return Read(name, too_large(stat.size), BadImage(message, reason))
            body = store.read(name)
        except NotFound as error:
            return Read(name, None, error)
        try:
            return Read(name, body.version, pixels_of(body.data, where))
        except BadImage as error:
            return Read(name, body.version, error)

    return prefetch(read, names, threads=threads + _READERS, depth=depth)
