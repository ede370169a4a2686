"""Images as bytes: equal pixels and parameters give equal bytes."""

from __future__ import annotations

import io

from PIL import Image

from jobs.generate_images.stage import GenerateImagesParams

FILTERS = {
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "bilinear": Image.Resampling.BILINEAR,
    "box": Image.Resampling.BOX,
}


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
