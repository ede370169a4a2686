"""Pictures to be predicted, read and decoded before they are asked for, from files or from shards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from jobs.errors import NotFound
from jobs.imaging.decoding import BadImage
from jobs.imaging.foreign import READERS, Square, TooLarge, decoders, read_file
from jobs.imaging.pixels import Pixels, decode, image_in, pixels, square_pixels
from jobs.imaging.thumbnails import encoded, small_copy
from jobs.infer.files import too_large
from jobs.infer.stage import InferParams
from jobs.runtime.prefetch import prefetch
from jobs.shards.store import Readable
from jobs.shards.tar import Sample

DecodeFile = Callable[[bytes, str, int], Square]
"""From a file's bytes, its name and a size in pixels, the middle square and a small copy; raises BadImage."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that is predicted: its id, and a small copy as WebP."""

    id: str
    thumbnail: bytes | None = None


@dataclass(frozen=True, slots=True)
class ReadFile:
    """What became of a file: its version as of reading it, None if it was not there, and its pixels or why not."""

    name: str
    version: str | None
    pixels: Pixels | BadImage | NotFound
    thumbnail: bytes | None = None


@contextmanager
def file_decoders(params: InferParams) -> Iterator[DecodeFile]:
    """What decodes files as these parameters say, for several threads."""
    with decoders(params.limits, params.threads) as decode_file:
        yield partial(decode_file, background=params.background, thumbnail=params.thumbnail)


def read_files(
    store: Readable, names: Sequence[str], decode_file: DecodeFile, size: int, params: InferParams
) -> Iterator[ReadFile]:
    """Read and decode files, in order, some before they are asked for, of which pixels and small copies remain."""

    def read(name: str) -> ReadFile:
        try:
            body = read_file(store, name, params.limits)
        except TooLarge as error:
            return ReadFile(name, too_large(error.size), error)
        except NotFound as error:
            return ReadFile(name, None, error)
        try:
            square = decode_file(body.data, f"{store.url}/{name}", size)
        except BadImage as error:
            return ReadFile(name, body.version, error)
        found = square_pixels(square)
        thumbnail = encoded(square.thumbnail) if square.thumbnail else None
        return ReadFile(name, body.version, found, thumbnail)

    depth = 2 * params.threads * params.batch_size
    return prefetch(read, names, threads=params.threads + READERS, depth=depth)


def read_samples(
    samples: Iterable[Sample], size: int, params: InferParams
) -> Iterator[tuple[Picture, Pixels | BadImage]]:
    """Decode the images of samples, which the pipeline made, as `read_files` does."""

    def read(sample: Sample) -> tuple[Picture, Pixels | BadImage]:
        try:
            image = decode(image_in(sample), sample.key)
        except BadImage as error:
            return Picture(sample.key), error
        thumbnail = small_copy(image, params.thumbnail) if params.thumbnail else None
        return Picture(sample.key, thumbnail), pixels(image, size)

    return prefetch(read, samples, threads=params.threads, depth=2 * params.threads * params.batch_size)
