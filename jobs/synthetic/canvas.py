"""Flat shapes and patterns painted on a grid of samples, in whole numbers only."""

from functools import lru_cache
from math import cos, pi, sin

import numpy as np
from numpy.typing import NDArray

# Lengths are in units, 4096 to the picture's side, and all arithmetic on them is on integers: a float may differ in its
# last bit from one machine to the next and flip a pixel.
SIDE = 4096
SAMPLES = 3  # along each side of a pixel, averaged, so that edges are smooth at 64 px

Colour = tuple[int, int, int]
Corners = tuple[tuple[int, int], ...]
Mask = tuple[slice, slice, NDArray[np.bool_]]
Canvas = NDArray[np.int16]


def _polar(count: int, *radii: int) -> Corners:
    """`count` corners at equal angles, the first straight up; corner k is `radii[k % len(radii)]` hundredths away."""
    angles = [2 * pi * k / count for k in range(count)]
    lengths = [10 * radii[k % len(radii)] for k in range(count)]
    return tuple(
        (round(length * sin(angle)), round(-length * cos(angle)))
        for length, angle in zip(lengths, angles, strict=True)
    )  # fmt: skip


def _pairs(*numbers: int) -> Corners:
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


# Corners around (0, 0), in thousandths of the radius.
SHAPES: dict[str, Corners] = {
    "triangle": _polar(3, 108),
    "octagon": _polar(8, 100, 76),
    "star": _polar(10, 108, 44),
    "disc": _polar(24, 92),
    "cross": _pairs(-330, -950, 330, -950, 330, -330, 950, -330, 950, 330, 330, 330,
                    330, 950, -330, 950, -330, 330, -950, 330, -950, -330, -330, -330),
    "heart": _pairs(0, -480, 250, -850, 600, -900, 900, -620, 900, -220,
                    0, 900, -900, -220, -900, -620, -600, -900, -250, -850),
    "flower": _polar(24, 104, 92, 60, 92),
    "moon": _pairs(-250, -950, 400, -800, 820, -300, 820, 300, 400, 800, -250, 950, 200, 480, 330, 0, 200, -480),
    "spark": _polar(8, 110, 36),
    "house": _pairs(0, -950, 850, -150, 600, -150, 600, 850, -600, 850, -600, -150, -850, -150),
    "diamond": _polar(4, 104),
    "fish": _pairs(-950, 0, -350, -600, 350, -450, 600, -120, 980, -600, 980, 600, 600, 120, 350, 450, -350, 600),
    "bolt": _pairs(250, -980, -650, 180, -60, 180, -250, 980, 650, -220, 80, -220),
    "gear": _polar(32, 100, 100, 72, 72),
}  # fmt: skip


def blank(size: int) -> Canvas:
    """An int16 canvas of (size * SAMPLES, size * SAMPLES, 3)."""
    return np.zeros((size * SAMPLES, size * SAMPLES, 3), np.int16)


def pixels(canvas: Canvas) -> NDArray[np.uint8]:
    """The canvas averaged to uint8 pixels, (size, size, 3)."""
    size = len(canvas) // SAMPLES
    sums: NDArray[np.int32] = canvas.reshape(size, SAMPLES, size, SAMPLES, 3).sum(axis=(1, 3), dtype=np.int32)
    return (sums // SAMPLES**2).astype(np.uint8)


def colour_in(canvas: Canvas, mask: Mask, colour: Colour) -> None:
    """Colour the samples in `mask`."""
    rows, columns, inside = mask
    canvas[rows, columns][inside] = colour


def stamp(canvas: Canvas, shape: str, x: int, y: int, radius: int, colour: Colour) -> None:
    """Paint one of SHAPES around (x, y), all in units."""
    colour_in(canvas, shape_mask(shape, x, y, radius, len(canvas)), colour)


def fill(canvas: Canvas, top: Colour, bottom: Colour) -> None:
    """Paint everything, from `top` above to `bottom` below."""
    y = _middles(len(canvas))[:, None]
    canvas[:] = ((np.array(top) * (SIDE - y) + np.array(bottom) * y) // SIDE)[:, None, :]


def tint(canvas: Canvas, colour: Colour, percent: int) -> None:
    """Mix `percent` of `colour` into what is painted so far."""
    canvas[:] = (canvas * (100 - percent) + np.array(colour, np.int16) * percent) // 100


def mix(colour: Colour, other: Colour, percent: int) -> Colour:
    """`colour` with `percent` of `other` in it."""
    red, green, blue = ((a * (100 - percent) + b * percent) // 100 for a, b in zip(colour, other, strict=True))
    return red, green, blue


@lru_cache(maxsize=512)  # the grammar's own shapes are fewer
def shape_mask(shape: str, x: int, y: int, radius: int, side: int) -> Mask:
    """The samples of a canvas of `side` that lie inside a shape: an odd number of its edges is to their right."""
    corners = [(x + radius * dx // 1000, y + radius * dy // 1000) for dx, dy in SHAPES[shape]]
    middles = _middles(side)
    columns, rows = (
        slice(*np.searchsorted(middles, (min(axis), max(axis) + 1)).tolist()) for axis in zip(*corners, strict=True)
    )
    across, down = middles[None, columns], middles[rows, None]
    inside = np.zeros((down.size, across.size), np.bool_)
    for (x1, y1), (x2, y2) in zip(corners, corners[1:] + corners[:1], strict=True):
        if y1 > y2:
            x1, y1, x2, y2 = x2, y2, x1, y1
        beside = (y1 <= down) & (down < y2)
        inside ^= beside & ((across - x1) * (y2 - y1) < (down - y1) * (x2 - x1))
    return rows, columns, inside


@lru_cache
def frame_mask(width: int, side: int) -> Mask:
    """The samples less than `width` units from the edge."""
    middles = _middles(side)
    far = (middles >= width) & (middles < SIDE - width)
    return slice(None), slice(None), ~(far[:, None] & far[None, :])


@lru_cache
def ground_mask(outline: str, side: int) -> Mask:
    """The samples below a named outline."""
    x, y = _middles(side)[None, :], _middles(side)[:, None]
    saw = abs(x % 1024 - 512)
    height = {
        "hills": 1500 - (x - 2048) ** 2 // 4000,
        "waves": 1000 + saw * (1024 - saw) // 800,
        "peaks": 700 + 2 * saw,
        "trunks": 800 + 2600 * (x % 820 < 260),
        "arches": 800 + 1600 * (saw > 330),
        "towers": 900 + x // 410 * 7 % 5 * 330,
        "mesas": 1000 + 800 * (x % 2048 < 1024),
        "stalls": 1100 + 500 * (x % 683 < 430),
    }[outline]
    return slice(None), slice(None), SIDE - y < height


TEXTURES = 6


def textured(mask: Mask, texture: int, period: int, side: int) -> Mask:
    """The part of `mask` that pattern number `texture`, repeated every `period` units, covers."""
    rows, columns, inside = mask
    return rows, columns, inside & _texture(texture, period, side)[rows, columns]


@lru_cache
def _texture(texture: int, period: int, side: int) -> NDArray[np.bool_]:
    x, y = _middles(side)[None, :], _middles(side)[:, None]
    off_centre = (x % period - period // 2) ** 2 + (y % period - period // 2) ** 2
    return (
        np.broadcast_to(y % period * 2 < period, (side, side)),
        np.broadcast_to(x % period * 2 < period, (side, side)),
        (x // (period // 2) + y // (period // 2)) % 2 == 0,
        (x + y) % period * 2 < period,
        off_centre * 10 < period**2,
        (off_centre * 5 > period**2) | (off_centre * 20 < period**2),
    )[texture]


@lru_cache
def _middles(side: int) -> NDArray[np.int32]:
    """The middle of each of `side` samples, in units."""
    return ((2 * np.arange(side, dtype=np.int32) + 1) * SIDE // (2 * side)).astype(np.int32)
