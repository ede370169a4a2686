"""Writes what was kept: shards of prompts by split and range of keys, and the certificate of what holds of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from jobs.contract.samples import Given, Origin, has_given
from jobs.dedup.contract import Certificate, Deduplicated
from jobs.dedup.exclusion import exclusion_of
from jobs.dedup.order import KEYS, ORDER, Keys
from jobs.dedup.stage import DedupParams, KeyRange, splits
from jobs.embed.contract import Embedded
from jobs.runtime import log
from jobs.runtime.prefetch import prefetch
from jobs.shards.dataset import Dataset, Writer
from jobs.shards.digests import sha256
from jobs.shards.keys import split_of
from jobs.shards.records import Shard
from jobs.shards.tar import Sample

_PREFETCHED = 2  # shards that are read before they are asked for
_PREFIX_DIGITS = 8  # of a key: 4 billion ranges at most


def write_kept(
    ranges: Sequence[KeyRange],
    embedded: Embedded[Dataset],
    kept: dict[str, Keys],
    params: DedupParams,
    output: Deduplicated[Writer],
) -> None:
    """Write the kept prompts of these ranges, those that hold any; `kept` are keys by embedded shard.

    All embedded shards are read, and the prompts of the ranges are held. A kept prompt gets the images that were given
    with its repeats beside its own.
    """
    gathered: dict[KeyRange, list[Sample]] = {one: [] for one in ranges}
    range_counts = {one.split: one.of for one in ranges}
    given: defaultdict[str, list[Given]] = defaultdict(list)
    shards, exclusion = embedded.shards(), exclusion_of(params.exclude)

    def range_of(key: str) -> KeyRange | None:
        split = split_of(key, params.held_out)
        count = range_counts.get(split)  # None for one that is another unit's
        one = KeyRange(split, number_of(key, count), count) if count else None
        return one if one in gathered else None

    def chosen(shard: Shard) -> list[tuple[KeyRange, Sample, bool]]:
        keys = {key.decode() for key in kept[shard.name].tolist()}
        wanted = (sample for sample in embedded.data.read(shard) if sample.key in keys or has_given(sample))
        return [(one, sample, sample.key in keys) for sample in wanted if (one := range_of(sample.key))]

    for number, found in enumerate(prefetch(chosen, shards, threads=_PREFETCHED, depth=_PREFETCHED), start=1):
        for one, sample, is_kept in found:
            if has_given(sample):
                images = Origin.decode(sample["json"], sample.key).given
                given[sample.key] += (image for image in images if not exclusion.excludes_image(image))
            if is_kept:
                gathered[one].append(sample)
        log.progress(number, len(shards), "embedded shards")
    for one in ranges:
        if gathered[one]:
            samples = sorted(gathered.pop(one), key=lambda sample: sample.key)
            output.splits.write_shard(one.shard, (_with_given(sample, given) for sample in samples))


def _with_given(sample: Sample, given: Mapping[str, Sequence[Given]]) -> Sample:
    """The sample with all images of its prompt, each once, in the order of the sources."""
    found: dict[str, Given] = {}
    for image in given.get(sample.key, ()):
        found.setdefault(image.sha256, image)
    if not found:
        return sample
    origin = Origin.decode(sample["json"], sample.key).model_copy(update={"given": tuple(found.values())})
    return Sample(sample.key, {**sample.fields, "json": origin.encode()})


def number_of(key: str, ranges: int) -> int:
    """In which of so many equal ranges of keys, a power of two, a key is."""
    return int(key[:_PREFIX_DIGITS], 16) * ranges >> 4 * _PREFIX_DIGITS


def certificate(kept: Iterable[Keys], num_prompts: int, excluded: int, params: DedupParams) -> Certificate:
    """What holds of the kept set, and what it takes to check it."""
    keys = np.sort(np.concatenate([np.empty(0, KEYS), *kept])).tolist()
    counts = Counter(split_of(key.decode(), params.held_out) for key in keys)
    found = Certificate(
        threshold=params.threshold,
        order=ORDER,
        prompts=num_prompts,
        kept=len(keys),
        dropped=num_prompts - excluded - len(keys),
        kept_keys_sha256=sha256(b"\n".join(keys)),
        held_out=params.held_out,
        splits={split: counts[split] for split in splits(params)},
    )
    return found.model_copy(update={"excluded": excluded}) if excluded else found
