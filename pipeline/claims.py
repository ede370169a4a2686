"""The chain of claims in a run's folder: which scheduled batch has which inputs. No input is in two claims.

    claims/00017.json                   when it was scheduled, and its inputs; created only if absent, without gaps
    claims/done/00017.json              its run is finished; it is never looked at again, whatever becomes of its inputs
    claims/dropped/00017.json           an operator gave it up
    claims/blocks/00001-00032.json.gz   32 claims again (then 1,024, …), so that reading all takes a few objects

Whoever creates a claim has read all claims before it: of several at once one creates the next number, and the others
read it and go on. That holds whatever runs at the same time.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, cast

from jobs.errors import Corrupt, NotFound
from jobs.shards.digests import canonical_json
from jobs.shards.store import Store

End = Literal["done", "dropped"]

BLOCK = 32  # claims in one object, and such objects in a larger one
_AT_ONCE = 16  # reads
_FORM = "%Y-%m-%dT%H:%M:%SZ"
_CLAIM = re.compile(r"claims/(?:(done|dropped)/)?(\d{5,})\.json")
_SPAN = re.compile(r"claims/blocks/(\d{5,})-(\d{5,})\.json\.gz")


@dataclass(frozen=True, slots=True)
class Claim:
    """The names below `images` that belong to the batch of one scheduled time (UTC, whole seconds)."""

    number: int
    scheduled: datetime
    images: str
    names: tuple[str, ...]

    @property
    def when(self) -> str:
        """The scheduled time as RFC 3339."""
        return self.scheduled.strftime(_FORM)

    @property
    def values(self) -> dict[str, Any]:
        """Its JSON form, in which the number is left to the object's name."""
        return {"scheduled": self.when, "images": self.images, "names": list(self.names)}

    @classmethod
    def of(cls, number: int, values: Mapping[str, Any]) -> Claim:
        """From its JSON form; raises ValueError, TypeError or KeyError when that is not one."""
        scheduled = datetime.strptime(values["scheduled"], _FORM).replace(tzinfo=UTC)
        return cls(number, scheduled, values["images"], tuple(values["names"]))


@dataclass(frozen=True, slots=True)
class Chain:
    """All claims so far, in order from number 1, and how those ended that are not open any more."""

    claims: tuple[Claim, ...]
    ended: Mapping[int, End]
    blocks: frozenset[tuple[int, int]]  # first and last number


def claim_name(number: int) -> str:
    """The name of a claim's object."""
    return f"claims/{number:05d}.json"


def create_claim(store: Store, claim: Claim) -> bool:
    """Create a claim whose inputs are in no claim before it; False where there is another one of its number."""
    return store.create(claim_name(claim.number), canonical_json(claim.values))


def end_claim(store: Store, number: int, end: End, run: str) -> None:
    """Record that a claim is open no more."""
    store.create(f"claims/{end}/{number:05d}.json", canonical_json({"run": run}))


def read_claim(store: Store, number: int) -> Claim:
    """One claim; raises Corrupt."""
    name = claim_name(number)
    try:
        return Claim.of(number, json.loads(store.read(name).data))
    except NotFound as error:
        raise Corrupt(
            f"{store.url}/{name} is gone, and with it which inputs it had: they would be predicted twice; put it back "
            "from a backup, or go on under another run name with the inputs that are still to be predicted"
        ) from error
    except (ValueError, TypeError, KeyError) as error:
        raise Corrupt(f"{store.url}/{name} is not a claim ({error}); put it back from a backup") from error


def read_chain(store: Store) -> Chain:
    """All claims of a run, from a listing and a few reads; raises Corrupt where one is gone or cannot be read."""
    ended: dict[int, End] = {}
    blocks: set[tuple[int, int]] = set()
    last = 0
    for stat in store.list("claims/"):
        if found := _CLAIM.fullmatch(stat.name):
            last = max(last, number := int(found[2]))
            if found[1]:
                ended.setdefault(number, cast(End, found[1]))  # `done` comes first, and counts
        elif found := _SPAN.fullmatch(stat.name):
            blocks.add((int(found[1]), int(found[2])))
            last = max(last, int(found[2]))
    widest, spans, first = dict(sorted(blocks)), [], 1  # first number -> last
    while first <= last:
        spans.append((first, widest.get(first, first)))
        first = spans[-1][1] + 1
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        read = list(pool.map(lambda span: _read_span(store, *span), spans))
    return Chain(tuple(claim for claims in read for claim in claims), ended, frozenset(blocks))


def make_blocks(store: Store, chain: Chain) -> None:
    """Write the blocks that the chain has got long enough for; whoever writes one writes the same."""
    size = BLOCK
    while size <= len(chain.claims):
        for last in range(size, len(chain.claims) + 1, size):
            span = (last - size + 1, last)
            if span not in chain.blocks:
                body = canonical_json([claim.values for claim in chain.claims[last - size : last]])
                store.create(_block_name(*span), gzip.compress(body, mtime=0))
        size *= BLOCK


def _read_span(store: Store, first: int, last: int) -> list[Claim]:
    if first == last:
        return [read_claim(store, first)]
    name = _block_name(first, last)
    try:
        values = json.loads(gzip.decompress(store.read(name).data))
        return [Claim.of(number, one) for number, one in zip(range(first, last + 1), values, strict=True)]
    except (ValueError, TypeError, KeyError, OSError, EOFError) as error:
        raise Corrupt(
            f"{store.url}/{name} does not hold claims ({error}); delete it: it is made anew from the claims themselves"
        ) from error


def _block_name(first: int, last: int) -> str:
    return f"claims/blocks/{first:05d}-{last:05d}.json.gz"
