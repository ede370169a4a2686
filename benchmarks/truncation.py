"""Is a damaged shard noticed? Every cut at a block's boundary and every flipped bit, here and in webdataset.

`python -m benchmarks.truncation` takes a minute and writes benchmarks/results/truncation.json.
"""

from __future__ import annotations

import io
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import webdataset

from benchmarks.common import save
from jobs.shards.dataset import Dataset, Writer
from jobs.shards.local import LocalStore
from jobs.shards.records import Manifest, Shard
from jobs.shards.store import Body
from jobs.shards.tar import Sample, json_field
from jobs.shards.tar_header import BLOCK

SAMPLES = [
    Sample(
        f"{number:024x}",
        {
            "txt": f"a prompt, number {number}".encode(),
            "json": json_field({"source": "demo", "row": number}),
            "npy": random.Random(number).randbytes(1664),  # noqa: S311, the size of a stored vector
        },
    )
    for number in range(10)
]
Read = Callable[[bytes], list[Sample]]  # raises when it notices the damage


class OneObject(LocalStore):
    """A store whose every object is these bytes, so that hundreds of thousands of damages need no disk."""

    data = b""

    def read(self, name: str) -> Body:
        return Body(self.data, "")


def written(folder: Path, samples: Iterable[Sample]) -> tuple[bytes, Shard]:
    """The bytes of a shard of these samples and what its record says of it."""
    store = LocalStore(folder)
    shard = Writer(store).add_shard("shard", samples)
    return store.read(shard.object).data, shard


def here(shard: Shard) -> Read:
    """Reading as every stage does, through the record."""
    store = OneObject(Path())
    dataset = Dataset(store, Manifest("stage", ()))

    def read(data: bytes) -> list[Sample]:
        store.data = data
        return list(dataset.read(shard))

    return read


def by_webdataset(data: bytes) -> list[Sample]:
    """Reading with the webdataset library's own functions, as its WebDataset composes them."""
    streams = [{"url": "shard.tar", "stream": io.BytesIO(data)}]
    grouped = webdataset.tariterators.group_by_keys(webdataset.tariterators.tar_file_expander(streams))
    return [Sample(one["__key__"], {name: one[name] for name in one if not name.startswith("__")}) for one in grouped]


def cuts(data: bytes) -> Iterator[bytes]:
    """The shard cut at every boundary of a block, from one block to all but one."""
    for size in range(BLOCK, len(data), BLOCK):
        yield data[:size]


def flips(data: bytes, *, each: int = 1) -> Iterator[bytes]:
    """The shard with one bit flipped, every bit in turn, or one in `each` at random places."""
    chance = random.Random(0)  # noqa: S311
    for start in range(0, len(data) * 8, each):
        bit = start + chance.randrange(each)
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        yield bytes(damaged)


def outcomes(damaged: Iterable[bytes], read: Read, samples: list[Sample]) -> dict[str, int]:
    """How many damages were noticed, read without an error but wrong, and read right (only padding was damaged)."""
    counts = Counter(_outcome(data, read, samples) for data in damaged)
    return {"tried": counts.total(), **{name: counts[name] for name in ("noticed", "wrong", "right")}}


def _outcome(data: bytes, read: Read, samples: list[Sample]) -> str:
    try:
        return "right" if read(data) == samples else "wrong"
    except Exception:  # webdataset has no errors of its own
        return "noticed"


def main(folder: Path) -> None:
    """Measure everything and keep the counts."""
    data, shard = written(folder, SAMPLES)
    started = time.perf_counter()
    measured = {
        "cuts": {
            "here": outcomes(cuts(data), here(shard), SAMPLES),
            "webdataset": outcomes(cuts(data), by_webdataset, SAMPLES),
        },
        "flipped bits": {
            "here": outcomes(flips(data), here(shard), SAMPLES),
            "webdataset": outcomes(flips(data, each=16), by_webdataset, SAMPLES),
        },
    }
    save(
        "truncation",
        {
            "shard": {"bytes": len(data), "samples": len(SAMPLES), "members": sum(len(one.fields) for one in SAMPLES)},
            "damage": measured,
            "seconds": round(time.perf_counter() - started, 1),
        },
        libraries=("webdataset",),
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(temporary))
