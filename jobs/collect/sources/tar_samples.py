"""The samples of other people's tars, read by the webdataset library, one at a time and under limits."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import BinaryIO

from webdataset.tariterators import group_by_keys, tar_file_iterator

from jobs.collect.sources.base import File
from jobs.collect.sources.pairs import PairSource
from jobs.errors import BadData

_END = 1024  # zero bytes after the last file of a tar

TarSample = tuple[str, dict[str, bytes]]  # its key, and its fields


def tar_samples(source: PairSource, file: File) -> Iterator[TarSample]:
    """The samples; raises BadData where the tar is damaged, cut short, or has too large a file.

    One that is cut between two files is noticed, too: the library reads it as a shorter one.
    """
    with file.binary(source.limits) as binary:
        bounded = _Bounded(binary, source.image_limits.file_bytes)
        read = 0
        try:
            files = tar_file_iterator(bounded, select_files=bounded.begin)
            for sample in group_by_keys({**one, "__url__": file.label} for one in files):
                key = sample.pop("__key__")
                read += 1
                yield key, {name: data for name, data in sample.items() if not name.startswith("__")}
            bounded.check_end()
        except (tarfile.TarError, EOFError, ValueError, OverflowError, _TooLarge) as error:
            raise BadData(
                f"source {source.name}: {file.label} is not readable as a tar after sample {read}: {error}"
            ) from error


class _TooLarge(Exception):
    """A file of the tar has more bytes than an image may have."""


class _Bounded:
    """A file that is read to its end, of whose parts none between two calls of `begin` is longer than so many bytes."""

    def __init__(self, binary: BinaryIO, most: int) -> None:
        self._binary, self._most = binary, most + tarfile.RECORDSIZE
        self._size, self._tail = 0, b""

    def begin(self, name: str) -> bool:
        """A file of the tar begins."""
        self._size = 0
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._binary.read(size)
        self._size += len(data)
        if self._size > self._most:
            raise _TooLarge(f"one of its files has more than {self._most:,} bytes, see `image_limits.file_bytes`")
        self._tail = (self._tail + data)[-_END:]
        return data

    def check_end(self) -> None:
        """Raise ReadError unless what was read last, or is left, are the zeros that end a tar."""
        while rest := self._binary.read(tarfile.RECORDSIZE):
            self._tail = (self._tail + rest)[-_END:]
        if self._tail != bytes(_END):
            raise tarfile.ReadError("it has no end marker: it was cut short")
