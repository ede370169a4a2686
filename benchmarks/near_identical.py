"""How well near-identical pictures are recognised, beside two hashes: `python -m benchmarks.near_identical [FOLDER …]`

Copies of pictures are planted, changed as pictures are on their way. A way to compare is as good as few of them are
missed, while few pictures have another one at its threshold. The pictures are the demo's drawings of 64 pixels, a hard
case: many prompts differ in one phrase. Those of prompts that say the same phrases are the same picture, and not
counted. Folders of PNG files that are given are measured too; there pictures with any other one at the threshold are
counted, for nobody knows which of them are the same. Stored is what was measured of openclipart, too, drawn
by benchmarks/clipart with --size 256: two minutes of a core, half of them for the drawings.
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

from benchmarks.common import save
from jobs.compare_images.stage import CompareImagesParams
from jobs.imaging.decoding import decode, square
from jobs.imaging.likeness import signature
from jobs.synthetic import grammar
from jobs.synthetic.drawing import draw

NUM_DRAWINGS, NUM_COPIED = 2_500, 250
_BLOCK = 512  # pictures whose cosines with all others are in memory at once

Vectors = NDArray[np.float32]


def encoded(image: Image.Image, form: str, **options: Any) -> Image.Image:
    """The image as it comes back out of a file."""
    file = io.BytesIO()
    image.save(file, form, **options)
    return Image.open(io.BytesIO(file.getvalue())).convert("RGB")


def scaled(image: Image.Image, factor: float) -> Image.Image:
    """The image in another size."""
    return image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.BICUBIC)


def cropped(image: Image.Image, part: float) -> Image.Image:
    """The image without a part of its width and height, half of it on either side."""
    across, down = image.width * part / 2, image.height * part / 2
    box = (across, down, image.width - across, image.height - down)
    return image.resize(image.size, Image.Resampling.BICUBIC, box=box)


def marked(image: Image.Image) -> Image.Image:
    """The image with a grey label over 2 % of its square, low on the right."""
    left, _, right, bottom = square(image)
    side, copy = right - left, image.copy()
    label = Image.new("RGB", (round(side / 4), round(side / 12)), (128, 128, 128))
    x, y = round(right - 0.27 * side), round(bottom - 0.1 * side)
    box = (x, y, x + label.width, y + label.height)
    copy.paste(Image.blend(copy.crop(box), label, 0.6), box)
    return copy


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "scaled to 30 %": lambda image: scaled(image, 0.3),
    "scaled to 50 %": lambda image: scaled(image, 0.5),
    "scaled to 200 %": lambda image: scaled(image, 2),
    "JPEG of quality 30": lambda image: encoded(image, "JPEG", quality=30),
    "JPEG of quality 60": lambda image: encoded(image, "JPEG", quality=60),
    "JPEG of quality 95": lambda image: encoded(image, "JPEG", quality=95),
    "WebP of quality 50": lambda image: encoded(image, "WEBP", quality=50),
    "PNG of 32 colours": lambda image: encoded(image.quantize(32), "PNG"),
    "50 %, then JPEG of 50": lambda image: encoded(scaled(image, 0.5), "JPEG", quality=50),
    "brightness + 10 %": lambda image: ImageEnhance.Brightness(image).enhance(1.1),
    "brightness - 10 %": lambda image: ImageEnhance.Brightness(image).enhance(0.9),
    "contrast + 10 %": lambda image: ImageEnhance.Contrast(image).enhance(1.1),
    "contrast - 10 %": lambda image: ImageEnhance.Contrast(image).enhance(0.9),
    "cropped by 2 %": lambda image: cropped(image, 0.02),
    "cropped by 5 %": lambda image: cropped(image, 0.05),
    "label in a corner": marked,
    "border of 2 %": lambda image: ImageOps.expand(image, round(0.02 * min(image.size)), (0, 0, 0)),
}


def difference_hash(image: Image.Image) -> Vectors:
    """dHash (Krawetz 2013): whether a pixel is brighter than its left neighbour, of 9 x 8; 64 numbers of one length."""
    grey = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.LANCZOS, box=square(image)), np.int16)
    return _signs(grey[:, 1:] > grey[:, :-1])


def perceptual_hash(image: Image.Image) -> Vectors:
    """pHash as imagehash has it: whether one of the 8 x 8 lowest frequencies of 32 x 32 is above their median."""
    grey = np.asarray(image.convert("L").resize((32, 32), Image.Resampling.LANCZOS, box=square(image)), np.float64)
    low = (_COSINES @ grey @ _COSINES.T)[:8, :8]
    return _signs(low > np.median(low))


def _signs(bits: NDArray[np.bool_]) -> Vectors:
    """A unit vector; two of them have the cosine 1 - 2 h / 64, where h bits are different."""
    return np.where(bits, np.float32(1 / 8), np.float32(-1 / 8)).reshape(-1)


_COSINES = np.cos(np.pi * np.outer(np.arange(32), np.arange(32) + 0.5) / 32)

WAYS: dict[str, tuple[Callable[[Image.Image], Vectors], dict[str, float]]] = {
    "signature": (signature, {str(level): level for level in (0.95, 0.96, 0.97, 0.98, 0.99)}),
    "dHash": (difference_hash, {f"{bits} bits": 1 - bits / 32 for bits in (0, 2, 4, 6, 8)}),
    "pHash": (perceptual_hash, {f"{bits} bits": 1 - bits / 32 for bits in (0, 2, 4, 6, 8)}),
}


def main() -> None:
    prompts = list(dict.fromkeys(grammar.prompts(seed=1, start=0, count=NUM_DRAWINGS)))
    figures = {"drawings": measure([draw(prompt, size=64) for prompt in prompts], [said(one) for one in prompts])}
    for folder in map(Path, sys.argv[1:]):
        images = [decode(path.read_bytes(), path.name) for path in sorted(folder.rglob("*.png"))]
        figures[folder.name] = measure(images, range(len(images)))
    save("near_identical", {"threshold": CompareImagesParams().threshold, **figures}, libraries=("numpy", "pillow"))


def said(prompt: str) -> frozenset[str]:
    """The phrases of the grammar that are in a prompt."""
    return frozenset(phrase for phrases in grammar.SLOTS.values() for phrase in phrases if phrase in prompt)


def measure(images: Sequence[Image.Image], same: Sequence[Hashable]) -> dict[str, Any]:
    """Of each way and threshold, the percentage of copies that are missed, and of pictures with another one there.

    `same` is equal for pictures that are the same.
    """
    copied = Random(0).sample(range(len(images)), min(NUM_COPIED, len(images)))  # noqa: S311 - no secret
    copies = {name: [change(images[number]) for number in copied] for name, change in CHANGES.items()}
    groups = np.unique([hash(one) for one in same], return_inverse=True)[1]
    figures: dict[str, Any] = {"pictures": len(images), "copied": len(copied)}
    for name, (way, thresholds) in WAYS.items():
        started = time.process_time()
        vectors = vectors_of(images, way)
        seconds = time.process_time() - started
        closest = closest_others(vectors, groups)
        cosines = {change: (vectors_of(of, way) * vectors[copied]).sum(axis=1) for change, of in copies.items()}
        figures[name] = {
            "microseconds": round(1e6 * seconds / len(images)),
            "missed": {
                label: {change: percentage(found < level - 1e-6) for change, found in cosines.items()}
                for label, level in thresholds.items()
            },
            "with another": {label: percentage(closest >= level - 1e-6) for label, level in thresholds.items()},
        }
    return figures


def vectors_of(images: Sequence[Image.Image], way: Callable[[Image.Image], Vectors]) -> Vectors:
    """A vector for each, float32 of shape (n, d)."""
    return np.stack([way(image) for image in images])


def closest_others(vectors: Vectors, groups: NDArray[Any]) -> Vectors:
    """The cosine of each with the closest one of another group, float32 of shape (n,)."""
    closest = np.empty(len(vectors), np.float32)
    for start in range(0, len(vectors), _BLOCK):
        some = slice(start, start + _BLOCK)
        cosines = vectors[some] @ vectors.T
        cosines[groups[some, None] == groups] = -1
        closest[some] = cosines.max(axis=1)
    return closest


def percentage(those: NDArray[np.bool_]) -> float:
    """How many are true, in percent."""
    return round(100 * float(those.mean()), 2)


if __name__ == "__main__":
    main()
