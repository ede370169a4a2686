"""Hostile GIF, TIFF, BMP, AVIF and HEIC, as images.py has those of other kinds."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence

from PIL import Image

from tests.hostile.images import JPEG, PHOTO, Hostile, encoded
from tests.image_files import with_exif

GIF, BMP, AVIF, HEIC = (encoded(PHOTO, form) for form in ("GIF", "BMP", "AVIF", "HEIF"))
TIFF = encoded(PHOTO, "TIFF", compression="tiff_lzw")
DEFLATED = encoded(PHOTO, "TIFF", compression="tiff_adobe_deflate")
TIFF_OF_JPEG = encoded(PHOTO, "TIFF", compression="jpeg")
SAVED = {
    "gif": GIF,
    "bmp": BMP,
    "avif": AVIF,
    "heic": HEIC,
    "tif": TIFF,
    "tiff": DEFLATED,
}
TURNED = {
    "avif": encoded(PHOTO.convert("RGBA"), "AVIF", exif=with_exif(6)),
    "heic": encoded(PHOTO.convert("RGBA"), "HEIF", exif=with_exif(5)),
}

Values = Sequence[int]


def tiff(tags: dict[int, tuple[int, Values]], data: bytes = b"", *, next_: int = 0) -> bytes:
    """A TIFF of these tags, {number: (type, values)}, whose data begins at byte 8; types are 3 and 4."""
    entries, beside = b"", b""
    start = 8 + len(data) + 2 + 12 * len(tags) + 4
    for number, (kind, values) in sorted(tags.items()):
        content = struct.pack(f"<{len(values)}{'H' if kind == 3 else 'I'}", *values)
        if len(content) > 4:
            content, beside = struct.pack("<I", start + len(beside)), beside + content
        entries += struct.pack("<HHI", number, kind, len(values)) + content.ljust(4, b"\0")
    table = struct.pack("<H", len(tags)) + entries + struct.pack("<I", next_)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + table + beside


def page(width: int, height: int, data: bytes, **changes: tuple[int, Values]) -> bytes:
    """A TIFF of RGB in one strip, with other tags where `tNUMBER` says so."""
    tags: dict[int, tuple[int, Values]] = {
        256: (4, (width,)),
        257: (4, (height,)),
        258: (3, (8, 8, 8)),
        259: (3, (1,)),
        262: (3, (2,)),
        273: (4, (8,)),
        277: (3, (3,)),
        278: (4, (height,)),
        279: (4, (len(data),)),
    }
    tags |= {int(name[1:]): value for name, value in changes.items()}
    return tiff(tags, data)


def bmp(width: int, height: int, data: bytes, *, bits: int = 24, compression: int = 0, colours: int = 0) -> bytes:
    """A BMP whose header says one thing and whose data may say another."""
    palette = bytes(4 * (colours or (256 if bits <= 8 else 0)))
    offset = 54 + len(palette)
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(data), 0, 0, colours, 0)
    return b"BM" + struct.pack("<IHHI", offset + len(data), 0, 0, offset) + head + palette + data


def box(kind: bytes, content: bytes = b"", *, size: int | None = None) -> bytes:
    """A box of an AVIF or HEIC."""
    return struct.pack(">I", len(content) + 8 if size is None else size) + kind + content


def later_images() -> Iterator[Hostile]:
    """All of them; every name without its suffix is another."""
    for suffix, whole in SAVED.items():
        for cut in range(1, 12):
            yield f"{suffix}-cut-{cut}.{suffix}", lambda w=whole, c=cut: w[: len(w) * c // 12], True
        yield f"{suffix}-whole.{suffix}", lambda w=whole: w, False
        yield f"{suffix}-trailer.{suffix}", lambda w=whole: w + bytes(99), None
    yield from _gifs()
    yield from _tiffs()
    yield from _bmps()
    yield from _boxes()


def _gifs() -> Iterator[Hostile]:
    screen, frame = GIF[:6], GIF.index(b",", 13 + 768)
    table = GIF[13 : 13 + 768]
    comment = b"\x21\xfe"
    for cut in range(1, 9):
        yield f"gif-closed-{cut}.gif", lambda c=cut: GIF[: frame + (len(GIF) - frame) * c // 9] + b"\0;", True
    cases: dict[str, tuple[bytes, bool | None]] = {
        "screen": (screen + b"\xff\xff\xff\xff" + GIF[10:], True),
        "frame-outside": (GIF[: frame + 1] + b"\xff\xff\xff\xff" + GIF[frame + 5 :], True),
        "frame-large": (GIF[: frame + 5] + b"\xff\xff\xff\xff" + GIF[frame + 9 :], True),
        "frame-none": (GIF[: frame + 5] + b"\0\0\0\0" + GIF[frame + 9 :], True),
        "no-frame": (GIF[:13] + table + b";", True),
        "comments": (GIF[:13] + table + comment + (b"\xff" + bytes(255)) * 5_000 + b"\0" + GIF[13 + 768 :], True),
        "comments-of-a-byte": (GIF[:13] + table + comment + b"\1x" * 70_000 + b"\0" + GIF[13 + 768 :], True),
        "extensions": (GIF[:13] + table + b"\x21\xf9\0" * 70_000 + GIF[13 + 768 :], True),
        "stray": (GIF[:13] + table + b"x" * 70_000 + GIF[13 + 768 :], True),
        "bits-255": (GIF[: frame + 10] + b"\xff" + GIF[frame + 11 :], True),
        "bits-1": (GIF[: frame + 10] + b"\1" + GIF[frame + 11 :], None),
        "old": (b"GIF87a" + GIF[6:], False),
        "frames": (encoded(PHOTO, "GIF", save_all=True, append_images=[PHOTO.rotate(n) for n in range(1, 60)]), False),
    }
    for name, (content, refused) in cases.items():
        yield f"gif-{name}.gif", lambda c=content: c, refused


def _tiffs() -> Iterator[Hostile]:
    photo = PHOTO.tobytes()
    strip = struct.unpack("<II", b"".join(TIFF_OF_JPEG[p + 8 : p + 12] for p in map(_entry, (273, 279))))
    cut_strip = TIFF_OF_JPEG[strip[0] : strip[0] + strip[1] // 2] + b"\xff\xd9"
    many = {number: (4, [0] * 5_000) for number in range(1_000, 1_400)}
    rows = zlib.compress(bytes(8_192 * 8_192 * 3), 9)
    cases: dict[str, tuple[bytes, bool | None]] = {
        "good": (page(64, 48, photo), False),
        "large": (page(65_535, 65_535, photo), True),
        "wide": (page(1 << 26, 1, photo), True),
        "no-pixels": (page(0, 48, photo), True),
        "no-strips": (page(64, 48, photo, t278=(4, (1,))), True),
        "no-rows": (page(64, 48, photo, t278=(4, (0,))), True),
        "strips-outside": (page(64, 48, photo, t273=(4, (1 << 30,))), True),
        "strips-empty": (page(64, 48, photo, t279=(4, (0,))), True),
        "strips-many": (page(64, 48, photo, t273=(4, (8,) * 70_000), t279=(4, (1,) * 70_000)), True),
        "strips-short": (page(64, 48, zlib.compress(photo)[:-40], t259=(3, (8,))), True),
        "planes": (page(64, 48, photo, t284=(3, (2,))), True),
        "tiles": (
            page(64, 48, photo, t322=(4, (1 << 30,)), t323=(4, (1 << 30,)), t324=(4, (8,)), t325=(4, (9,))),
            True,
        ),
        "tiles-of-nothing": (page(64, 48, photo, t322=(4, (0,)), t323=(4, (0,)), t324=(4, (8,)), t325=(4, (9,))), True),
        "channels": (page(64, 48, photo, t277=(3, (65_535,))), True),
        "bits": (page(64, 48, photo, t258=(3, (3, 5, 7))), True),
        "orientation": (page(64, 48, photo, t274=(3, (77,))), None),
        "colours": (page(64, 48, photo, t262=(3, (99,))), True),
        "exif-is-itself": (page(64, 48, photo, t34665=(4, (8 + len(photo),))), None),
        "exif-outside": (page(64, 48, photo, t34665=(4, (1 << 30,))), True),
        "bomb": (page(8_192, 8_192, rows, t259=(3, (8,))), None),
        "tags": (tiff(dict.fromkeys(range(65535), (4, (1,)))), True),
        "tags-of-the-same": (page(64, 48, photo, **{f"t{number}": value for number, value in many.items()}), None),
        "jpeg-whole": (TIFF_OF_JPEG, False),
        "jpeg-cut": (TIFF_OF_JPEG[: strip[0]] + cut_strip.ljust(strip[1], b"\0") + TIFF_OF_JPEG[sum(strip) :], True),
        "jpeg-other-size": (page(8, 8, JPEG, t259=(3, (7,)), t262=(3, (6,))), True),
        "jpeg-nonsense": (page(64, 48, photo, t259=(3, (7,))), True),
        "big-count": (b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 2**60) + bytes(99), True),
        "pages": (encoded(PHOTO, "TIFF", save_all=True, append_images=[PHOTO] * 40), False),
        "page-cycle": (tiff({256: (4, (1,))}, next_=8), True),
    }
    for number in (2, 3, 4, 6, 99, 34712, 50001, 65_535):
        cases[f"compression-{number}"] = page(64, 48, photo, t259=(3, (number,))), True
    for number in (5, 8, 32773, 34925, 50000):
        cases[f"nonsense-{number}"] = page(64, 48, photo, t259=(3, (number,))), None
    shared = page(64, 48, photo)
    count, at = 400, len(shared)
    shared = shared[:4] + struct.pack("<I", at) + shared[8:] + struct.pack("<H", count)
    shared += b"".join(struct.pack("<HHII", 1_000 + number, 7, at, 8) for number in range(count)) + bytes(4)
    cases["tags-of-the-whole-file"] = shared, True
    for name, (content, refused) in cases.items():
        yield f"tiff-{name}.tif", lambda c=content: c, refused


def _entry(tag: int) -> int:
    """Where the entry of a tag is in the TIFF of JPEG."""
    (start,) = struct.unpack_from("<I", TIFF_OF_JPEG, 4)
    (count,) = struct.unpack_from("<H", TIFF_OF_JPEG, start)
    entries = range(start + 2, start + 2 + 12 * count, 12)
    return next(one for one in entries if struct.unpack_from("<H", TIFF_OF_JPEG, one)[0] == tag)


def _bmps() -> Iterator[Hostile]:
    rows = bytes(24 * 8)
    line = b"\x08\5\0\0"  # eight pixels, and the end of the line
    cases: dict[str, tuple[bytes, bool | None]] = {
        "good": (bmp(8, 8, rows), False),
        "downwards": (bmp(8, -8, rows), False),
        "large": (bmp(65_535, 65_535, rows), True),
        "wide": (bmp(1 << 26, 1, rows), True),
        "least": (bmp(8, -(2**31), rows), True),
        "negative": (bmp(-8, 8, rows), True),
        "none": (bmp(0, 8, rows), True),
        "bits-3": (bmp(8, 8, rows, bits=3), True),
        "colours": (bmp(8, 8, rows, bits=8, colours=70_000), True),
        "png": (bmp(8, 8, rows, compression=5), True),
        "rle": (bmp(8, 8, line * 8 + b"\0\1", bits=8, compression=1), False),
        "rle-short": (bmp(8, 8, line * 3 + b"\0\1", bits=8, compression=1), True),
        "rle-cut": (bmp(8, 8, line * 3, bits=8, compression=1), True),
        "rle-large": (bmp(8_192, 8_192, b"\xff\5" * 99, bits=8, compression=1), True),
        "rle-long": (bmp(2_000, 2_000, b"\0\2\0\0" * 2_000_000, bits=8, compression=1), True),
        "rle4": (bmp(2_000, 2_000, b"\xff\x55" * 20_000, bits=4, compression=2), None),
        "header-0": (BMP[:14] + bytes(4) + BMP[18:], True),
        "header-long": (BMP[:14] + b"\xff\xff\xff\x7f" + BMP[18:], True),
        "offset": (BMP[:10] + b"\xff\xff\xff\x7f" + BMP[14:], True),
    }
    for name, (content, refused) in cases.items():
        yield f"bmp-{name}.bmp", lambda c=content: c, refused


def _boxes() -> Iterator[Hostile]:
    for suffix, whole in (("avif", AVIF), ("heic", HEIC)):
        size, head = whole.index(b"ispe") + 8, int.from_bytes(whole[:4], "big")
        data = whole.index(b"mdat") + 4
        nested = b""
        for _ in range(2_000):
            nested = box(b"meta", bytes(4) + nested)
        cases: dict[str, tuple[bytes, bool | None]] = {
            "size": (whole[:size] + b"\0\1\0\0\0\1\0\0" + whole[size + 8 :], True),
            "size-wide": (whole[:size] + b"\x04\0\0\0\0\0\0\1" + whole[size + 8 :], True),
            "size-other": (whole[:size] + b"\0\0\x0f\0\0\0\x0f\0" + whole[size + 8 :], None),
            "boxes": (whole[:head] + box(b"free") * 70_000 + whole[head:], True),
            "nested": (whole[:head] + nested + whole[head:], None),
            "box-short": (whole[:head] + box(b"free", size=7) + whole[head:], True),
            "box-long": (whole[:head] + box(b"free", size=2**31) + whole[head:], True),
            "box-longest": (whole[:head] + struct.pack(">I4sQ", 1, b"free", 2**63) + whole[head:], True),
            "only-kind": (whole[:head], True),
            "zeros": (whole[:data] + bytes(len(whole) - data), None),
            "ones": (whole[:data] + b"\xff" * (len(whole) - data), None),
            "turned": (TURNED[suffix], False),
            "brand": (whole[:8] + (b"heic" if suffix == "avif" else b"avif") + whole[12:], None),
            "brand-none": (whole[:8] + b"mp42" + bytes(4) + b"isom" * ((head - 16) // 4) + whole[head:], True),
        }
        for name, (content, refused) in cases.items():
            yield f"{suffix}-{name}.{suffix}", lambda c=content: c, refused
    grey = Image.new("L", (4_096, 4_096), 7)
    yield "avif-large.avif", lambda: encoded(grey, "AVIF", quality=10, speed=10), False
