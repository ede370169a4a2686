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
import io
import re
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, BaseModel, TypeAdapter

from jobs.errors import Corrupt, NotFound
from jobs.shards.digests import canonical_json
from jobs.shards.store import Store, overwrite
from jobs.shards.strict_json import STRICT, decode

End = Literal["done", "dropped"]

BLOCK = 32  # claims in one object, and such objects in a larger one
_AT_ONCE = 16  # reads
_FORM = "%Y-%m-%dT%H:%M:%SZ"
_CLAIM = re.compile(r"claims/(?:(done|dropped)/)?(\d{5,})\.json")
_SPAN = re.compile(r"claims/blocks/(\d{5,})-(\d{5,})\.json\.gz")
_DELETE_BLOCK = "delete it: it is made anew from the claims themselves"
_LARGEST_BLOCK = 1 << 30  # bytes, of 1,024 claims of 10,000 names each a tenth


class _Stored(BaseModel):
    """A claim's JSON, in which the number is left to the object's name."""

    model_config = STRICT

    scheduled: Annotated[str, AfterValidator(lambda text: _time(text).strftime(_FORM))]
    images: str
    names: tuple[str, ...]


def _time(text: str) -> datetime:
    return datetime.strptime(text, _FORM).replace(tzinfo=UTC)


_STORED, _BLOCK_OF = TypeAdapter(_Stored), TypeAdapter(tuple[_Stored, ...])


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
    def of(cls, number: int, stored: _Stored) -> Claim:
        """From its stored form."""
        return cls(number, _time(stored.scheduled), stored.images, stored.names)


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
        data = store.read(name).data
        return Claim.of(number, decode(_STORED, data, f"{store.url}/{name}", "a claim", "put it back from a backup"))
    except NotFound as error:
        raise Corrupt(
            f"{store.url}/{name} is gone, and with it which inputs it had: they would be predicted twice; put it back "
            "from a backup, or go on under another run name with the inputs that are still to be predicted"
        ) from error


def read_chain(store: Store) -> Chain:
    """All claims of a run, from a listing and a few reads; raises Corrupt where one is gone or cannot be read."""
    ended: dict[int, End] = {}
    blocks: set[tuple[int, int]] = set()
    numbers: set[int] = set()
    for stat in store.list("claims/"):
        if found := _CLAIM.fullmatch(stat.name):
            if found[1]:
                ended.setdefault(int(found[2]), cast(End, found[1]))  # `done` comes first, and counts
            else:
                numbers.add(int(found[2]))
        elif (found := _SPAN.fullmatch(stat.name)) and _may_be_block(int(found[1]), int(found[2])):
            blocks.add((int(found[1]), int(found[2])))
    last = max([*numbers, *ended, *(last for _, last in blocks)], default=0)
    spans = list(_spans(store, dict(sorted(blocks)), numbers, last))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        read = list(pool.map(lambda span: _read_span(store, *span), spans))
    return Chain(tuple(claim for claims in read for claim in claims), ended, frozenset(blocks))


def _may_be_block(first: int, last: int) -> bool:
    """Whether a block can begin and end with these numbers."""
    size = BLOCK
    while size < last - first + 1:
        size *= BLOCK
    return size == last - first + 1 and first % size == 1


def _spans(store: Store, widest: Mapping[int, int], numbers: set[int], last: int) -> Iterator[tuple[int, int]]:
    """The objects that hold claims 1 to `last`, each by its first and last number; raises Corrupt where one is gone.

    Claims are created without gaps. So no number is beyond them, unless somebody else put an object there.
    """
    first = 1
    while first <= last:
        end = widest.get(first, first)
        if end == first and first not in numbers:
            raise Corrupt(
                f"{store.url}/{claim_name(first)} is gone, although there is something of claim {last}; put it back "
                "from a backup (without it its inputs would be predicted twice), or delete what is numbered beyond it "
                "if that is nobody's claim, or go on under another run name"
            )
        yield first, end
        first = end + 1


def restore_claims(store: Store) -> Iterator[tuple[str, str, bool]]:
    """Delete blocks that do not hold claims, and write claims that are gone or cannot be read again from whole blocks.

    Gives the name of each damaged object, what became of it, and whether it is lost.
    """
    whole: dict[int, Claim] = {}
    listed = [stat.name for stat in store.list("claims/")]
    for name in listed:
        if (found := _SPAN.fullmatch(name)) and _may_be_block(int(found[1]), int(found[2])):
            try:
                whole.update((claim.number, claim) for claim in _read_span(store, int(found[1]), int(found[2])))
            except Corrupt as error:
                store.delete(name)
                yield name, f"deleted, to be made anew from the claims themselves: {error}", False
    numbers = {int(found[2]) for name in listed if (found := _CLAIM.fullmatch(name)) and not found[1]}
    for number in sorted(numbers | whole.keys()):
        try:
            read_claim(store, number)
        except Corrupt as error:
            if claim := whole.get(number):
                overwrite(store, claim_name(number), canonical_json(claim.values))
                yield claim_name(number), f"written again from its block: {error}", False
            else:
                yield claim_name(number), str(error), True


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
    where, kind, what_to_do = f"{store.url}/{name}", f"a block of {last - first + 1} claims", _DELETE_BLOCK
    try:
        with gzip.open(io.BytesIO(store.read(name).data)) as file:
            body = file.read(_LARGEST_BLOCK)
    except (OSError, EOFError, zlib.error) as error:
        raise Corrupt(f"{where} is not {kind} ({error}); {what_to_do}") from error
    stored = decode(_BLOCK_OF, body, where, kind, what_to_do)
    if len(stored) != last - first + 1:
        raise Corrupt(f"{where} is not {kind} (it holds {len(stored)}); {what_to_do}")
    return [Claim.of(number, one) for number, one in enumerate(stored, first)]


def _block_name(first: int, last: int) -> str:
    return f"claims/blocks/{first:05d}-{last:05d}.json.gz"
