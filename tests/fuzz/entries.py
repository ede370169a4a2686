"""What reads bytes that anybody may have written: each with a few whole inputs. A new one is one line in ENTRIES."""

from __future__ import annotations

import gzip
import io
import os
import struct
import tempfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import pyarrow as arrow
from PIL import Image
from pydantic import TypeAdapter

from jobs.collect.sources import AnySource
from jobs.collect.sources.base import File, FileSource
from jobs.collect.sources.parquet_packing import packed
from jobs.collect.sources.parquet_service import PARQUET, OpenFile, Rows
from jobs.collect.sources.parquet_unpacking import columns_in
from jobs.collect.sources.rows import Row
from jobs.contract.reading import TypedSample
from jobs.contract.samples import Origin
from jobs.dedup.tool.tables.formats import format_of
from jobs.dedup.tool.tables.reading import copy_rows, open_tables, prompts
from jobs.imaging.limits import ImageLimits
from jobs.imaging.orientation import orientation_in
from jobs.imaging.pixel_service import PIXELS, Decoded, Undecodable
from jobs.imaging.profiles import in_srgb
from jobs.imaging.untrusted import decode_foreign
from jobs.infer.files import names_in_json
from jobs.runtime.arrays import from_npy, npy_field
from jobs.runtime.sandbox import frames
from jobs.runtime.sandbox.messages import Failed
from jobs.runtime.sandbox.pool import Died
from jobs.runtime.task_description import TaskDescription
from jobs.shards.digests import canonical_json
from jobs.shards.keys import key_of, normalise
from jobs.shards.records import CommitRecord, Manifest
from jobs.shards.store import Store
from jobs.shards.strict_json import decode
from jobs.shards.tar import Sample, json_field, read_tar, write_tar
from pipeline.scheduled.claims import _STORED, Claim
from tests.hostile.images import ANIMATED, JPEG, PNG, PROGRESSIVE, WEBP, chunk, encoded, png
from tests.hostile.later_images import AVIF, BMP, DEFLATED, GIF, HEIC, TIFF, TIFF_OF_JPEG, TURNED, bmp, page
from tests.hostile.sources import table
from tests.image_files import DISPLAY_P3, GREY_GAMMA, SRGB, with_exif
from tests.samples import SAMPLES, record_of


@dataclass(frozen=True, slots=True)
class Entry:
    """A function that reads bytes, inputs that it reads, and how many mutations `make test` has time for."""

    read: Callable[[bytes], object]
    seeds: Sequence[bytes]
    expected: tuple[type[Exception], ...] = ()  # beside our own errors
    repair: Callable[[bytes], bytes] | None = None  # of checksums, for every other mutation


_LIMITS = ImageLimits(pixels=1 << 20, scanned_pixels=16 << 20)  # else a mutated header costs seconds, as it may
_KINDS = ("text", "csv", "tsv", "jsonl", "json", "conceptual-captions", "text2image-multi-prompt", "diffusiondb")
_SOURCE: TypeAdapter[AnySource] = TypeAdapter(AnySource)
_SOURCES = {
    kind: cast(FileSource, _SOURCE.validate_python({"kind": kind, "name": "a", "path": "a"})) for kind in _KINDS
}


class OneFile:
    """A store with one object, which a source reads."""

    url = "memory"

    def __init__(self, data: bytes) -> None:
        self.data = data

    def open(self, name: str) -> BinaryIO:
        """The object."""
        return io.BytesIO(self.data)


def rows_of(kind: str, data: bytes, name: str = "a.x") -> int:
    """Read all rows of a source and make samples of the good ones, as the worker does."""
    count = 0
    for row in _SOURCES[kind].rows(File(cast(Store, OneFile(data)), name)):
        if isinstance(row, Row):
            prompt = normalise(row.prompt)
            Sample(key_of(prompt), {"txt": prompt.encode(), "json": json_field({"row": row.number, **row.extra})})
        count += 1
    return count


def table_copied(name: str, data: bytes) -> int:
    """Read a file of prompts as the filter of files does, and copy every other row."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(data)
        tables = open_tables([path], format_of(path), None)
        rows = list(prompts(tables[0]))
        copy_rows(tables, [[row % 2 == 0 for row in range(len(rows))]], io.BytesIO())
    return len(rows)


def received(data: bytes) -> tuple[bytes, bytes]:
    """Receive what a process in the sandbox sends."""
    reading, writing = os.pipe()
    try:
        os.write(writing, data[:60_000])
        os.close(writing)
        return frames.receive(reading, most=1 << 20)
    finally:
        os.close(reading)


def columns_received(data: bytes) -> list[list[object]]:
    """Read the columns of a parquet file that a process in the sandbox sends."""
    head, body = received(data)
    rows = PARQUET.answer_in(head)
    return columns_in(rows, body) if isinstance(rows, Rows) else []


def with_right_sums(data: bytes) -> bytes:
    """A PNG with the checksum that each of its chunks should have, so that what is in them is looked at."""
    parts, position = [data[:8]], 8
    while position + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, position)
        content = data[position + 4 : position + 8 + size]
        parts += [data[position : position + 4], content, struct.pack(">I", zlib.crc32(content))]
        position += 12 + size
    return b"".join(parts)


def _tar() -> bytes:
    file = io.BytesIO()
    write_tar(SAMPLES, file)
    return file.getvalue()


def _message(head: bytes, body: bytes) -> bytes:
    return struct.pack(">II", len(head), len(body)) + head + body


def _columns(*values: Sequence[object], images: bool = False) -> bytes:
    """Values as a process in the sandbox sends them, each as a column."""
    most = OpenFile(file=0, characters=20, image_bytes=20)
    parts = [part for one in values for part in packed(arrow.array(one), most, image=images)]
    rows = Rows(rows=len(values[0]), columns=tuple(column for column, _ in parts))
    return _message(rows.encode(), b"".join(bytes(one) for _, content in parts for one in content))


_COLUMNS = [
    _columns(["a cat", None, "a dög"], [1, None, 3], [True, False, None], [0.5, 1.5, None]),
    _columns([["a", "b"], None, []], [b"a", b"b", None], ["x" * 30, "", "y"]),
    _columns([{"bytes": b"123", "path": None}, {"bytes": None, "path": "a.png"}], images=True),
]
_TASK = TaskDescription(
    store="s3://a/b",
    run="r",
    stage="embed",
    params={"a": [1, None]},
    inputs={"collect": "0" * 64},
    completions=2,
    units=("a", "b"),
)
_RECORD = record_of("train-00000")
_CLAIM = Claim(1, datetime(2026, 11, 22, 3, tzinfo=UTC), "s3://a/b", ("a.png", "b.png"))
_CSV = b'id,prompt\n1,"a ""big"" cat,\nin two lines"\n2,dog\n'
_ROWS = {"prompt": ["a cat", "a dog", None], "image_name": ["1", "2", "3"], "prompt_nsfw": [0.1, 0.9, None]}
PARQUETS = [
    table(_ROWS),
    table(_ROWS, compression="zstd", use_dictionary=False),
    table({**_ROWS, "prompt": [b"a", b"b", None]}),
]
_BOM_TEXT = "\ufeffa cat\r\n\n a   dög \na cat".encode()
_RLE = b"\x08\5\0\0" * 8 + b"\0\1"
_INTERLACED = chunk(b"IDAT", zlib.compress(bytes(79)))  # the seven passes of 8 x 8 pixels of a byte, and their filters
_PNGS = [
    PNG,
    png(8, 8),
    png(8, 8, colour=3, methods=b"\0\0\1", data=_INTERLACED),
    png(8, 8, bits=16, colour=6),
    encoded(Image.new("1", (9, 9)), "PNG"),
]

ENTRIES: dict[str, Entry] = {
    "tar": Entry(lambda data: list(read_tar(data)), [_tar()]),
    "npy": Entry(from_npy, [npy_field(np.arange(9, dtype=np.float32)), npy_field(np.zeros((2, 3), ">f8"))]),
    "sample": Entry(
        lambda data: TypedSample(Sample("a", {"json": data, "txt": data}), Origin).value,
        [Origin(source="a", row=1).encode(), json_field({"source": "a", "row": 3, "image": None, "score": 0.5})],
    ),
    "task": Entry(
        lambda data: TaskDescription.from_variable(data.decode("latin-1")),
        [_TASK.to_variable().encode(), _TASK.model_copy(update={"units": ("u" * 99,) * 999}).to_variable().encode()],
    ),
    "record": Entry(CommitRecord.decode, [_RECORD.encode()]),
    "manifest": Entry(Manifest.decode, [Manifest("embed", (_RECORD.outcome,) * 2).encode()]),
    "claim": Entry(lambda data: decode(_STORED, data, "it", "a claim"), [canonical_json(_CLAIM.values)]),
    "names": Entry(lambda data: names_in_json(data, "a.json"), [b'{"images": "x", "names": ["a.png", "b.png"]}']),
    "answers": Entry(
        lambda data: PIXELS.answer_in(received(data)[0]),
        [
            _message(Undecodable(message="a.png: no", reason="no").encode(), b""),
            _message(Failed(error="ValueError: no", out_of_memory=False).encode(), b""),
            _message(Decoded(width=8, height=8).encode(), b"x" * 99),
            _message(Decoded(width=8, height=8, thumbnail=(4, 4)).encode(), b"x" * 99),
        ],
        (frames.BrokenOffPipe,),
    ),
    "columns": Entry(columns_received, _COLUMNS, (frames.BrokenOffPipe, Died)),
    "png": Entry(lambda data: decode_foreign(data, "a", _LIMITS), _PNGS, repair=with_right_sums),
    "jpeg": Entry(lambda data: decode_foreign(data, "a", _LIMITS), [JPEG, PROGRESSIVE]),
    "webp": Entry(lambda data: decode_foreign(data, "a", _LIMITS), [WEBP, ANIMATED]),
    "gif": Entry(lambda data: decode_foreign(data, "a", _LIMITS), [GIF]),
    "tiff": Entry(
        lambda data: decode_foreign(data, "a", _LIMITS), [TIFF, DEFLATED, TIFF_OF_JPEG, page(8, 8, bytes(192))]
    ),
    "bmp": Entry(lambda data: decode_foreign(data, "a", _LIMITS), [BMP, bmp(8, 8, _RLE, bits=8, compression=1)]),
    "avif": Entry(lambda data: decode_foreign(data, "a", _LIMITS), [AVIF, TURNED["avif"]]),
    "heic": Entry(lambda data: decode_foreign(data, "a", _LIMITS), [HEIC, TURNED["heic"]]),
    "exif": Entry(orientation_in, [with_exif(6), with_exif(3, "<")]),
    "profile": Entry(lambda data: in_srgb(Image.new("RGB", (2, 2)), data), [DISPLAY_P3, SRGB]),
    "grey profile": Entry(lambda data: in_srgb(Image.new("L", (2, 2)), data), [GREY_GAMMA]),
    "text": Entry(partial(rows_of, "text"), ["a cat\r\n\n a   dög \na cat\n".encode()]),
    "csv": Entry(partial(rows_of, "csv"), [_CSV, b"prompt\n" + b"a cat\n" * 20]),
    "tsv": Entry(partial(rows_of, "tsv"), [b'prompt\tkind\n"a cat\treal\n']),
    "jsonl": Entry(partial(rows_of, "jsonl"), [b'{"file_name": "1.png", "prompt": "a cat"}\n\n{"prompt": "a dog"}\n']),
    "json": Entry(
        partial(rows_of, "json"), [b'[{"text": "1", "prompt": "a cat"},\n "a dog", {"prompt": "a"}]', b"[1,]"]
    ),
    "diffusiondb part": Entry(
        partial(rows_of, "diffusiondb", name="a.json"),
        [b'{"1.png": {"p": "a cat", "se": 1, "c": 7.0, "st": 50, "sa": "x"}}'],
    ),
    "multi-prompt": Entry(
        partial(rows_of, "text2image-multi-prompt", name="a.csv"), [b'text,src_dataset\n"a, cat",b\n\na dog,c\n']
    ),
    "utf-16": Entry(partial(rows_of, "csv"), ["prompt,n\na cat,1\na dog 🦊,2\n".encode("utf-16")]),
    "captions": Entry(partial(rows_of, "conceptual-captions"), [b"a cat .\thttp://x/1.jpg\na dog .\thttp://x/2.jpg\n"]),
    "gzip": Entry(
        partial(rows_of, "text", name="a.txt.gz"),
        [gzip.compress(b"a cat\na dog\n" * 50, mtime=0), gzip.compress(b"", mtime=0)],
    ),
    "text table": Entry(partial(table_copied, "a.txt"), [_BOM_TEXT]),
    "csv table": Entry(partial(table_copied, "a.csv"), [_CSV, b"prompt\n" + b"a cat\n" * 20]),
    "json table": Entry(partial(table_copied, "a.jsonl"), [b'{"n": 1, "prompt": "a cat"}\n\n{"prompt": "a dog"}\n']),
}
