"""The images that sources gave: which one of a prompt is taken, read out of collect's shards, and made ready."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from hashlib import blake2b

from jobs.collect.contract import Collected
from jobs.contract.samples import Given, Origin
from jobs.errors import Corrupt
from jobs.generate_images.encoding import encode_square
from jobs.generate_images.stage import GenerateImagesParams
from jobs.imaging.foreign import READERS, decoders
from jobs.runtime.prefetch import prefetch
from jobs.shards.dataset import Dataset
from jobs.shards.digests import sha256
from jobs.shards.tar import Sample

Ready = Callable[[Given, bytes], dict[str, bytes]]  # from an image's bytes, the field to be added
GivenImages = Callable[[Sequence[Sample]], Iterator[Sample]]


def chosen(sample: Sample, params: GenerateImagesParams) -> Given:
    """The one of a prompt's given images that is taken."""
    images = Origin.decode(sample["json"], sample.key).given
    match params.given.choose:
        case "first":
            return images[0]
        case "largest":  # of equally large ones the first
            return max(images, key=lambda image: image.width * image.height)
        case "random":
            return min(images, key=lambda image: blake2b(f"{sample.key}/{image.sha256}".encode()).digest())


def read_image(given: Given, collected: Collected[Dataset]) -> bytes:
    """The bytes of an image; raises NotFound, and Corrupt where they are not those that were collected."""
    store = collected.data.store
    data = store.read_part(given.object, given.start, given.size)
    if sha256(data) != given.sha256:
        raise Corrupt(
            f"{store.url}/{given.object}: the bytes from {given.start:,} on are not the image {given.sha256[:16]}…; "
            "`i2p repair` collects it again"
        )
    return data


def adder(collected: Collected[Dataset], params: GenerateImagesParams, stack: ExitStack) -> GivenImages:
    """A function that adds to samples, in order, the image that is chosen for each and, as `given`, which one that is.

    The processes that decode run until the stack ends.
    """
    ready = _converting(params, stack) if params.given.store == "converted" else _as_is

    def added(sample: Sample) -> Sample:
        given = chosen(sample, params)
        return sample.adding(given=given.encode(), **ready(given, read_image(given, collected)))

    threads = params.threads + READERS
    return lambda samples: prefetch(added, samples, threads=threads, depth=2 * threads)


def _converting(params: GenerateImagesParams, stack: ExitStack) -> Ready:
    decode = stack.enter_context(decoders(params.given.limits, params.threads))

    def ready(given: Given, data: bytes) -> dict[str, bytes]:
        name, background = f"the image {given.sha256[:16]}…", params.given.background
        square = decode(data, name, params.stored_size, params.resize, background=background)
        return {params.format: encode_square(square.rgb, params)}

    return ready


def _as_is(given: Given, data: bytes) -> dict[str, bytes]:
    return {given.field: data}
