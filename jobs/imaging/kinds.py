"""The kinds of images that are read, told apart by their first bytes, whatever a file is called. Free of Pillow."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of image: its name in Pillow, Pillow's module for it, and the one of IMAGE_FIELDS that holds it."""

    name: str
    module: str
    field: str


PNG = Kind("PNG", "PIL.PngImagePlugin", "png")
JPEG = Kind("JPEG", "PIL.JpegImagePlugin", "jpg")
WEBP = Kind("WEBP", "PIL.WebPImagePlugin", "webp")
GIF = Kind("GIF", "PIL.GifImagePlugin", "gif")
TIFF = Kind("TIFF", "PIL.TiffImagePlugin", "tif")
BMP = Kind("BMP", "PIL.BmpImagePlugin", "bmp")
AVIF = Kind("AVIF", "PIL.AvifImagePlugin", "avif")
HEIC = Kind("HEIF", "pillow_heif", "heic")
KINDS = (PNG, JPEG, WEBP, GIF, TIFF, BMP, AVIF, HEIC)

_BEGINNINGS = (
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"\xff\xd8\xff", JPEG),
    (b"RIFF", WEBP),
    (b"GIF87a", GIF),
    (b"GIF89a", GIF),
    (b"II*\0", TIFF),
    (b"MM\0*", TIFF),
    (b"II+\0", TIFF),  # BigTIFF
    (b"MM\0+", TIFF),
    (b"BM", BMP),
)
_AVIF_BRANDS = frozenset((b"avif", b"avis"))
_HEIC_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"))
_MOST_BRANDS = 64


def kind_of(data: bytes) -> Kind | None:
    """The kind of an image from its bytes, or None where they begin as no image does that is read."""
    for beginning, kind in _BEGINNINGS:
        if data.startswith(beginning):
            return kind
    return _of_brands(data) if data[4:8] == b"ftyp" else None


def _of_brands(data: bytes) -> Kind | None:
    """The kind in a `ftyp` box: of its brand, or, where that stands for both (`mif1`), of the others that it names."""
    end = min(int.from_bytes(data[:4], "big"), 16 + 4 * _MOST_BRANDS)
    brands = [data[8:12], *(data[start : start + 4] for start in range(16, end, 4))]
    for brand in brands:
        if brand in _AVIF_BRANDS:
            return AVIF
        if brand in _HEIC_BRANDS:
            return HEIC
    return None
