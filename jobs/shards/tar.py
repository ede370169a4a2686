"""Deterministic tar shards: the `webdataset` library reads what is written here, and the other way round.

A shard holds samples in ascending order of key; a sample is the consecutive files `KEY.FIELD`. Same samples, same
bytes: ustar headers, fields sorted, no times, owners or modes. Nothing is ever extracted to disk.
"""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from jobs.errors import BadData, Corrupt
from jobs.shards.digests import canonical_json
from jobs.shards.keys import is_key
from jobs.shards.tar_header import BLOCK, LONGEST_NAME, header, read_header

_ZEROS = bytes(BLOCK)
_END = 2 * _ZEROS
# Without what the webdataset library takes for its own: fields that begin with underscores, upper case.
_FIELD = re.compile(r"[a-z0-9][a-z0-9_]*(\.[a-z0-9_]+)*")


@dataclass(frozen=True, slots=True)
class Sample:
    """The files that share a key: field name (the extension) -> bytes."""

    key: str
    fields: Mapping[str, bytes]

    def text(self, field: str = "txt") -> str:
        """A field as UTF-8 text; raises Corrupt when the sample lacks it or it is not UTF-8."""
        try:
            return self[field].decode()
        except UnicodeDecodeError as error:
            raise Corrupt(f"field {field!r} of sample {self.key} is not UTF-8 text: {error}") from error

    def adding(self, **fields: bytes) -> Sample:
        """The sample with more fields; a field once written is never changed (raises ValueError)."""
        if twice := self.fields.keys() & fields.keys():
            raise ValueError(f"sample {self.key} already has {sorted(twice)}; fields are only added")
        return Sample(self.key, {**self.fields, **fields})

    def __getitem__(self, field: str) -> bytes:
        try:
            return self.fields[field]
        except KeyError:
            raise Corrupt(f"sample {self.key} has no field {field!r}, only {sorted(self.fields)}") from None


@dataclass(frozen=True, slots=True)
class TarSummary:
    """What a written shard holds: its bytes' size and SHA-256, the count of samples, the first and last key."""

    size: int
    sha256: str
    samples: int
    first_key: str | None
    last_key: str | None


def json_field(value: Any) -> bytes:
    """The bytes of a `json` field: canonical, so that equal metadata gives equal shards."""
    return canonical_json(value)


Members = dict[str, dict[str, tuple[int, int]]]  # key -> field -> its first byte and the one after its last


def write_tar(samples: Iterable[Sample], file: BinaryIO, members: Members | None = None) -> TarSummary:
    """Write samples to an open file as one shard and say what was written; note in `members` where every field is.

    Keys must ascend strictly; raises ValueError otherwise, because a shard whose order depended on how it came about
    would not have one digest. Raises BadData for a key or field that cannot be a tar member's name.
    """
    digest, size = hashlib.sha256(), 0

    def write(data: bytes) -> None:
        nonlocal size
        file.write(data)
        digest.update(data)
        size += len(data)

    count, first, last = 0, None, None
    for sample in samples:
        if last is not None and sample.key <= last:
            raise ValueError(f"keys must ascend strictly: {sample.key!r} came after {last!r}")
        if not sample.fields:
            raise BadData(f"sample {sample.key!r} has no fields, so a shard cannot hold it")
        for field in sorted(sample.fields):
            body = sample.fields[field]
            head = _header(sample.key, field, len(body))
            if members is not None:
                start = size + len(head)
                members.setdefault(sample.key, {})[field] = start, start + len(body)
            write(b"".join((head, body, _ZEROS[: -len(body) % BLOCK])))
        count, first, last = count + 1, first or sample.key, sample.key
    write(_END)
    write(bytes(-size % tarfile.RECORDSIZE))
    return TarSummary(size, digest.hexdigest(), count, first, last)


def read_tar(data: bytes, *, name: str = "shard") -> Iterator[Sample]:
    """The samples of a shard held in memory, in the order written; also reads shards of the webdataset library.

    Nothing is returned before the whole tar has been gone through; raises Corrupt as `index_tar` does.
    """
    return cut(data, index_tar(data, name=name))


def cut(data: bytes, members: Members) -> Iterator[Sample]:
    """The samples of a shard, copied out one at a time, so that a shard takes its memory once."""
    for key, fields in members.items():
        yield Sample(key, {field: data[start:end] for field, (start, end) in fields.items()})


def index_tar(data: bytes, *, name: str = "shard") -> Members:
    """Where every field of every sample is. Like the webdataset library, it splits a file's name at the first dot
    after its folders and takes fields in lower case.

    Raises Corrupt for a truncated or malformed tar (also one cut at a member's boundary, which the webdataset library
    reads as a shorter shard), for bytes after its end, for anything but regular files, for a field given twice, and
    for a key whose files are in two positions.
    """
    members: Members = {}
    last, end = None, 0
    try:
        for member, start, size in _own_files(data) or _any_files(data, name):
            end = start + size + -size % BLOCK
            key, field = _split_name(member, name)
            if key != last and key in members:
                raise Corrupt(f"{name}: the files of {key} are in two positions")
            fields = members.setdefault(key, {})
            if field in fields:
                raise Corrupt(f"{name}: field {field!r} of {key} is in it twice")
            fields[field] = start, start + size
            last = key
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        raise Corrupt(f"{name}: not a whole tar: {error}") from error
    if data[end : end + len(_END)] != _END:
        raise Corrupt(f"{name}: no end marker after byte {end:,}: it was cut short, or what follows is damaged")
    if data.count(0, end) != len(data) - end:
        raise Corrupt(f"{name}: bytes after the end marker, as when two tars are joined; one shard is one tar")
    return members


def _own_files(data: bytes) -> list[tuple[str, int, int]] | None:
    """Name, first byte and size of all files if every header is one that `write_tar` writes, else None."""
    found, start = [], 0
    while (block := data[start : start + BLOCK]) and block != _ZEROS:
        entry = read_header(block)
        if entry is None:
            return None
        name, size = entry
        found.append((name.decode(), start + BLOCK, size))
        start += BLOCK + size + -size % BLOCK
    return found if start < len(data) else None


def _any_files(data: bytes, shard: str) -> Iterator[tuple[str, int, int]]:
    """The same of a tar that anyone wrote; raises Corrupt, tarfile.TarError."""
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:", encoding="utf-8", errors="strict") as tar:
        for member in tar:
            if not member.isreg() or member.issparse() or member.size < 0:
                raise Corrupt(f"{shard}: {member.name!r} is not a regular file")
            yield member.name, member.offset_data, member.size


def _split_name(member: str, shard: str) -> tuple[str, str]:
    folder, slash, file = member.rpartition("/")
    base, _, field = file.partition(".")
    if not base or not field:
        raise Corrupt(f"{shard}: {member!r} is not KEY.FIELD")
    return folder + slash + base, field.lower()


def _header(key: str, field: str, size: int) -> bytes:
    name = f"{key}.{field}"
    if not is_key(key) or not _FIELD.fullmatch(field) or len(name.encode()) > LONGEST_NAME:
        raise BadData(
            f"{key!r} with field {field!r} cannot be a tar member: keys hold no dot or slash and do not begin with __, "
            f"fields are lower case, both together have at most {LONGEST_NAME} bytes"
        )
    return header(name.encode(), size)
