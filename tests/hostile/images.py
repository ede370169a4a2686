"""Hostile images by name: what each is made of, and whether it has to be refused (None where either will do)."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

Make = Callable[[], bytes]
Hostile = tuple[str, Make, bool | None]  # file name, its bytes, whether it must be refused

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}

PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8))


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    """The image as a file."""
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


PNG, JPEG, WEBP = (encoded(PHOTO, form) for form in ("PNG", "JPEG", "WEBP"))
PROGRESSIVE = encoded(PHOTO, "JPEG", progressive=True)
ANIMATED = encoded(PHOTO, "WEBP", save_all=True, append_images=[PHOTO.rotate(turn) for turn in range(1, 40)])


def chunk(kind: bytes, content: bytes = b"", *, crc: int | None = None, size: int | None = None) -> bytes:
    """A chunk of a PNG, right or wrong."""
    crc = zlib.crc32(kind + content) if crc is None else crc
    return struct.pack(">I", len(content) if size is None else size) + kind + content + struct.pack(">I", crc)


def png(
    width: int,
    height: int,
    *,
    rows: int | None = None,
    bits: int = 8,
    colour: int = 2,
    methods: bytes = b"\0\0\0",
    before: bytes = b"",
    after: bytes = b"",
    data: bytes | None = None,
    filter_: int = 0,
    palette: bytes = bytes(30),
) -> bytes:
    """A PNG whose header says one thing and whose data may say another."""
    if data is None:
        row = bytes([filter_]) + b"\7" * ((width * bits * _CHANNELS.get(colour, 1) + 7) // 8)
        data = chunk(b"IDAT", zlib.compress(row * (height if rows is None else rows)))
    header = chunk(b"IHDR", struct.pack(">IIBB", width, height, bits, colour) + methods)
    plte = chunk(b"PLTE", palette) if colour == 3 and palette else b""
    return PNG_SIGNATURE + header + plte + before + data + after + chunk(b"IEND")


def segment(marker: int, content: bytes = b"", *, size: int | None = None) -> bytes:
    """A segment of a JPEG."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2 if size is None else size) + content


def scans(count: int, side: int | None = None) -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    whole = PROGRESSIVE if side is None else encoded(Image.new("L", (side, side), 9), "JPEG", progressive=True)
    last = whole.rindex(b"\xff\xda")
    return whole[:-2] + whole[last:-2] * count + b"\xff\xd9"


def resized(jpeg: bytes, height: int, width: int) -> bytes:
    """A JPEG that says it has another size."""
    position = max(jpeg.find(b"\xff\xc0"), jpeg.find(b"\xff\xc2")) + 5
    return jpeg[:position] + struct.pack(">HH", height, width) + jpeg[position + 4 :]


def without(jpeg: bytes, marker: int) -> bytes:
    """A JPEG that lacks the segments of a kind."""
    while (position := jpeg.find(bytes([0xFF, marker]))) >= 0:
        (size,) = struct.unpack_from(">H", jpeg, position + 2)
        jpeg = jpeg[:position] + jpeg[position + 2 + size :]
    return jpeg


def webp(*chunks: tuple[bytes, bytes], size: int | None = None) -> bytes:
    """A WebP of these chunks."""
    body = b"".join(kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2) for kind, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4 if size is None else size) + b"WEBP" + body


def vp8x(width: int, height: int, flags: int = 0) -> tuple[bytes, bytes]:
    """The chunk that declares a canvas."""
    return b"VP8X", bytes([flags, 0, 0, 0]) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")


def hostile_images() -> Iterator[Hostile]:
    """All of them; every name without its suffix is another."""
    for kind, images in (("png", _pngs()), ("jpeg", _jpegs()), ("webp", _webps())):
        for name, make, refused in images:
            yield f"{kind}-{name}", make, refused
    yield from _others()
    yield from _mutations(40)


def _pngs() -> Iterator[Hostile]:
    for width, height in (
        (1, 1 << 26),
        (1 << 26, 1),
        (65_535, 65_535),
        (2**31 - 1, 1),
        (1, 2**31 - 1),
        (8_193, 8_192),
        (20_000, 20_000),
        (65_536, 1),
        (1, 65_536),
        (0, 10),
        (10, 0),
        (2**32 - 1, 2**32 - 1),
    ):
        yield f"size-{width}x{height}.png", lambda w=width, h=height: png(w, h, rows=1, data=chunk(b"IDAT")), True
    yield "size-8192x8192-one-row.png", lambda: png(8_192, 8_192, rows=1), True
    yield "size-8192x8192-bomb.png", lambda: png(8_192, 8_192, colour=0), None
    for colour in _CHANNELS:
        for interlaced in (0, 1):
            for rows in (0, 3, 63):
                name = f"rows-{rows}-of-64-colour-{colour}-{interlaced}.png"
                yield (
                    name,
                    lambda c=colour, i=interlaced, r=rows: png(64, 64, rows=r, colour=c, methods=bytes([0, 0, i])),
                    (True if rows < 63 or not interlaced else None),
                )
    for bits, colour in ((1, 2), (3, 0), (16, 3), (8, 1), (8, 5), (8, 7), (0, 0), (255, 255)):
        yield f"bits-{bits}-colour-{colour}.png", lambda b=bits, c=colour: png(8, 8, bits=b, colour=c), True
    for bits, colour in ((1, 0), (2, 0), (4, 0), (16, 0), (1, 3), (2, 3), (4, 3), (16, 2), (16, 4), (16, 6)):
        yield f"bits-{bits}-good-{colour}.png", lambda b=bits, c=colour: png(8, 8, bits=b, colour=c), None
    for position, methods in (("compression", b"\1\0\0"), ("filter", b"\0\1\0"), ("interlace", b"\0\0\7")):
        yield f"method-{position}.png", lambda m=methods: png(8, 8, methods=m), None
    for filter_ in (1, 2, 3, 4, 5, 255):
        yield f"filter-{filter_}.png", lambda f=filter_: png(8, 8, filter_=f), True if filter_ > 4 else None
    stream = zlib.compress((b"\0" + bytes(range(24))) * 8)
    data = {
        "bad-header": b"\0\0" + stream[2:],
        "bad-sum": stream[:-4] + b"\0\0\0\0",
        "dictionary": b"\x78\x20" + stream[2:],
        "trailing": stream + b"x" * 100,
        "stored": zlib.compress((b"\0" + bytes(range(24))) * 8, 0),
        "none": b"",
    }
    for name, content in data.items():
        yield f"data-{name}.png", lambda c=content: png(8, 8, data=chunk(b"IDAT", c)), None
    yield "data-in-bytes.png", lambda: png(8, 8, data=b"".join(chunk(b"IDAT", bytes([one])) for one in stream)), None
    yield "data-empty-chunks.png", lambda: png(8, 8, data=chunk(b"IDAT") * 100_000 + chunk(b"IDAT", stream)), True
    yield (
        "data-apart.png",
        lambda: png(8, 8, data=chunk(b"IDAT", stream[:9]) + chunk(b"tEXt", b"a\0b") + chunk(b"IDAT", stream[9:])),
        True,
    )
    for kind in (b"IHDR", b"IDAT"):
        middle = PNG.index(kind) + 5
        yield f"flip-{kind.decode()}.png", lambda p=middle: PNG[:p] + bytes([PNG[p] ^ 64]) + PNG[p + 1 :], None
    yield "palette-none.png", lambda: png(8, 8, colour=3, palette=b""), None
    yield "palette-long.png", lambda: png(8, 8, colour=3, palette=bytes(3000)), None
    yield "palette-odd.png", lambda: png(8, 8, colour=3, palette=bytes(31)), None
    yield "palette-two.png", lambda: png(8, 8, before=chunk(b"PLTE", bytes(9)) * 2), None
    bomb = zlib.compress(bytes(200 << 20), 9)
    extra = {
        "ztxt-bomb": chunk(b"zTXt", b"a\0\0" + bomb),
        "itxt-bomb": chunk(b"iTXt", b"a\0\1\0\0\0" + bomb),
        "iccp-bomb": chunk(b"iCCP", b"a\0\0" + bomb),
        "ztxt-many": chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 20))) * 90,
        "exif": chunk(b"eXIf", b"MM\0*\0\0\0\x08\xff\xff" + bytes(1 << 20)),
        "text": chunk(b"tEXt", b"a" * (4 << 20)),
        "text-many": chunk(b"tEXt", b"a\0b") * 100_000,
        "trns": chunk(b"tRNS", bytes(100)),
        "trns-short": chunk(b"tRNS", b"\0"),
        "two-headers": PNG[8:33],
        "huge-chunk": chunk(b"teSt", b"", size=2**32 - 1),
        "private": chunk(b"abCD", bytes(99)),
        "critical": chunk(b"ABCD", bytes(99)),
        "no-name": chunk(b"\0\0\0\0", b"a"),
        "gama": chunk(b"gAMA", b""),
        "phys": chunk(b"pHYs", b"\0"),
        "chrm": chunk(b"cHRM", b""),
        "srgb": chunk(b"sRGB", b""),
        "iccp-name": chunk(b"iCCP", b"a"),
        "actl-none": chunk(b"acTL", bytes(8)),
        "actl-many": chunk(b"acTL", b"\x7f\xff\xff\xff\0\0\0\0"),
        "fctl-outside": chunk(b"acTL", b"\0\0\0\2\0\0\0\0")
        + chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 99, 99, 9, 9, 1, 1, 0, 0)),
        "fctl-small": chunk(b"acTL", b"\0\0\0\2\0\0\0\0")
        + chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 1, 1, 0, 0, 1, 1, 0, 0)),
        "fctl-order": chunk(b"acTL", b"\0\0\0\2\0\0\0\0")
        + chunk(b"fcTL", struct.pack(">IIIIIHHBB", 7, 8, 8, 0, 0, 1, 1, 0, 0)),
        "fdat-first": chunk(b"fdAT", b"\0\0\0\0" + stream),
    }
    for name, content in extra.items():
        yield (
            f"chunk-{name}.png",
            lambda c=content: png(8, 8, before=c),
            name
            in (
                "ztxt-bomb",
                "iccp-bomb",
                "ztxt-many",
                "text-many",
                "two-headers",
                "huge-chunk",
                "fctl-outside",
                "fctl-order",
            )
            or None,
        )
    yield "after-header.png", lambda: png(8, 8, after=PNG[8:33]), True
    yield "after-text.png", lambda: png(8, 8, after=chunk(b"zTXt", b"a\0\0" + bomb)), None
    yield "no-end.png", lambda: PNG[:-12], None
    yield (
        "frames.png",
        lambda: encoded(PHOTO, "PNG", save_all=True, append_images=[PHOTO.rotate(n) for n in range(1, 99)]),
        False,
    )
    for cut in range(1, 12):
        yield f"cut-{cut}.png", lambda c=cut: PNG[: len(PNG) * c // 12], True


def _jpegs() -> Iterator[Hostile]:
    for cut in range(1, 13):
        yield f"cut-{cut}.jpg", lambda c=cut: JPEG[: len(JPEG) * c // 13] + b"\xff\xd9", True
        yield f"cut-progressive-{cut}.jpg", lambda c=cut: PROGRESSIVE[: len(PROGRESSIVE) * c // 13] + b"\xff\xd9", True
        yield f"cut-open-{cut}.jpg", lambda c=cut: JPEG[: len(JPEG) * c // 13], True
    last = PROGRESSIVE.rindex(b"\xff\xda")
    yield "scan-missing.jpg", lambda: PROGRESSIVE[:last] + b"\xff\xd9", True
    yield "scans-206-large.jpg", lambda: scans(206, 8_000), True
    yield "scans-50-large.jpg", lambda: scans(50, 8_000), True
    for count in (10, 65, 1_000, 20_000):
        yield f"scans-{count}.jpg", lambda n=count: scans(n), count > 54 or None
    for height, width in ((65_535, 65_535), (0, 64), (48, 0), (65_500, 1_000), (8_000, 8_000), (1, 65_535)):
        yield f"size-{width}x{height}.jpg", lambda h=height, w=width: resized(JPEG, h, w), True
    for marker in (0xDB, 0xC4, 0xC0, 0xDA, 0xE0):
        yield f"without-{marker:x}.jpg", lambda m=marker: without(JPEG, m), None if marker in (0xC4, 0xE0) else True
    for marker in (0xC1, 0xC2, 0xC3, 0xC5, 0xC7, 0xC9, 0xCA, 0xCB, 0xCF):
        yield f"frame-{marker:x}.jpg", lambda m=marker: JPEG.replace(b"\xff\xc0", bytes([0xFF, m])), None
    frame = JPEG.index(b"\xff\xc0") + 4
    for bits in (0, 1, 12, 16, 255):
        yield f"bits-{bits}.jpg", lambda b=bits: JPEG[:frame] + bytes([b]) + JPEG[frame + 1 :], True
    for components in (0, 2, 4, 255):
        yield (
            f"components-{components}.jpg",
            lambda c=components: JPEG[: frame + 5] + bytes([c]) + JPEG[frame + 6 :],
            True,
        )
    yield "two-frames.jpg", lambda: JPEG[: frame - 4] + JPEG[frame - 4 : frame + 15] * 2 + JPEG[frame + 15 :], True
    first = {
        "fill": b"\xff" * 10**6,
        "junk": b"j" * 10**6,
        "segments": segment(0xE5) * 10**5,
        "short": segment(0xE5, size=0),
        "one": segment(0xE5, size=1),
        "long": segment(0xE5, size=65_535),
        "exif": segment(0xE1, b"Exif\0\0" + bytes(65_000)) * 200,
        "icc": b"".join(segment(0xE2, b"ICC_PROFILE\0" + bytes([n, 255]) + bytes(65_000)) for n in range(1, 256)),
        "icc-wrong": segment(0xE2, b"ICC_PROFILE\0\7\1"),
        "icc-short": segment(0xE2, b"ICC_PROFILE\0"),
        "exif-cycle": segment(0xE1, b"Exif\0\0MM\0*\0\0\0\x08\0\1\x87\x69\0\4\0\0\0\1\0\0\0\x08\0\0\0\x08"),
        "exif-huge": segment(0xE1, b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\1\x1a\0\5\xff\xff\xff\xff\0\0\0\0" * 99),
        "jfif-short": segment(0xE0, b"JFIF\0"),
        "adobe": segment(0xEE, b"Adobe"),
        "photoshop": segment(0xED, b"Photoshop 3.0\0" + b"8BIM\3\xed\0\0\0\0\0\1a"),
        "mpf": segment(0xE2, b"MPF\0" + bytes(40)),
        "dnl": segment(0xDC, b"\0\1"),
        "dac": segment(0xCC, bytes(4)),
        "dri": segment(0xDD, b"\0\1"),
        "dqt": segment(0xDB, b"\0"),
        "dqt-16": segment(0xDB, b"\x10" + bytes(128)),
        "dht": segment(0xC4, b"\0" + b"\xff" * 16),
        "com": segment(0xFE, b"<script>" * 100),
        "restarts": b"\xff\xd0" * 50_000,
    }
    for name, content in first.items():
        yield (
            f"first-{name}.jpg",
            lambda c=content: JPEG[:2] + c + JPEG[2:],
            name in ("fill", "junk", "segments") or None,
        )
    data = JPEG.index(b"\xff\xda") + 14
    yield "data-restart.jpg", lambda: JPEG[: data + 99] + b"\xff\xd3" + JPEG[data + 99 :], True
    yield "data-none.jpg", lambda: JPEG[:data] + b"\xff\xd9", True
    yield "data-fill.jpg", lambda: JPEG[:data] + b"\xff" * 2_000_000 + JPEG[data:], None
    for mode in ("L", "CMYK"):
        yield f"mode-{mode}.jpg", lambda m=mode: encoded(PHOTO.convert(m), "JPEG"), False
    yield "polyglot-html.jpg", lambda: JPEG[:2] + segment(0xFE, b"<html><script>alert(1)</script>") + JPEG[2:], False
    yield "polyglot-zip.jpg", lambda: JPEG + b"PK\5\6" + bytes(18), False


def _webps() -> Iterator[Hostile]:
    for cut in range(1, 9):
        size = len(WEBP) * cut // 9
        yield f"cut-{cut}.webp", lambda s=size: WEBP[:s], True
        yield f"cut-declared-{cut}.webp", lambda s=size: WEBP[:4] + struct.pack("<I", s - 8) + WEBP[8:s], True
    photo = WEBP[20:]
    cases: dict[str, tuple[bytes, bool | None]] = {
        "canvas": (webp(vp8x(1 << 24, 1 << 24), (b"VP8 ", photo)), True),
        "canvas-16383": (webp(vp8x(16_383, 16_383), (b"VP8 ", photo)), True),
        "canvas-8192": (webp(vp8x(8_192, 8_192), (b"VP8 ", photo)), None),
        "canvas-column": (webp(vp8x(1, 1 << 24), (b"VP8 ", photo)), True),
        "canvas-animated": (
            webp(
                vp8x(8_192, 8_192, 2),
                (b"ANIM", bytes(6)),
                (b"ANMF", bytes(16) + b"VP8 " + struct.pack("<I", len(photo)) + photo),
            ),
            None,
        ),
        "frame-size": (webp((b"VP8 ", photo[:6] + b"\xff\x3f\xff\x3f" + photo[10:])), True),
        "lossless-size": (webp((b"VP8L", b"\x2f" + b"\xff" * 4 + bytes(20))), True),
        "lossless-junk": (webp((b"VP8L", b"\x2f" + bytes(4) + b"\xaa" * 4000)), None),
        "alpha-junk": (webp(vp8x(64, 48, 16), (b"ALPH", b"\1" + b"\xaa" * 99), (b"VP8 ", photo)), None),
        "declared-most": (webp((b"VP8 ", photo), size=2**32 - 1), True),
        "declared-none": (webp((b"VP8 ", photo), size=0), None),
        "profile": (webp(vp8x(64, 48, 32), (b"ICCP", bytes(4 << 20)), (b"VP8 ", photo)), None),
        "chunks": (webp(*[(b"ABCD", b"")] * 100_000, (b"VP8 ", photo)), True),
        "no-frames": (webp(vp8x(64, 48, 2), (b"ANIM", bytes(6))), True),
        "wave": (b"RIFF\x24\0\0\0WAVEfmt " + bytes(40), True),
        "frames": (ANIMATED, False),
    }
    for name, (content, refused) in cases.items():
        yield f"{name}.webp", lambda c=content: c, refused


def _others() -> Iterator[Hostile]:
    for form in ("GIF", "BMP", "TIFF", "ICO", "PPM", "TGA", "PCX", "EPS"):
        yield f"renamed-{form}.png", lambda f=form: encoded(PHOTO, f), form not in ("GIF", "BMP", "TIFF")
    texts = {
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>",
        "html": b"<html>",
        "elf": b"\x7fELF" + bytes(99),
        "zip": b"PK\5\6" + bytes(18),
        "pdf": b"%PDF-1.7\n",
        "empty": b"",
        "one": b"\x89",
        "magic": PNG_SIGNATURE,
        "soi": b"\xff\xd8\xff",
        "riff": b"RIFF\4\0\0\0WEBP",
        "zeros": bytes(100_000),
        "ones": b"\xff" * 100_000,
        "gz": b"\x1f\x8b\x08" + bytes(9),
        "ps": b"%!PS\n(/etc/passwd) (r) file",
        "xbm": b"#define x_width 9\n",
        "lfs": b"version https://git-lfs.github.com/spec/v1\n",
    }
    for name, content in texts.items():
        yield f"bytes-{name}.jpeg", lambda c=content: c, True
    yield "swapped.png", lambda: JPEG, False
    yield "swapped-webp.jpg", lambda: WEBP, False
    yield "polyglot-zip.png", lambda: PNG + b"PK\5\6" + bytes(18), False
    for mode in ("1", "L", "LA", "P", "RGBA", "I;16"):
        image = PHOTO.convert("L").convert(mode) if mode == "I;16" else PHOTO.convert(mode)
        yield f"mode-{mode.replace(';', '-')}.png", lambda i=image: encoded(i, "PNG"), False
    names = (
        "__x",
        "a.b.c",
        "x" * 200,
        "2e7336dc8eba87ef472df568",
        "-rf",
        "..",
        " ",
        "\u202egnp",
        "a'\"`$(id)",
        "=cmd|x",
        "雪" * 40,
        "é",
        "e\u0301",
        "[link=evil]",
        "CON",
        "%2e%2e%2f",
        "a\\b",
        "sha256-" + "0" * 40,
    )
    for name in names:
        yield f"{name}.png", lambda: PNG, False


def _mutations(count: int) -> Iterator[Hostile]:
    for number in range(count):
        suffix, whole = (("png", PNG), ("jpg", JPEG), ("jpg", PROGRESSIVE), ("webp", WEBP))[number % 4]
        chance = random.Random(number)  # noqa: S311
        data = bytearray(whole)
        for _ in range(1 + number % 9):
            data[chance.randrange(len(data))] = chance.randrange(256)
        yield f"mutated-{number}.{suffix}", lambda d=bytes(data): d, None
