"""Images as bytes: equal pixels and parameters give equal bytes."""

from __future__ import annotations

import io

from PIL import Image

from jobs.generate_images.stage import GenerateImagesParams
from jobs.imaging.decoding import FILTERS


def encode_image(image: Image.Image, params: GenerateImagesParams) -> bytes:
    """An RGB image in the stored size and format, without metadata."""
    side = (params.stored_size, params.stored_size)
    if image.size != side:
        image = image.resize(side, FILTERS[params.resize])
    file = io.BytesIO()
    if params.format == "png":
        image.save(file, "PNG", compress_level=6)
    elif params.format == "jpg":
        # 4:4:4, because halving the colours' resolution would undo what a quality of 95 is asked for.
        image.save(file, "JPEG", quality=params.quality, subsampling="4:4:4")
    else:
        image.save(file, "WEBP", quality=params.quality, lossless=params.quality == 100, method=4)
    return file.getvalue()


def encode_square(rgb: bytes, params: GenerateImagesParams) -> bytes:
    """The same of stored_size x stored_size x 3 bytes of RGB."""
    return encode_image(Image.frombytes("RGB", (params.stored_size, params.stored_size), rgb), params)
