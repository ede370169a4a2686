"""A process that commits units which others commit at the same time: `python -m tests.contract.writer STORE NUMBER`."""

from __future__ import annotations

import sys

from jobs.shards.address import open_store
from jobs.shards.dataset import Writer, commit
from tests.samples import numbered_samples, record_of

TURNS = 20


def main(url: str, attempt: str) -> None:
    """Wait for a line, then commit every unit with bytes of its own; print which it won."""
    store = open_store(url)
    print("ready", flush=True)
    sys.stdin.readline()
    for turn in range(TURNS):
        shard = Writer(store).add_shard("train-00000", numbered_samples(3, seed=(attempt, turn)))
        print(commit(store, record_of(f"unit-{turn}", shard, attempt=attempt)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
