"""ICC profiles, which say what colours an image's numbers mean. https://www.color.org/specification/ICC.2-2023.pdf"""

from __future__ import annotations

import io
from functools import cache, lru_cache
from typing import cast

from PIL import Image, ImageChops, ImageCms

_SPACES = {"L": "GRAY", "LA": "GRAY", "RGB": "RGB", "RGBA": "RGB", "CMYK": "CMYK"}  # of a profile, by mode
_MOST_BYTES = 4 << 20  # of a profile that is used: a printer's has 0.5 to 2.5 MB, a camera's 0.5 to 3 KB
_STEP = 15  # between the numbers of which all combinations are tried
# Profiles that are called sRGB differ by so much from each other, of 255, in how their curves are rounded.
_SAME = 2


def in_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """The image in sRGB: as RGB, RGBA where it has alpha; perhaps the same object with other pixels.

    Left as it is where the profile is damaged, is for another mode than the image has (L, LA, RGB, RGBA or CMYK), has
    more than 4 MiB, or is that of sRGB itself within 2 of 255.
    """
    if image.mode not in _SPACES or len(profile) > _MOST_BYTES:
        return image
    transform = _transform(profile, image.mode)
    if transform is None:
        return image
    if image.mode == "LA":
        found = transform.apply(image.getchannel("L"))
        found.putalpha(image.getchannel("A"))
        return found
    return transform.apply_in_place(image) if image.mode in ("RGB", "RGBA") else transform.apply(image)


@lru_cache(maxsize=4)  # the images of a folder mostly have the same one, and making a transform takes 1 to 50 ms
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() != _SPACES[mode]:
            return None
        plain = mode.removesuffix("A")
        transform = ImageCms.buildTransform(source, _srgb(), plain, "RGB", ImageCms.Intent.PERCEPTUAL)
        if plain != "CMYK" and _changes_nothing(transform, plain):
            return None
        if mode == "RGBA":
            return ImageCms.buildTransform(source, _srgb(), mode, mode, ImageCms.Intent.PERCEPTUAL)
        return transform
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    swatches = _swatches(mode)
    differences = ImageChops.difference(transform.apply(swatches), swatches.convert("RGB")).getextrema()
    return all(most <= _SAME for _, most in cast(tuple[tuple[int, int], ...], differences))


@cache
def _swatches(mode: str) -> Image.Image:
    if mode == "L":
        return Image.frombytes("L", (256, 1), bytes(range(256)))
    steps = range(0, 256, _STEP)
    return Image.frombytes(
        "RGB", (len(steps) ** 2, len(steps)), bytes(c for r in steps for g in steps for b in steps for c in (r, g, b))
    )
