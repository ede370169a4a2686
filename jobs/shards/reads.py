"""What a unit says it has read: {label: digest}, where a label names a dataset, some of its groups, or one shard.

    embed                   the whole dataset
    generate-images/train   one group of its shards; several are joined by commas
    dedup/train-00042       one shard

A label without a stage's name in front is of something else, for example of a file.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from jobs.shards.digests import digest_of
from jobs.shards.records import Shard


def reads_of_shard(stage: str, shard: Shard) -> dict[str, str]:
    """What a unit reads that reads one shard."""
    return {f"{stage}/{shard.name}": shard.sha256}


def reads_of_groups(stage: str, groups: Sequence[str], shards: Collection[Shard]) -> dict[str, str]:
    """What a unit reads that reads these groups, or the whole dataset where none is named; `shards` are theirs."""
    label = f"{stage}/{','.join(groups)}" if groups else stage
    return {label: digest_of([(shard.name, shard.sha256) for shard in shards])}


def stage_of(label: str) -> str:
    """The stage whose data a label names; of a label of something else, what is no stage's name."""
    return label.partition("/")[0]


def changed_inputs(reads: Mapping[str, str], shards: Mapping[str, Sequence[Shard]]) -> dict[str, str]:
    """{label: stage} of what was read of these stages' shards and is not among them any more."""
    one_by_one = {f"{stage}/{shard.name}": shard.sha256 for stage, those in shards.items() for shard in those}
    changed = {}
    for label, digest in reads.items():
        stage, _, part = label.partition("/")
        if stage in shards and one_by_one.get(label) != digest:  # the part can be a shard's name, a group's, or both
            groups = part.split(",") if part else []
            those = [shard for shard in shards[stage] if not groups or shard.group in groups]
            if reads_of_groups(stage, groups, those).get(label) != digest:
                changed[label] = stage
    return changed
