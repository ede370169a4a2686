"""The samples of other people's tars, put together by the webdataset library, one at a time and under limits."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from webdataset.tariterators import group_by_keys

from jobs.collect.sources.base import File
from jobs.collect.sources.pairs import PairSource
from jobs.errors import BadData

_BLOCK = 512
_END = 2 * _BLOCK  # zero bytes after the last file of a tar

TarSample = tuple[str, dict[str, bytes]]  # its key, and its fields


def tar_samples(source: PairSource, file: File) -> Iterator[TarSample]:
    """The samples; raises BadData where the tar is damaged, cut short, or has too large a file.

    One that is cut between two files is noticed, too: the library's own reader takes it for a shorter one.
    """
    read = 0
    with file.binary(source.limits) as binary:
        try:
            for sample in group_by_keys(_files(_Counted(binary), file.label, source.image_limits.file_bytes)):
                key = sample.pop("__key__")
                read += 1
                yield key, {name: data for name, data in sample.items() if not name.startswith("__")}
        except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
            raise BadData(
                f"source {source.name}: {file.label} is not readable as a tar after sample {read}: {error}"
            ) from error


def _files(counted: _Counted, label: str, most: int) -> Iterator[dict[str, Any]]:
    """The regular files as the library's own reader gives them; raises TarError also where the end is missing."""
    end = 0  # of the last file
    with tarfile.open(fileobj=cast(BinaryIO, counted), mode="r|") as tar:
        for member in tar:
            if member.size > most:
                raise tarfile.ReadError(
                    f"its file {member.name!a} has {member.size:,} bytes, more than `image_limits.file_bytes`"
                )
            end = member.offset_data + member.size + -member.size % _BLOCK
            content = tar.extractfile(member) if member.isreg() else None
            if content is not None:
                yield {"fname": member.name, "data": content.read(), "__url__": label}
            tar.members = []  # type: ignore[attr-defined] # else all that were read stay in memory
    counted.read_to_end()
    if counted.size < end + _END or counted.tail != bytes(_END):
        raise tarfile.ReadError("it has no end marker: it was cut short")


class _Counted:
    """A file whose bytes are counted as they are read, and the last ones kept."""

    def __init__(self, binary: BinaryIO) -> None:
        self._binary = binary
        self.size, self.tail = 0, b""

    def read(self, size: int = -1) -> bytes:
        data = self._binary.read(size)
        self.size += len(data)
        self.tail = (self.tail + data)[-_END:]
        return data

    def read_to_end(self) -> None:
        """Go through what is left."""
        while self.read(tarfile.RECORDSIZE):
            pass
