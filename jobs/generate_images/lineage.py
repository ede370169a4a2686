"""What generate-images says of one prompt: its image, and what made it or gave it."""

from __future__ import annotations

from typing import Any

from jobs.contract.reading import TypedSample
from jobs.contract.samples import IMAGE_FIELDS, Given, Origin
from jobs.generate_images.contract import GeneratedImages
from jobs.generate_images.stage import DRAWING
from jobs.report.lineage import ImageFile, Lineage, Subject, Values
from jobs.report.page import RunView
from jobs.shards.dataset import Dataset
from jobs.shards.digests import sha256
from jobs.shards.keys import prompt_key_in, seed_of
from jobs.shards.records import Outcome

_OF_CONVERTED = ("format", "quality", "stored_size", "resize")  # the settings that shape a given image


def part(view: RunView, subject: Subject) -> Values | None:
    """The image, for which its shard is read."""
    images = view.get(GeneratedImages[Dataset])
    if images is None or subject.split is None:
        return None
    located = images.splits[subject.split].locate(subject.key)
    if located is None:
        return {"image": "none, its shard is not among those that images are made for"}
    shard, sample = located
    field = next(field for field in IMAGE_FIELDS if field in sample)
    digest = sha256(sample[field])
    found = {
        "image": "given by a source" if "given" in sample else "made",
        "shard": shard.name,
        "object": f"{images.data.store.url}/{shard.object}",
        "member": f"{subject.key}.{field}",
        "bytes": len(sample[field]),
        "sha256": digest,
    }
    if subject.image:
        found["file"] = _compared(subject.image, digest, subject.origin)
    made_by = next(outcome for outcome in images.data.manifest.outcomes if shard in outcome.shards)
    return found | _whence(sample, made_by)


def by_image(view: RunView, image: ImageFile) -> str | None:
    """The key in the name of an image that was exported; the bytes are compared by `part`."""
    return prompt_key_in(image.stem)


def _compared(image: ImageFile, digest: str, origin: Origin | None) -> str:
    if image.sha256 == digest:
        return "its bytes are these"
    if any(given.sha256 == image.sha256 for given in (origin.given if origin else ())):
        return "its bytes are those that a source gave"
    return "its name has the key, but its bytes are others"


def _whence(sample: TypedSample[Origin], outcome: Outcome) -> dict[str, Any]:
    """What a made image was made by, or which of the images that sources gave it is."""
    settings = dict(outcome.settings)
    taken_in = settings.pop("given", {})
    if "given" in sample:
        given = Given.decode(sample["given"], sample.key).model_dump(mode="json")
        named = {name: given[name] for name in ("source", "licence", "file", "row", "name", "width", "height")}
        stored = {} if taken_in.get("store") == "as-is" else {name: settings.get(name) for name in _OF_CONVERTED}
        return {"given": {"sha256": given["sha256"], **named}, "recipe": {**taken_in, **stored}}
    seed = None if settings.get("model") == DRAWING else seed_of(sample.key)  # the drawing has none
    return {"seed": seed, "recipe": settings}


LINEAGE = Lineage(part=part, by_image=by_image, image_is="one of a prompt's key as `i2p export images` names it")
