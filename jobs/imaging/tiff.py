"""TIFF, as far as to see how much a file is, and whether all of it is there. https://www.itu.int/itudoc/itu-t/com16/tiff-fx/docs/tiff6.pdf

Only the first page counts. libtiff refuses data that ends early, but for fax and JPEG: the first, which no pictures are
kept in, is not read; the other is looked through as JPEG itself is.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import simplejpeg

from jobs.imaging.decoding import DAMAGED, BadImage
from jobs.imaging.limits import ImageLimits
from jobs.imaging.sizes import CUT_SHORT, check_parts, check_size

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_NUMBERS = {1: "B", 3: "H", 4: "I", 16: "Q"}  # the types of whole numbers
_WIDTH, _HEIGHT, _COMPRESSION, _CHANNELS, _ROWS, _PLANES = 256, 257, 259, 277, 278, 284
_STRIPS, _STRIP_BYTES, _TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES = 273, 279, 322, 323, 324, 325
_JPEG_TABLES = 347
_BESIDE = (34665, 34853, 40965)  # where further tags are, which Pillow reads: EXIF's, GPS's, and what is within EXIF's
_DEEPEST = 3
_RAW, _JPEG = 1, 7
# None, LZW, JPEG, deflate (two numbers for one), PackBits, LZMA, Zstandard.
_READ = frozenset((_RAW, 5, _JPEG, 8, 32946, 32773, 34925, 50000))
_SCAN = b"\xff\xda"
_MOST_SCANS = 4  # of a baseline JPEG: one for each component

Range = tuple[int, int]  # where something begins and ends


@dataclass(frozen=True, slots=True)
class Tag:
    """The type of a tag's values, and where they are."""

    kind: int
    count: int
    start: int

    @property
    def size(self) -> int:
        """Bytes of the values."""
        return self.count * _SIZES.get(self.kind, 0)


def check_tiff(data: bytes, limits: ImageLimits) -> None:
    """Raise BadImage for a TIFF whose first page is too large, lacks a part, or is coded as none that is read."""
    try:
        page = Page(data, limits)
        page.check()
    except (struct.error, OverflowError) as error:
        raise BadImage(f"a TIFF that ends within its tags: {error}", DAMAGED) from error


class Page:
    """The tags of the first page."""

    def __init__(self, data: bytes, limits: ImageLimits) -> None:
        self._data, self._limits = data, limits
        self._order = "<" if data[:1] == b"I" else ">"
        self._is_big = 43 in data[2:4]
        self._tag_bytes = 0
        self._tags = self._read(self._unpack("Q", 8) if self._is_big else self._unpack("I", 4), 0)

    def check(self) -> None:
        """Raise BadImage; also struct.error where something lies outside of the file."""
        width, height = self._number(_WIDTH), self._number(_HEIGHT)
        check_size(width, height, self._limits)
        compression = self._number(_COMPRESSION, _RAW)
        if compression not in _READ:
            raise BadImage(f"a TIFF of compression {compression}", "a TIFF of a compression that is not read")
        is_tiled = _TILES in self._tags
        across = self._number(_TILE_WIDTH) if is_tiled else max(width, 1)
        down = self._number(_TILE_HEIGHT) if is_tiled else min(self._number(_ROWS, height), height)
        if not across or not down:
            raise BadImage("a TIFF of nothing", DAMAGED)
        check_size(across, down, self._limits)
        parts = self._parts(is_tiled)
        planes = self._number(_CHANNELS, 1) if self._number(_PLANES, 1) == 2 else 1
        if len(parts) < -(-width // across) * -(-height // down) * planes:
            raise BadImage(f"a TIFF of {width} x {height} with {len(parts)} strips or tiles", DAMAGED)
        if any(end > len(self._data) or start == end for start, end in parts):
            raise BadImage("a TIFF with strips or tiles outside of the file", CUT_SHORT)
        if compression == _JPEG:
            self._check_jpegs(parts, across * down)

    def _read(self, start: int, depth: int) -> dict[int, Tag]:
        """The tags there. All of their values together must fit into the file, as each of them is read for itself."""
        count, entry = (self._unpack("Q", start), 20) if self._is_big else (self._unpack("H", start), 12)
        check_parts(count, self._limits)
        first = start + (8 if self._is_big else 2)
        tags = dict(self._tag(position) for position in range(first, first + count * entry, entry))
        self._tag_bytes += sum(tag.size for tag in tags.values())
        if self._tag_bytes > len(self._data):
            raise BadImage("a TIFF whose tags are larger than the file", DAMAGED)
        if depth < _DEEPEST:
            for beside in _BESIDE:
                if beside in tags:
                    self._read(next(self._numbers(tags[beside])), depth + 1)
        return tags

    def _tag(self, position: int) -> tuple[int, Tag]:
        number, kind = self._unpack("H", position), self._unpack("H", position + 2)
        word, inside = ("Q", 8) if self._is_big else ("I", 4)
        count, start = self._unpack(word, position + 4), position + 4 + inside
        size = count * _SIZES.get(kind, 0)
        return number, Tag(kind, count, start if size <= inside else self._unpack(word, start))

    def _parts(self, is_tiled: bool) -> list[Range]:
        """Where the strips or tiles are."""
        starts, sizes = (_TILES, _TILE_BYTES) if is_tiled else (_STRIPS, _STRIP_BYTES)
        if starts not in self._tags or sizes not in self._tags:
            raise BadImage("a TIFF that does not say where its image is", DAMAGED)
        check_parts(self._tags[starts].count, self._limits)
        pairs = zip(self._numbers(self._tags[starts]), self._numbers(self._tags[sizes]), strict=False)
        return [(start, start + size) for start, size in pairs]

    def _check_jpegs(self, parts: list[Range], pixels: int) -> None:
        """Raise BadImage unless each strip or tile is a whole JPEG, of not more pixels than it should have."""
        tables = self._tags.get(_JPEG_TABLES)
        before = self._data[tables.start : tables.start + tables.size - 2] if tables else b""
        for start, end in parts:
            strip = before + self._data[start + 2 * bool(before) : end]
            try:
                height, width, space, _ = simplejpeg.decode_jpeg_header(strip, strict=False)
                if height * width > 2 * pixels or strip.count(_SCAN) > _MOST_SCANS:
                    raise BadImage("a TIFF with a JPEG that is not of its size", DAMAGED)
                space = "CMYK" if space in ("CMYK", "YCCK") else "GRAY"
                simplejpeg.decode_jpeg(strip, space, min_height=1, min_width=1, min_factor=8, strict=True)
            except KeyError as error:  # of a subsampling that the library has no name for
                raise BadImage(f"a TIFF with a JPEG of a rare subsampling: {error}", DAMAGED) from error
            except ValueError as error:
                raise BadImage(f"a TIFF whose JPEG is not whole: {error}", CUT_SHORT) from error

    def _number(self, tag: int, default: int | None = None) -> int:
        """The first number of a tag; raises BadImage where it is missing and has no default."""
        if tag not in self._tags:
            if default is None:
                raise BadImage(f"a TIFF without tag {tag}", DAMAGED)
            return default
        return next(self._numbers(self._tags[tag]))

    def _numbers(self, tag: Tag) -> Iterator[int]:
        letter = _NUMBERS.get(tag.kind)
        if letter is None or not tag.count:
            raise BadImage(f"a TIFF with a tag of type {tag.kind} in place of a number", DAMAGED)
        return iter(struct.unpack_from(f"{self._order}{tag.count}{letter}", self._data, tag.start))

    def _unpack(self, letter: str, position: int) -> int:
        return int(struct.unpack_from(self._order + letter, self._data, position)[0])
