"""Any image that Pillow opens as RGB of 8 bits: the one place where that is done. Free of numpy."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import cast

from PIL import Image, ImageChops

from jobs.imaging.limits import WHITE
from jobs.imaging.orientation import orientation_in, upright
from jobs.imaging.profiles import in_srgb

_PLAIN = frozenset(("L", "LA", "RGB", "RGBA", "CMYK"))
_STRAIGHT = {"La": "LA", "RGBa": "RGBA"}  # from colours that are multiplied by alpha
_GREY_BITS = {"1": 255, "L;2": 85, "L;4": 17}  # what Pillow multiplies grey of fewer bits by


def as_rgb(
    image: Image.Image, background: str = WHITE, check: Callable[[Image.Image], None] | None = None
) -> Image.Image:
    """An opened image as it is to be seen: RGB, upright, in sRGB, on a background ("#rrggbb") where it is transparent.

    Of 16 bits the upper 8 are taken, of grey as of colours. Other numbers, 32-bit and floating-point, are grey; white
    is the first of 1 (if floating-point), 255 and 65,535 that none exceeds, or else, and where some are negative, the
    greatest of them, and black the smallest. Raises what Pillow does where they cannot be decoded. The image is taken
    over: it may be returned itself, with other pixels, and without its metadata; `check` sees it as it is decoded.
    """
    scale, is_deep = _grey_scale(image), _is_deep(image)
    image.load()
    if check:
        check(image)
    profile, orientation = image.info.get("icc_profile"), orientation_in(image.info.get("exif") or b"")
    found = image if image.mode == "RGB" and "transparency" not in image.info else _plain(image, scale, is_deep)
    if profile:
        found = in_srgb(found, profile)
    if found.mode in ("LA", "RGBA"):
        behind = Image.new("RGB", found.size, background)
        behind.paste(found, mask=found)
        found = behind
    elif found.mode != "RGB":
        found = found.convert("RGB")
    found = upright(found, orientation)
    found.info = {}  # none of it is true of these pixels, and it would be written into files made of them
    return found


def _plain(image: Image.Image, scale: int, is_deep: bool) -> Image.Image:
    """The image in one of the modes L, LA, RGB, RGBA and CMYK, with all that is transparent in its alpha."""
    transparent = image.info.get("transparency")
    if image.mode.startswith("I;16"):
        return _upper_bytes(image, transparent if isinstance(transparent, int) else None)
    if image.mode in ("I", "F"):
        return _stretched(image)
    if image.mode in _STRAIGHT:
        return image.convert(_STRAIGHT[image.mode])
    if image.mode in ("1", "L"):
        grey = image.convert("L")
        if isinstance(transparent, int):
            grey.putalpha(_unless(grey, transparent * scale))
        return grey
    if image.mode == "RGB" and is_deep and isinstance(transparent, tuple):
        image.info["transparency"] = tuple(value >> 8 for value in transparent)
    if image.has_transparency_data:
        return image if image.mode in _PLAIN and transparent is None else image.convert("RGBA")
    return image if image.mode in _PLAIN else image.convert("RGB")


def _grey_scale(image: Image.Image) -> int:
    """By what the grey of a file is multiplied while it is decoded; the value that is transparent is not."""
    return next((_GREY_BITS[raw] for raw in _raw_modes(image) if raw in _GREY_BITS), 1)


def _is_deep(image: Image.Image) -> bool:
    """Whether the file, not decoded yet, has 16 bits a channel."""
    return any(";16" in raw for raw in _raw_modes(image))


def _raw_modes(image: Image.Image) -> list[str]:
    tiles = getattr(image, "tile", ())
    return [raw for *_, raw in tiles if isinstance(raw, str)]


def _upper_bytes(image: Image.Image, transparent: int | None) -> Image.Image:
    is_big = image.mode == "I;16B" or (image.mode == "I;16N" and sys.byteorder == "big")
    data = image.tobytes()
    upper = Image.frombytes("L", image.size, data, "raw", "L;16B" if is_big else "L;16")
    if transparent is not None:
        lower = Image.frombytes("L", image.size, data, "raw", "L;16" if is_big else "L;16B")
        alpha = ImageChops.lighter(_unless(upper, transparent >> 8), _unless(lower, transparent & 255))
        upper.putalpha(alpha)
    return upper


def _unless(grey: Image.Image, value: int) -> Image.Image:
    """Opaque wherever the grey is not that value."""
    return grey.point([0 if one == value else 255 for one in range(256)])


def _stretched(image: Image.Image) -> Image.Image:
    """Numbers of 32 bits as grey; raises ValueError where some are infinite or none."""
    least, most = cast(tuple[float, float], image.getextrema())
    if not (math.isfinite(least) and math.isfinite(most)):
        raise ValueError("it has pixels that are no finite numbers")
    whites = [white for white in (1.0, 255.0, 65_535.0) if most <= white and (white > 1 or image.mode == "F")]
    black, white = (0.0, whites[0]) if least >= 0 and whites else (least, max(most, math.nextafter(least, math.inf)))
    scale = 255 / (white - black)
    return image.point(lambda value: value * scale + (0.5 - black * scale)).convert("L")
