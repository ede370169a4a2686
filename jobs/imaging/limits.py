"""How much an untrusted image may take, and how images are resized. Free of Pillow: part of a stage's parameters."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from jobs.runtime.spec import Params

# Of files that are taken for images; which kind one is follows from its content.
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".tif", ".tiff", ".bmp", ".avif", ".heic", ".heif")
Filter = Literal["bicubic", "lanczos", "bilinear", "box"]
Colour = Annotated[str, Field(pattern="^#[0-9a-fA-F]{6}$"), AfterValidator(str.lower)]  # red, green, blue
WHITE: Colour = "#ffffff"
# How pixels are made of files; counted up when the same file gives other ones, for what is fingerprinted with it.
DECODING = 2


class ImageLimits(Params):
    """Limits for images that other people give; what exceeds one is a bad image. Generated images have none."""

    file_bytes: int = Field(default=64 << 20, ge=1)
    """A larger file is not read: 64 MiB hold a PNG of 16 million pixels that cannot be compressed at all."""

    pixels: int = Field(default=64 << 20, ge=1)
    """Width times height, 8192 x 8192 by default; larger ones would take more memory than `memory_mib`."""

    side: int = Field(default=65_535, ge=1)
    """Pixels of width or height, by default JPEG's own limit; every row takes memory, also one of a single pixel."""

    scans: int = Field(default=64, ge=1)
    """Scans of a JPEG. Usual are 1 to 13; each goes over the whole image again, for a hundred bytes of file."""

    scanned_pixels: int = Field(default=16 * (64 << 20), ge=1)
    """Pixels times scans of a JPEG, by default 16 scans of the largest image, about 4 s of one core."""

    parts: int = Field(default=65_536, ge=1)
    """Chunks of a PNG or WebP, segments and stray bytes of a JPEG, blocks of a GIF before its first frame, tags, strips
    and tiles of a TIFF, boxes of an AVIF or HEIC: 64 MiB of PNG in the usual 8 KiB have 8,192."""

    seconds: float = Field(default=10.0, gt=0)
    """CPU time for one image, five times what the largest usual one takes; its decoder is then ended. What is within
    the limits above takes less, so that the same images are refused on a slow machine."""

    memory_mib: int = Field(default=880, ge=64)
    """Memory of a decoder beside the program itself, which has 70 MiB. An image of 64 Mi pixels takes 330 to 590 MiB;
    CMYK in a TIFF takes 730, alpha with a colour profile and an orientation 850. A WebP takes 15 to 19 MiB for a
    million pixels."""
