"""Images that other people give: decoded by sandboxed processes, their bytes are here only to be passed on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from jobs.errors import I2PError
from jobs.imaging.decoding import BadImage
from jobs.imaging.limits import WHITE, Colour, Filter, ImageLimits
from jobs.imaging.pixel_service import PIXELS, Decoded, PixelsRequest, Undecodable
from jobs.runtime.sandbox.pool import Bounds, Pool, Refused
from jobs.shards.store import Body, Readable

READERS = 4  # files that are read while others are decoded: a bucket answers in about 20 ms
_SPARE = 1  # processes: while one waits for its next file another has work; with 2 threads 5 % faster


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A whole image scaled down, as width x height x 3 bytes of RGB."""

    rgb: bytes
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Square:
    """The middle square of an image, as size x size x 3 bytes of RGB; width and height are of the whole image."""

    rgb: bytes
    width: int
    height: int
    thumbnail: Thumbnail | None = None


class Decode(Protocol):
    """From an image's bytes, a name to complain about and a size, the middle square; raises BadImage.

    What is transparent shows the background. With `thumbnail` comes also the whole image, of at most so many pixels a
    side.
    """

    def __call__(
        self,
        data: bytes,
        name: str,
        size: int,
        resize: Filter = "bicubic",
        *,
        background: Colour = WHITE,
        thumbnail: int = 0,
    ) -> Square: ...


class TooLarge(BadImage):
    """A file has more bytes than are read."""

    def __init__(self, where: str, size: int, most: int) -> None:
        super().__init__(
            f"{where} has {size:,} bytes; at most {most:,} are read", f"a file of more than {most:,} bytes"
        )
        self.size = size


def read_file(store: Readable, name: str, limits: ImageLimits) -> Body:
    """The bytes of an image's file; raises TooLarge, NotFound."""
    stat = store.stat(name)
    if stat and stat.size > limits.file_bytes:
        raise TooLarge(f"{store.url}/{name}", stat.size, limits.file_bytes)
    return store.read(name)


@contextmanager
def decoders(limits: ImageLimits, threads: int) -> Iterator[Decode]:
    """What decodes, for several threads: so many processes at once that `threads` cores are busy.

    It raises BadImage for what cannot be decoded within the limits.
    """
    bounds = Bounds(limits.seconds, limits.memory_mib << 20)
    with Pool(PIXELS, limits, bounds, threads + _SPARE) as pool:
        pool.start()

        def decode(
            data: bytes,
            name: str,
            size: int,
            resize: Filter = "bicubic",
            *,
            background: Colour = WHITE,
            thumbnail: int = 0,
        ) -> Square:
            request = PixelsRequest(name=name, size=size, resize=resize, background=background, thumbnail=thumbnail)
            try:
                answer, body = pool.ask(request, data, most=3 * (size * size + thumbnail * thumbnail))
            except Refused as error:
                raise BadImage(f"{name} {error}", error.reason) from error
            if isinstance(answer, Undecodable):
                raise BadImage(answer.message, answer.reason)
            return _square(answer, body, request)

        yield decode


def _square(answer: Decoded, body: bytes, request: PixelsRequest) -> Square:
    """The pixels in an answer; raises I2PError where they are not as many as they have to be."""
    length = 3 * request.size * request.size
    width, height = answer.thumbnail or (0, 0)
    sides_are_right = 1 <= min(width, height) <= max(width, height) <= request.thumbnail
    if not sides_are_right and (request.thumbnail or answer.thumbnail):
        raise I2PError(f"{request.name}: a thumbnail of {width} x {height} came in place of one of {request.thumbnail}")
    if len(body) != length + 3 * width * height:
        raise I2PError(
            f"{request.name}: {len(body):,} bytes of pixels came from the decoder instead of "
            f"{length + 3 * width * height:,}"
        )
    thumbnail = Thumbnail(body[length:], width, height) if answer.thumbnail else None
    return Square(body[:length], answer.width, answer.height, thumbnail)
