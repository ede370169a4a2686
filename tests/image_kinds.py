"""One picture in every kind of file, with what is to be seen of each: colours, alpha, greys."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from jobs.imaging.profiles import in_srgb
from tests.hostile.images import encoded
from tests.image_files import (
    ADOBE_RGB,
    DISPLAY_P3,
    GREY_GAMMA,
    SRGB,
    TURNED,
    in_colours_of,
    png16,
    tiff_of_words,
    with_exif,
)

MAGENTA = (255, 0, 255)


def picture() -> Image.Image:
    """96 x 64: a red, a green, a blue and a yellow quarter, each brighter towards one corner, and a white spot."""
    down, across = np.mgrid[0:64, 0:96].astype(np.float64)
    light = 0.35 + 0.6 * (down / 64 + across / 96) / 2
    colours = np.array([[(230, 40, 50), (40, 190, 70)], [(40, 70, 220), (220, 210, 50)]])
    found = colours[(down >= 32).astype(int), (across >= 48).astype(int)] * light[..., None]
    found[8:20, 10:30] = 245
    return Image.fromarray(found.round().astype(np.uint8))


PICTURE = picture()
GREY = PICTURE.convert("L")


def transparent(mode: str = "RGBA") -> Image.Image:
    """The picture on the left; on the right magenta that is hidden: nothing is to be seen of it."""
    image = PICTURE.convert("RGBA")
    image.paste((*MAGENTA, 0), (48, 0, 96, 64))
    return image.convert(mode)


ON_WHITE = PICTURE.copy()
ON_WHITE.paste((255, 255, 255), (48, 0, 96, 64))


def palette_with_transparency() -> Image.Image:
    """The same of 255 colours and the hidden magenta."""
    image = PICTURE.quantize(255, dither=Image.Dither.NONE)
    colours = (image.getpalette() or [])[: 3 * 255]
    image.putpalette(colours + [0] * (3 * 255 - len(colours)) + list(MAGENTA))
    image.paste(255, (48, 0, 96, 64))
    return image


def in_lab(image: Image.Image) -> Image.Image:
    """In CIE L*a*b*."""
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    found = ImageCms.profileToProfile(image, *profiles, outputMode="LAB")
    assert found is not None
    return found


def words(image: Image.Image) -> NDArray[np.uint16]:
    """As numbers of 16 bits."""
    return np.asarray(image).astype(np.uint16) * 257


class Case(NamedTuple):
    """A file, the picture that it has to show, and by how much it may differ from that on average, of 255."""

    data: bytes
    shows: Image.Image = PICTURE
    within: float = 0.0


COLOURS = {
    "png": Case(encoded(PICTURE, "PNG")),
    "png interlaced alpha": Case(encoded(PICTURE.convert("RGBA"), "PNG")),
    "png 16-bit": Case(png16(words(PICTURE))),
    "png 16-bit alpha": Case(png16(np.dstack([words(PICTURE), np.full((64, 96), 65_535, np.uint16)]))),
    "png palette": Case(encoded(PICTURE.quantize(256), "PNG"), within=4),
    "png of Display P3": Case(encoded(in_colours_of(PICTURE, DISPLAY_P3), "PNG", icc_profile=DISPLAY_P3), within=1),
    "png of Adobe RGB": Case(encoded(in_colours_of(PICTURE, ADOBE_RGB), "PNG", icc_profile=ADOBE_RGB), within=1),
    "png of sRGB": Case(encoded(PICTURE, "PNG", icc_profile=SRGB)),
    "png of a broken profile": Case(encoded(PICTURE, "PNG", icc_profile=b"no profile" * 30)),
    "png of a profile for others": Case(encoded(PICTURE, "PNG", icc_profile=GREY_GAMMA)),
    "png turned": Case(encoded(TURNED[6](PICTURE), "PNG", exif=with_exif(6))),
    "jpeg": Case(encoded(PICTURE, "JPEG", quality=95, subsampling="4:4:4"), within=3),
    **{
        f"jpeg of orientation {number}": Case(
            encoded(turn(PICTURE), "JPEG", quality=95, subsampling="4:4:4", exif=with_exif(number)), within=3
        )
        for number, turn in TURNED.items()
    },
    "jpeg progressive": Case(encoded(PICTURE, "JPEG", quality=95, subsampling="4:4:4", progressive=True), within=3),
    "jpeg of two pictures": Case(
        encoded(PICTURE, "MPO", quality=95, save_all=True, append_images=[PICTURE.rotate(90)]), within=6
    ),
    "jpeg cmyk, inverted by Adobe": Case(encoded(PICTURE.convert("CMYK"), "JPEG", quality=95), within=6),
    "jpeg of Display P3": Case(
        encoded(in_colours_of(PICTURE, DISPLAY_P3), "JPEG", quality=95, subsampling="4:4:4", icc_profile=DISPLAY_P3),
        within=4,
    ),
    "gif": Case(encoded(PICTURE, "GIF"), within=6),
    "gif of frames": Case(
        encoded(PICTURE, "GIF", save_all=True, append_images=[PICTURE.rotate(90)] * 3, interlace=0), within=6
    ),
    **{
        f"tiff {compression}": Case(encoded(PICTURE, "TIFF", compression=compression))
        for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "lzma", "zstd")
    },
    "tiff jpeg": Case(encoded(PICTURE, "TIFF", compression="jpeg", quality=95), within=4),
    "tiff jpeg, cmyk": Case(encoded(PICTURE.convert("CMYK"), "TIFF", compression="jpeg", quality=95), within=6),
    "tiff 16-bit": Case(tiff_of_words(words(PICTURE))),
    "tiff 16-bit, big-endian": Case(tiff_of_words(words(PICTURE), order=">")),
    "tiff big": Case(encoded(PICTURE, "TIFF", big_tiff=True, compression="tiff_lzw")),
    "tiff of pages": Case(encoded(PICTURE, "TIFF", save_all=True, append_images=[PICTURE.rotate(90)])),
    "tiff turned": Case(encoded(TURNED[8](PICTURE), "TIFF", tiffinfo={274: 8})),
    "tiff turned, compressed": Case(encoded(TURNED[5](PICTURE), "TIFF", tiffinfo={274: 5}, compression="tiff_lzw")),
    "tiff cmyk": Case(encoded(PICTURE.convert("CMYK"), "TIFF")),
    "tiff lab": Case(encoded(in_lab(PICTURE), "TIFF"), within=2),
    "bmp": Case(encoded(PICTURE, "BMP")),
    "bmp palette": Case(encoded(PICTURE.quantize(256), "BMP"), within=4),
    "avif": Case(encoded(PICTURE, "AVIF", quality=95, subsampling="4:4:4"), within=4),
    "avif turned": Case(encoded(TURNED[6](PICTURE), "AVIF", quality=95, exif=with_exif(6)), within=5),
    "heic": Case(encoded(PICTURE, "HEIF", quality=95, chroma=444), within=4),
    "heic turned": Case(encoded(TURNED[6](PICTURE), "HEIF", quality=95, chroma=444, exif=with_exif(6)), within=5),
    "webp": Case(encoded(PICTURE, "WEBP", quality=95), within=6),
    "webp lossless": Case(encoded(PICTURE, "WEBP", lossless=True)),
    "webp turned": Case(encoded(TURNED[7](PICTURE), "WEBP", lossless=True, exif=with_exif(7))),
}
ALPHA = {
    "png": Case(encoded(transparent(), "PNG"), ON_WHITE),
    "png 16-bit": Case(png16(np.asarray(transparent()).astype(np.uint16) * 257), ON_WHITE),
    "png palette": Case(encoded(palette_with_transparency(), "PNG", transparency=255), ON_WHITE, within=5),
    "png of one transparent colour": Case(encoded(transparent().convert("RGB"), "PNG", transparency=MAGENTA), ON_WHITE),
    "png 16-bit of one transparent colour": Case(
        png16(words(transparent().convert("RGB")), transparency=tuple(257 * one for one in MAGENTA)), ON_WHITE
    ),
    "png of Display P3": Case(
        encoded(transparent(), "PNG", icc_profile=DISPLAY_P3),
        Image.composite(in_srgb(PICTURE.copy(), DISPLAY_P3), ON_WHITE, transparent().getchannel("A")),
    ),
    "gif": Case(encoded(palette_with_transparency(), "GIF", transparency=255), ON_WHITE, within=5),
    "tiff": Case(encoded(transparent(), "TIFF", compression="tiff_lzw"), ON_WHITE),
    "webp": Case(encoded(transparent(), "WEBP", lossless=True, exact=True), ON_WHITE),
    "avif": Case(encoded(transparent(), "AVIF", quality=95, subsampling="4:4:4"), ON_WHITE, within=5),
    "heic": Case(encoded(transparent(), "HEIF", quality=95, chroma=444), ON_WHITE, within=5),
}
GREYS = {
    "png": Case(encoded(GREY, "PNG"), GREY),
    "png 16-bit": Case(png16(words(GREY)), GREY),
    "png 16-bit of one transparent grey": Case(
        png16(np.where(np.arange(96) < 48, words(GREY), 0x1234).astype(np.uint16), transparency=(0x1234,)),
        ON_WHITE.convert("L"),
    ),
    "png of alpha": Case(encoded(transparent("LA"), "PNG"), ON_WHITE.convert("L"), within=0.1),
    "png 16-bit of alpha": Case(
        png16(np.asarray(transparent("LA")).astype(np.uint16) * 257), ON_WHITE.convert("L"), within=0.1
    ),
    "png of a gamma": Case(encoded(in_colours_of(GREY, GREY_GAMMA), "PNG", icc_profile=GREY_GAMMA), GREY, within=1),
    "jpeg": Case(encoded(GREY, "JPEG", quality=95), GREY, within=3),
    "jpeg of a gamma": Case(
        encoded(in_colours_of(GREY, GREY_GAMMA), "JPEG", quality=95, icc_profile=GREY_GAMMA), GREY, within=4
    ),
    "tiff 16-bit": Case(encoded(Image.fromarray(words(GREY)), "TIFF", compression="tiff_lzw"), GREY),
    "tiff 16-bit, big-endian": Case(tiff_of_words(words(GREY)[..., None], order=">"), GREY),
    "tiff 32-bit": Case(encoded(Image.fromarray(np.asarray(GREY).astype(np.int32)), "TIFF"), GREY),
    "tiff float": Case(encoded(Image.fromarray(np.asarray(GREY).astype(np.float32) / 255), "TIFF"), GREY),
    "tiff float of 255": Case(encoded(Image.fromarray(np.asarray(GREY).astype(np.float32)), "TIFF"), GREY),
    "bmp": Case(encoded(GREY, "BMP"), GREY),
}
ALL = {
    **{f"colours: {name}": case for name, case in COLOURS.items()},
    **{f"alpha: {name}": case for name, case in ALPHA.items()},
    **{f"grey: {name}": case for name, case in GREYS.items()},
}
