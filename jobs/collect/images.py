"""Images that a source gives with its prompts: decoded in a sandbox to see what they are, and stored as they came.

Each is stored once for a file, in shards of their own beside those of the prompts, which say where it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from jobs.collect.contract import Collected, ImageSize
from jobs.collect.sources.rows import ImageFile
from jobs.errors import BadData, NotFound
from jobs.imaging.decoding import BadImage
from jobs.imaging.foreign import TooLarge, decoders, read_file
from jobs.imaging.kinds import kind_of
from jobs.imaging.limits import ImageLimits
from jobs.shards.dataset import Writer
from jobs.shards.digests import sha256
from jobs.shards.tar import Members, Sample

_SHARD_BYTES = 128 << 20  # of images, which wait in memory until their shard is written
_THUMBNAIL = 16  # pixels a side of what a decoder sends back, which nobody looks at

NOT_THERE = "not there"
_NO_NAME = "a name that leads out of its folder, or that no file can have"


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What is known of an image: the digest and number of its bytes, the field for its format, its size in pixels."""

    sha256: str
    size: int
    field: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class CheckedImage:
    """An image that can be decoded: its bytes, and what is known of it."""

    data: bytes
    facts: ImageFacts


CheckImage = Callable[[bytes | ImageFile], CheckedImage]


@contextmanager
def image_checker(limits: ImageLimits, threads: int) -> Iterator[CheckImage]:
    """What reads and decodes an image, for several threads; it raises BadImage for what is none or takes too much."""
    with decoders(limits, threads) as decode:

        def check(image: bytes | ImageFile) -> CheckedImage:
            data, name = (_read(image, limits), image.name) if isinstance(image, ImageFile) else (image, "an image")
            if len(data) > limits.file_bytes:
                raise TooLarge(name, len(data), limits.file_bytes)
            found = decode(data, name, _THUMBNAIL)
            kind = kind_of(data)
            assert kind  # noqa: S101 - else it could not be decoded
            return CheckedImage(data, ImageFacts(sha256(data), len(data), kind.field, found.width, found.height))

        yield check


def _read(image: ImageFile, limits: ImageLimits) -> bytes:
    try:
        return read_file(image.store, image.name, limits).data
    except NotFound as error:
        raise BadImage(f"there is no image {image.name!r}: {error}", NOT_THERE) from error
    except BadImage:
        raise
    except BadData as error:  # of a name that no store is asked for
        raise BadImage(f"{image.name!a}: {error}", _NO_NAME) from error


@dataclass(frozen=True, slots=True)
class Position:
    """Where an image is: an object of the stage, and the image's first byte in it."""

    object: str
    start: int


@dataclass(slots=True)
class ImageShards:
    """The shards of the images of one unit, written as they fill up."""

    output: Collected[Writer]
    unit: str
    positions: dict[str, Position] = field(default_factory=dict)  # of what is written, by digest
    _waiting: dict[str, CheckedImage] = field(default_factory=dict)
    _bytes: int = 0
    _written: int = 0  # shards

    def add(self, image: CheckedImage) -> None:
        """Take an image; raises StoreError, StoreFull where a shard is full and cannot be written."""
        digest = image.facts.sha256
        if digest not in self.positions and digest not in self._waiting:
            self._waiting[digest] = image
            self._bytes += image.facts.size
            if self._bytes >= _SHARD_BYTES:
                self.flush()

    def flush(self) -> None:
        """Write what waits; every image that was added has a position then. Raises as `add`."""
        if not self._waiting:
            return
        members: Members = {}
        group = Collected.images.group_of(self.unit)
        samples = (self._sample(image) for _, image in sorted(self._waiting.items()))
        shard = self.output.images.write_shard(f"{group}-{self._written:05d}", samples, members)
        for digest, image in self._waiting.items():
            self.positions[digest] = Position(shard.object, members[digest][image.facts.field][0])
        self._waiting, self._bytes = {}, 0
        self._written += 1

    def _sample(self, image: CheckedImage) -> Sample:
        facts = image.facts
        size = ImageSize(width=facts.width, height=facts.height)
        return self.output.images.sample(facts.sha256, size, **{facts.field: image.data})
