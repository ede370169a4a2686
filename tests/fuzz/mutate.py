"""Mutations of bytes that are the same for the same number, in every process."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_TOKENS = (
    b'"',
    b"\0",
    b"\xff",
    b"\n",
    b"\r",
    b",",
    b"\t",
    b"[" * 2_000,
    b'{"a":' * 2_000,
    b"{}",
    b"null",
    b"NaN",
    b"1e999",
    b"-1",
    b"9" * 5_000,
    b"\\ud800",
    b"\xed\xa0\x80",
    b"../",
    b"__",
    b" " * 1_000,
    b"PK\3\4",
    b"\x1f\x8b\x08\0",
)
_MOST = 64 << 10  # bytes of a mutation: more of the same finds nothing more

Chance = random.Random


def mutated(seeds: Sequence[bytes], name: str, number: int) -> bytes:
    """The number-th mutation of one of the seeds."""
    chance = Chance(f"{name}/{number}")
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.choice((1, 1, 1, 2, 3, 5, 8))):
        chance.choice(_OPERATIONS)(data, chance, seeds)
    return bytes(data[:_MOST])


def _position(data: bytearray, chance: Chance) -> int:
    return chance.randrange(len(data) + 1)


def _flip(data: bytearray, chance: Chance, _: Sequence[bytes]) -> None:
    if data:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _set(data: bytearray, chance: Chance, _: Sequence[bytes]) -> None:
    if data:
        data[chance.randrange(len(data))] = chance.randrange(256)


def _number(data: bytearray, chance: Chance, _: Sequence[bytes]) -> None:
    size, order = chance.choice((1, 2, 4, 8)), chance.choice(("big", "little"))
    position = _position(data, chance)
    data[position : position + size] = (chance.choice(_NUMBERS) % 256**size).to_bytes(size, order)


def _delete(data: bytearray, chance: Chance, _: Sequence[bytes]) -> None:
    position = _position(data, chance)
    del data[position : position + chance.choice((1, 2, 4, 16, 64, 512, 4096))]


def _repeat(data: bytearray, chance: Chance, _: Sequence[bytes]) -> None:
    position, size = _position(data, chance), chance.choice((1, 4, 16, 64, 512))
    data[position:position] = data[position : position + size] * chance.choice((1, 2, 10, 100))


def _insert(data: bytearray, chance: Chance, _: Sequence[bytes]) -> None:
    position = _position(data, chance)
    data[position:position] = chance.choice(_TOKENS)


def _splice(data: bytearray, chance: Chance, seeds: Sequence[bytes]) -> None:
    other = chance.choice(seeds)
    data[_position(data, chance) :] = other[chance.randrange(len(other) + 1) :]


def _cut(data: bytearray, chance: Chance, _: Sequence[bytes]) -> None:
    del data[_position(data, chance) :]


_OPERATIONS: tuple[Callable[[bytearray, Chance, Sequence[bytes]], None], ...] = (
    _flip,
    _flip,
    _set,
    _number,
    _number,
    _delete,
    _repeat,
    _insert,
    _splice,
    _cut,
)
