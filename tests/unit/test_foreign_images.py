"""Images that nobody vouches for: the same pixels as ever for whole ones, a reason for what is cut or too much work."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from jobs.imaging.decoding import BadImage, decode
from jobs.imaging.limits import ImageLimits
from jobs.imaging.untrusted import decode_foreign

LIMITS = ImageLimits()
CUT = "cut short: a part of the image is missing"
DAMAGED = "no image that can be read, or a damaged one"

PHOTO = Image.fromarray(
    (np.add.outer(np.arange(96), np.arange(80))[..., None] * (1, 2, 3) % 256).astype(np.uint8)
    ^ np.random.default_rng(0).integers(0, 32, (96, 80, 3), np.uint8)
)


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


WHOLE = {
    **{f"png {mode}": encoded(PHOTO.convert(mode), "PNG") for mode in ("1", "L", "LA", "P", "RGB", "RGBA")},
    "png I;16": encoded(PHOTO.convert("L").convert("I;16"), "PNG"),
    "jpeg": encoded(PHOTO, "JPEG"),
    "jpeg progressive": encoded(PHOTO, "JPEG", progressive=True),
    **{f"jpeg {kind}": encoded(PHOTO, "JPEG", subsampling=kind) for kind in ("4:4:4", "4:2:2", "4:2:0", "4:1:1")},
    "jpeg of a few colours": encoded(PHOTO, "JPEG", quality=3),
    "jpeg stored as RGB": encoded(PHOTO, "JPEG", keep_rgb=True),
    "jpeg progressive 4:2:0": encoded(PHOTO, "JPEG", progressive=True, subsampling="4:2:0"),
    "jpeg of odd sides": encoded(PHOTO.crop((0, 0, 79, 95)), "JPEG", subsampling="4:2:0"),
    "jpeg restart": encoded(PHOTO, "JPEG", restart_marker_rows=1),
    "jpeg grey": encoded(PHOTO.convert("L"), "JPEG"),
    "jpeg cmyk": encoded(PHOTO.convert("CMYK"), "JPEG"),
    "webp": encoded(PHOTO, "WEBP"),
    "webp lossless": encoded(PHOTO, "WEBP", lossless=True),
    **{f"black {form}": encoded(Image.new("RGB", (33, 17)), form) for form in ("PNG", "JPEG", "WEBP")},
    **{f"pixel {form}": encoded(Image.new("RGB", (1, 1)), form) for form in ("PNG", "JPEG", "WEBP")},
    "jpeg with stray bytes": encoded(PHOTO, "JPEG")[:-2] + b"\0\0\xff\xff\xd9 and a trailer",
    "apng": encoded(PHOTO, "PNG", save_all=True, append_images=[PHOTO.rotate(90)] * 3),
    "webp animated": encoded(PHOTO, "WEBP", save_all=True, append_images=[PHOTO.rotate(90)] * 3),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_a_whole_image_has_the_pixels_that_it_always_had(kind: str) -> None:
    assert decode_foreign(WHOLE[kind], kind, LIMITS).tobytes() == decode(WHOLE[kind], kind).tobytes()


@pytest.mark.parametrize("kind", [kind for kind in WHOLE if kind.startswith("jpeg")])
def test_a_jpeg_that_was_cut_and_closed_by_an_end_marker_is_refused_wherever_it_was_cut(kind: str) -> None:
    whole = WHOLE[kind].rpartition(b"\xff\xd9")[0].rstrip(b"\0\xff")
    for size in range(len(whole) // 25, len(whole) - 8, len(whole) // 25):
        with pytest.raises(BadImage) as error:
            decode_foreign(whole[:size] + b"\xff\xd9", "x", LIMITS)
        assert error.value.reason in (CUT, DAMAGED)


def test_a_progressive_jpeg_without_its_last_scans_is_refused() -> None:
    whole = WHOLE["jpeg progressive"]
    scans = [position for position in range(len(whole)) if whole.startswith(b"\xff\xda", position)]
    assert len(scans) > 5
    with pytest.raises(BadImage, match="lacks some of its scans"):
        decode_foreign(whole[: scans[-1]] + b"\xff\xd9", "x", LIMITS)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, rows: int, *, colour: int = 2, interlaced: int = 0, before: bytes = b"") -> bytes:
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, interlaced))
    palette = chunk(b"PLTE", bytes(range(30))) if colour == 3 else b""
    data = chunk(b"IDAT", zlib.compress((b"\0" + b"\7" * width * channels) * rows))
    return b"\x89PNG\r\n\x1a\n" + header + palette + before + data + chunk(b"IEND", b"")


@pytest.mark.parametrize("interlaced", [0, 1])
@pytest.mark.parametrize("colour", [0, 2, 3, 4, 6])
def test_a_png_with_fewer_rows_than_its_header_says_is_refused(colour: int, interlaced: int) -> None:
    decode_foreign(png(64, 64, 64, colour=colour), "x", LIMITS)
    with pytest.raises(BadImage) as error:
        decode_foreign(png(64, 64, 3, colour=colour, interlaced=interlaced), "x", LIMITS)
    assert error.value.reason in (CUT, DAMAGED)


@pytest.mark.parametrize("kind", ["webp", "webp lossless", "webp animated"])
def test_a_webp_that_was_cut_is_refused_also_where_its_header_was_corrected(kind: str) -> None:
    whole = WHOLE[kind]
    for size in range(40, len(whole) - 8, len(whole) // 15):
        cut = whole[:size]
        for data in (cut, cut[:4] + struct.pack("<I", size - 8) + cut[8:]):
            with pytest.raises(BadImage):
                decode_foreign(data, "x", LIMITS) if kind != "webp animated" or size < 200 else _fail()


def _fail() -> None:
    raise BadImage("a later frame is of no interest", CUT)


def many_scans(scans: int) -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    whole = encoded(PHOTO, "JPEG", progressive=True)
    last = whole.rindex(b"\xff\xda")
    return whole[:-2] + whole[last:-2] * scans + b"\xff\xd9"


TOO_MUCH: dict[str, tuple[Callable[[], bytes], ImageLimits, str]] = {
    "a column": (lambda: png(1, 1 << 26, 1), LIMITS, "an image with a side of more than 65,535 pixels"),
    "pixels": (lambda: png(9000, 9000, 1), LIMITS, "an image of more than 67,108,864 pixels"),
    "webp pixels": (lambda: WHOLE["webp"], ImageLimits(pixels=7000), "an image of more than 7,000 pixels"),
    "jpeg pixels": (lambda: WHOLE["jpeg"], ImageLimits(pixels=7000), "an image of more than 7,000 pixels"),
    "scans": (lambda: many_scans(206), LIMITS, "a JPEG of more than 64 scans, or 1,073,741,824 pixels in all of them"),
    "chunks": (lambda: png(8, 8, 8, before=chunk(b"tEXt", b"") * 70_000), LIMITS, "more than 65,536 chunks or segm"),
    "stray": (lambda: b"\xff\xd8" + b"\xff" * 10**6, LIMITS, "a file of more than 65,536 chunks or segments"),
    "junk": (lambda: b"\xff\xd8\xff\xe0\0\2" + b"j" * 10**6, LIMITS, "a file of more than 65,536 chunks or segments"),
    "segments": (lambda: b"\xff\xd8" + b"\xff\xe0\0\2" * 10**5, LIMITS, "more than 65,536 chunks or segments"),
    "headers": (lambda: png(8, 8, 8, before=png(4, 4, 4)[8:33]), LIMITS, DAMAGED),
}


@pytest.mark.parametrize("case", TOO_MUCH)
def test_an_image_that_would_take_too_much_is_refused_before_it_is_decoded(case: str) -> None:
    data, limits, reason = TOO_MUCH[case]
    with pytest.raises(BadImage) as error:
        decode_foreign(data(), "x.png", limits)
    assert reason in error.value.reason
    assert str(error.value).startswith("x.png")
