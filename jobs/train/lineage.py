"""What train says of one image: the steps in which the network learned from it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from jobs.compare_images.contract import ComparedImages, Staying, reads_of_left_out
from jobs.contract.samples import TRAIN
from jobs.errors import Corrupt
from jobs.generate_images.contract import GeneratedImages
from jobs.report.lineage import Lineage, Subject, Values
from jobs.report.page import RunView
from jobs.runtime.prefetch import prefetch
from jobs.shards.dataset import Dataset
from jobs.shards.records import Outcome
from jobs.train.contract import Trained
from jobs.train.order import Window, sort_key, windows

_READERS = 8  # shards of keys that are read at once


def part(view: RunView, subject: Subject) -> Values | None:
    """The network, and what an image has to do with it."""
    trained = view.get(Trained[Dataset])
    if trained is None:
        return None
    (shard,) = trained.model.shards()
    settings = trained.data.manifest.outcomes[0].settings
    network = {"object": f"{trained.data.store.url}/{shard.object}", "sha256": shard.sha256}
    named = {name: settings.get(name) for name in ("model", "pretrained", "seed", "weights")}
    return {"network": network, **named, **_used(view, subject, trained.data.manifest.outcomes[0])}


def _used(view: RunView, subject: Subject, outcome: Outcome) -> dict[str, Any]:
    images, compared = view.get(GeneratedImages[Dataset]), view.get(ComparedImages[Dataset])
    if images is None or subject.split != TRAIN:
        return {"learned_from_it": f"no, it is held out as {subject.split}" if subject.split else "no"}
    shards = images.splits[TRAIN].holding(subject.key)
    if not shards:
        return {"learned_from_it": "no, it has no image"}
    if compared is None or len(shards) > 1:  # of a run from before there were ranges of keys
        return {"learned_from_it": "yes, in every epoch, unless it was in the incomplete last batch"}
    if {**images.splits[TRAIN].reads(), **reads_of_left_out(compared, TRAIN)} != dict(outcome.reads):
        return {"learned_from_it": "not known, the images are others since"}
    staying = Staying(images.splits[TRAIN], compared)
    if subject.key in staying.left_out:
        return {"learned_from_it": "no, it is left out"}
    return {"learned_from_it": "yes", "steps": steps_with(subject.key, staying, compared, outcome.settings)}


def steps_with(
    key: str, staying: Staying, compared: ComparedImages[Dataset], settings: Mapping[str, Any]
) -> list[dict[str, int | None]]:
    """In each epoch the step, counted from 1 over all epochs, in whose batch an image was; None where it was in the
    incomplete last batch, which is left out.

    The order of an epoch follows from the keys of the shards that were mixed with its own, which are read from their
    signatures: `epochs` x `window_shards` requests at most, however many images there are.
    """
    seed, batch_size = settings["seed"], settings["batch_size"]
    mixed = [
        window_of(key, staying, seed=seed, epoch=epoch, size=settings["window_shards"])
        for epoch in range(settings["epochs"])
    ]
    keys = _keys_of({shard.name for _, window in mixed for shard in window.shards}, compared)
    per_epoch = staying.num_samples // batch_size
    found: list[dict[str, int | None]] = []
    for start, window in mixed:
        epoch, own = window.epoch, sort_key(seed, window.epoch, key)
        others = (one for shard in window.shards for one in keys[shard.name] if one not in staying.left_out)
        step = (start + sum(sort_key(seed, epoch, one) < own for one in others)) // batch_size
        found.append({"epoch": epoch + 1, "step": epoch * per_epoch + step + 1 if step < per_epoch else None})
    return found


def window_of(key: str, staying: Staying, *, seed: int, epoch: int, size: int) -> tuple[int, Window]:
    """The window of an epoch that has an image, and how many images come before the window."""
    (own,) = staying.holding(key)
    start = 0
    for window in windows(staying.shards(), seed=seed, epoch=epoch, size=size):
        if own in window.shards:
            return start, window
        start += sum(shard.samples for shard in window.shards)
    raise Corrupt(f"epoch {epoch} has no window with {own.name}, which is one of its shards")


def _keys_of(names: Collection[str], compared: ComparedImages[Dataset]) -> dict[str, list[str]]:
    """The keys of all images of these shards."""
    shards = [shard for shard in compared.signatures[TRAIN].shards() if shard.name in names]
    read = prefetch(lambda shard: list(compared.signatures.read(shard)), shards, threads=_READERS, depth=_READERS)
    return {sample.key: sample["keys"].decode().split("\n") for samples in read for sample in samples}


LINEAGE = Lineage(part=part)
