"""One picture in every kind of file looks the same, to the trusted decoder as to the sandboxed one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from jobs.contract.samples import IMAGE_FIELDS
from jobs.errors import I2PError
from jobs.imaging.colour import as_rgb
from jobs.imaging.decoding import BadImage, decode, resized
from jobs.imaging.foreign import Decode, Thumbnail, _square, decoders
from jobs.imaging.kinds import HEIC, KINDS, kind_of
from jobs.imaging.limits import SUFFIXES, ImageLimits
from jobs.imaging.orientation import orientation_in
from jobs.imaging.pixel_service import Decoded, PixelsRequest
from jobs.imaging.untrusted import decode_foreign
from tests.hostile.images import encoded
from tests.hostile.later_images import SAVED, TIFF_OF_JPEG
from tests.image_files import DISPLAY_P3, in_colours_of, with_exif
from tests.image_kinds import ALL, ALPHA, COLOURS, ON_WHITE, PICTURE, transparent

LIMITS = ImageLimits()


def difference(image: Image.Image, other: Image.Image) -> float:
    """The mean of the absolute difference of all channels, of 255."""
    one, two = (np.asarray(each.convert("RGB")).astype(np.float64) for each in (image, other))
    return float(np.abs(one - two).mean()) if one.shape == two.shape else np.inf


@pytest.mark.parametrize("name", ALL)
def test_the_picture_is_seen_whatever_it_is_kept_in_and_whoever_decodes_it(name: str) -> None:
    case = ALL[name]
    trusted, foreign = decode(case.data, name), decode_foreign(case.data, name, LIMITS)
    assert (trusted.mode, trusted.size) == ("RGB", PICTURE.size)
    assert difference(trusted, case.shows) <= case.within
    assert (foreign.size, foreign.tobytes()) == (trusted.size, trusted.tobytes())
    assert trusted.info == foreign.info == {}


@pytest.fixture(scope="module")
def in_sandbox() -> Iterator[Decode]:
    with decoders(LIMITS, 1) as decode_:
        yield decode_


@pytest.mark.parametrize("name", ALL)
def test_a_confined_process_decodes_every_kind(name: str, in_sandbox: Decode) -> None:
    found = in_sandbox(ALL[name].data, name, 24)
    assert (found.width, found.height, found.thumbnail) == (*PICTURE.size, None)
    assert found.rgb == resized(decode(ALL[name].data, name), 24).tobytes()


# Backgrounds


@pytest.mark.parametrize("name", ALPHA)
def test_what_is_transparent_shows_the_background_and_no_hidden_colour(name: str, in_sandbox: Decode) -> None:
    data = ALPHA[name].data
    for background, colour in (("#ffffff", (255, 255, 255)), ("#102030", (16, 32, 48))):
        image = decode(data, name, background=background)
        right = np.asarray(image)[:, 56:].reshape(-1, 3).astype(int)
        assert np.abs(right - colour).max() <= 12 if name in ("avif", "heic") else (right == colour).all()
        left = difference(image.crop((0, 0, 40, 64)), ALPHA[name].shows.crop((0, 0, 40, 64)))
        assert left <= max(ALPHA[name].within, 1)
        assert in_sandbox(data, name, 8, background=background).rgb == resized(image, 8).tobytes()


def test_what_is_half_transparent_is_mixed_with_the_background() -> None:
    data = encoded(Image.new("RGBA", (4, 4), (200, 100, 0, 51)), "PNG")
    assert decode(data, "x", background="#000000").getpixel((0, 0)) == (40, 20, 0)
    assert decode(data, "x").getpixel((0, 0)) == (244, 224, 204)


def test_colours_that_are_multiplied_by_alpha_are_divided_again() -> None:
    assert difference(as_rgb(transparent().convert("RGBa")), ON_WHITE) == 0
    assert difference(as_rgb(transparent("LA").convert("La")), ON_WHITE.convert("L")) < 0.1


@pytest.mark.parametrize("background", ["white", "#fff", "#12345", "#1234567", "123456", "#12345g", ""])
def test_a_background_is_six_digits(background: str) -> None:
    with pytest.raises(ValidationError):
        PixelsRequest(name="x", size=8, background=background)
    assert PixelsRequest(name="x", size=8, background="#ABCDEF").background == "#abcdef"


# Thumbnails


@pytest.mark.parametrize(
    ("side", "size"), [(48, (48, 32)), (10, (10, 7)), (1, (1, 1)), (96, (96, 64)), (500, (96, 64))]
)
def test_a_thumbnail_is_of_the_whole_image_and_never_larger(
    side: int, size: tuple[int, int], in_sandbox: Decode
) -> None:
    data = COLOURS["png"].data
    found = in_sandbox(data, "x", 24, thumbnail=side)
    assert found.rgb == in_sandbox(data, "x", 24).rgb
    assert found.thumbnail
    assert (found.thumbnail.width, found.thumbnail.height) == size
    small = Image.frombytes("RGB", size, found.thumbnail.rgb)
    assert difference(small, PICTURE.resize(size, Image.Resampling.BICUBIC)) == 0


@pytest.mark.parametrize(
    ("thumbnail", "asked", "length"),
    [((4, 2), 4, 27), ((5, 2), 4, 42), ((0, 2), 4, 12), (None, 4, 12), ((4, 2), 0, 36), (None, 0, 13)],
)
def test_an_answer_of_other_sizes_than_asked_for_is_a_defect(
    thumbnail: tuple[int, int] | None, asked: int, length: int
) -> None:
    request = PixelsRequest(name="x", size=2, thumbnail=asked)
    with pytest.raises(I2PError):
        _square(Decoded(width=9, height=9, thumbnail=thumbnail), bytes(length), request)
    right = _square(
        Decoded(width=9, height=9, thumbnail=(4, 2)), bytes(36), PixelsRequest(name="x", size=2, thumbnail=4)
    )
    assert right.thumbnail == Thumbnail(bytes(24), 4, 2)


# Kinds and metadata


def test_a_kind_is_known_by_content_and_each_has_a_field_and_a_suffix() -> None:
    assert {kind.field for kind in KINDS} == set(IMAGE_FIELDS)
    assert {f".{kind.field}" for kind in KINDS} <= set(SUFFIXES)
    assert {kind_of(case.data) for case in ALL.values()} == set(KINDS)
    assert kind_of(SAVED["heic"][:8] + b"mif1" + SAVED["heic"][12:]) == HEIC
    for other in (b"", b"<svg/>", b"%PDF", b"\0\0\0\x18ftypmp42\0\0\0\0isommp42", b"P6 1 1 255 abc", b"\0\0\1\0"):
        assert kind_of(other) is None
        with pytest.raises(BadImage, match="x cannot be decoded: it begins as none of these does: PNG, JPEG") as error:
            decode(other, "x")
        assert error.value.reason == "no image that can be read, or a damaged one"


@pytest.mark.parametrize("order", ["<", ">"])
def test_an_orientation_is_read_and_nonsense_is_upright(order: str) -> None:
    whole = with_exif(6, order)
    assert orientation_in(whole) == orientation_in(whole.removeprefix(b"Exif\0\0")) == 6
    assert orientation_in(with_exif(9, order)) == orientation_in(with_exif(0, order)) == orientation_in(b"") == 1
    assert [orientation_in(whole[:size]) for size in range(24)] == [1] * 24


def test_a_profile_is_put_together_from_several_parts_of_a_jpeg() -> None:
    large = DISPLAY_P3 + bytes(200_000)
    large = len(large).to_bytes(4, "big") + large[4:]
    data = encoded(in_colours_of(PICTURE, DISPLAY_P3), "JPEG", quality=95, subsampling="4:4:4", icc_profile=large)
    assert difference(decode(data, "x"), PICTURE) < 4
    assert decode_foreign(data, "x", LIMITS).tobytes() == decode(data, "x").tobytes()


def test_numbers_of_32_bits_that_exceed_all_whites_reach_from_black_to_white() -> None:
    ramp = np.linspace(-3.0, 5.0, 96 * 64, dtype=np.float32).reshape(64, 96)
    assert decode(encoded(Image.fromarray(ramp), "TIFF"), "x").getextrema() == ((0, 255),) * 3
    flat = Image.fromarray(np.full((4, 4), -7.0, np.float32))
    assert decode(encoded(flat, "TIFF"), "x").getextrema() == ((0, 0),) * 3
    with pytest.raises(BadImage, match="no finite numbers"):
        decode(encoded(Image.fromarray(np.full((4, 4), np.nan, np.float32)), "TIFF"), "x")


# Whole and cut, small and too large


@pytest.mark.parametrize("kind", SAVED)
def test_a_file_that_is_cut_is_refused_wherever_it_is_cut(kind: str) -> None:
    whole = SAVED[kind]
    seen = decode_foreign(whole, "x", LIMITS).tobytes()
    for size in range(len(whole) // 40, len(whole), len(whole) // 40):
        try:
            found = decode_foreign(whole[:size], "x", LIMITS)
        except BadImage:
            continue
        assert (kind, found.tobytes()) == ("gif", seen), "nothing is missing but what ends the file"


def test_jpeg_within_a_tiff_is_looked_through_and_fax_is_not_read() -> None:
    assert difference(decode(TIFF_OF_JPEG, "x"), decode_foreign(TIFF_OF_JPEG, "x", LIMITS)) == 0
    broken = TIFF_OF_JPEG[:200] + bytes(1_000) + TIFF_OF_JPEG[1_200:]
    with pytest.raises(BadImage, match="JPEG"):
        decode_foreign(broken, "x", LIMITS)
    with pytest.raises(BadImage) as error:
        decode_foreign(encoded(PICTURE.convert("1"), "TIFF", compression="group4"), "x", LIMITS)
    assert error.value.reason == "a TIFF of a compression that is not read"


@pytest.mark.parametrize("kind", [*SAVED, "png"])
def test_limits_of_pixels_and_sides_hold_for_every_kind(kind: str) -> None:
    data = SAVED.get(kind) or encoded(Image.new("RGB", (64, 48)), "PNG")
    most = 64 * (64 if kind == "heic" else 48)  # HEIC is coded in blocks of 64 pixels
    decode_foreign(data, "x", ImageLimits(pixels=most, side=64))
    too_few = {"more than": ImageLimits(pixels=64 * 48 - 1), "a side of more than 63": ImageLimits(side=63)}
    for words, limits in too_few.items():
        with pytest.raises(BadImage) as error:
            decode_foreign(data, "x", limits)
        assert words in error.value.reason


@pytest.mark.parametrize("kind", ["gif", "tif", "avif", "heic"])
def test_a_limit_of_parts_holds(kind: str) -> None:
    data = encoded(PICTURE, "GIF", comment=bytes(2_000)) if kind == "gif" else SAVED[kind]
    with pytest.raises(BadImage) as error:
        decode_foreign(data, "x", ImageLimits(parts=5))
    assert error.value.reason == "a file of more than 5 chunks or segments"
