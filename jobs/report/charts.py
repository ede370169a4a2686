"""Small charts as inline SVG; colours come from the page's style sheet, so they follow light and dark.

Every chart is `role="img"` with a label; the numbers behind it stand in a table or a caption beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

_LEFT, _RIGHT, _BOTTOM, _TOP = 62, 14, 40, 12  # space for ticks and labels, in the viewBox's units
_LABEL_ROW = 18
_BINS = 20
_EDGE = 1e-9  # a value on an edge belongs to the bin above it, whatever its last bit


@dataclass(frozen=True, slots=True)
class Bars:
    """One series of a histogram: counts of equal bins. `style` is a class of the style sheet."""

    style: str
    counts: Sequence[float]


@dataclass(frozen=True, slots=True)
class Frame:
    """The plotting area and its two scales."""

    width: int
    height: int
    x: tuple[float, float]
    y: tuple[float, float]
    top: int = _TOP

    def at_x(self, value: float) -> float:
        """The position of a value from left to right."""
        return round(_LEFT + _part(value, self.x) * (self.width - _LEFT - _RIGHT), 1)

    def at_y(self, value: float) -> float:
        """The position of a value from top to bottom."""
        return round(self.height - _BOTTOM - _part(value, self.y) * (self.height - _BOTTOM - self.top), 1)


@dataclass(frozen=True, slots=True)
class Mark:
    """A line at a value of the x axis, with its name and the value above it."""

    name: str
    style: str
    value: float


def histogram(
    series: Sequence[Bars],
    marks: Sequence[Mark],
    *,
    x: tuple[float, float],
    label: str,
    axis: str,
    unit: str,
    width: int = 460,
    height: int = 260,
) -> Markup:
    """Overlaid histograms over the range `x`, with lines at the marks."""
    highest = max((max(one.counts, default=0) for one in series), default=0)
    frame = Frame(width, height, x, (0, highest or 1), _TOP + _LABEL_ROW * len(marks))
    in_rows = sorted(
        marks, key=lambda mark: (_named_on_the_left(frame, mark), -mark.value)
    )  # names cross no other line
    drawn = [_axes(frame, axis, unit)]
    drawn += [_outline(frame, one) for one in series]
    drawn += [_mark(frame, one, row) for row, one in enumerate(in_rows)]
    drawn += [_mark_name(frame, one, row) for row, one in enumerate(in_rows)]
    return _svg(frame, label, drawn)


def line(
    points: Sequence[tuple[float, float]],
    *,
    style: str,
    label: str,
    axis: str,
    unit: str,
    width: int = 460,
    height: int = 230,
) -> Markup:
    """One curve through the points (x, y), none below zero."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    frame = Frame(width, height, (0, max(xs, default=1)), (0, max(ys, default=1)))
    positions = [f"{frame.at_x(x)},{frame.at_y(y)}" for x, y in points]
    drawn = [
        _axes(frame, axis, unit),
        Markup('<polyline class="line {}" points="{}"/>').format(style, " ".join(positions)),
    ]
    if points:
        last = Markup('<circle class="dot {}" cx="{}" cy="{}" r="3.5"/>')
        drawn.append(last.format(style, frame.at_x(xs[-1]), frame.at_y(ys[-1])))
    return _svg(frame, label, drawn)


def scatter(
    points: Sequence[tuple[float, float]],
    *,
    style: str,
    x: tuple[float, float],
    y: tuple[float, float],
    label: str,
    axis: str,
    unit: str,
    joined: bool = False,
    diagonal: bool = False,
    width: int = 460,
    height: int = 260,
) -> Markup:
    """A dot at each point (x, y), joined by lines if asked for; the diagonal is where both are equal."""
    frame = Frame(width, height, x, y)
    drawn = [_axes(frame, axis, unit)]
    if diagonal:
        low, high = max(x[0], y[0]), min(x[1], y[1])
        line_ = Markup('<path class="mark constant" d="M{} {}L{} {}"/>')
        drawn.append(line_.format(frame.at_x(low), frame.at_y(low), frame.at_x(high), frame.at_y(high)))
    if joined:
        positions = " ".join(f"{frame.at_x(left)},{frame.at_y(up)}" for left, up in points)
        drawn.append(Markup('<polyline class="line {}" points="{}"/>').format(style, positions))
    dot = Markup('<circle class="dot {}" cx="{}" cy="{}" r="3.5"/>')
    drawn += [dot.format(style, frame.at_x(left), frame.at_y(up)) for left, up in points]
    return _svg(frame, label, drawn)


def bins(values: Sequence[float], low: float, high: float, number: int = _BINS) -> list[int]:
    """How many values fall into each of `number` equal parts of [low, high]; what lies outside goes to the ends."""
    found = [0] * number
    for value in values:
        position = int((value - low) / (high - low) * number + _EDGE) if high > low else 0
        found[min(max(position, 0), number - 1)] += 1
    return found


def ticks(low: float, high: float, number: int = 5) -> list[float]:
    """About `number` round values within [low, high], in steps of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [low]
    rough = (high - low) / number
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [round(position * step, 12) for position in range(first, math.floor(high / step + 1e-9) + 1)]


def tick_texts(values: Sequence[float]) -> list[str]:
    """Ticks of one axis without needless zeros, all as powers of ten where they are small."""
    if 0 < max(map(abs, values), default=0) < 0.01:
        return [
            f"{value:.2e}".replace(".00e", "e").replace("0e", "e").replace("e-0", "e-") if value else "0"
            for value in values
        ]
    return [f"{value:,.4f}".rstrip("0").rstrip(".") for value in values]


def _part(value: float, scale: tuple[float, float]) -> float:
    low, high = scale
    return min(1.0, max(0.0, (value - low) / (high - low))) if high > low else 0.5


def _svg(frame: Frame, label: str, drawn: Sequence[Markup]) -> Markup:
    opening = Markup('<svg class="chart" role="img" aria-label="{}" viewBox="0 0 {} {}">')
    return opening.format(label, frame.width, frame.height) + Markup("").join(drawn) + Markup("</svg>")


def _axes(frame: Frame, axis: str, unit: str) -> Markup:
    bottom, right = frame.height - _BOTTOM, frame.width - _RIGHT
    drawn = []
    heights = ticks(*frame.y, number=4)
    for value, text in zip(heights, tick_texts(heights), strict=True):
        y = frame.at_y(value)
        if value:
            drawn.append(Markup('<path class="grid" d="M{} {}H{}"/>').format(_LEFT, y, right))
        drawn.append(Markup('<text x="{}" y="{}" class="end">{}</text>').format(_LEFT - 6, y + 4, text))
    drawn.append(Markup('<path class="axis" d="M{} {}H{}"/>').format(_LEFT, bottom, right))
    positions = ticks(*frame.x, number=max(3, frame.width // 70))
    for value, text in zip(positions, tick_texts(positions), strict=True):
        x = frame.at_x(value)
        drawn.append(Markup('<path class="axis" d="M{} {}v4"/>').format(x, bottom))
        drawn.append(Markup('<text x="{}" y="{}" class="mid">{}</text>').format(x, bottom + 17, text))
    middle = (_LEFT + right) / 2
    drawn.append(Markup('<text x="{}" y="{}" class="mid name">{}</text>').format(middle, frame.height - 4, axis))
    turned = Markup('<text transform="translate(10 {}) rotate(-90)" class="mid name">{}</text>')
    drawn.append(turned.format((frame.top + bottom) / 2, unit))
    return Markup("").join(drawn)


def _outline(frame: Frame, bars: Bars) -> Markup:
    low, high = frame.x
    part = (high - low) / max(1, len(bars.counts))
    path = [f"M{frame.at_x(low)} {frame.at_y(0)}"]
    for position, number in enumerate(bars.counts):
        path.append(f"V{frame.at_y(number)}H{frame.at_x(low + part * (position + 1))}")
    path.append(f"V{frame.at_y(0)}Z")
    return Markup('<path class="area {}" d="{}"/>').format(bars.style, "".join(path))


def _mark(frame: Frame, mark: Mark, row: int) -> Markup:
    drawn = Markup('<path class="mark {}" d="M{} {}V{}"/>')
    return drawn.format(mark.style, frame.at_x(mark.value), _TOP + _LABEL_ROW * row, frame.height - _BOTTOM)


def _named_on_the_left(frame: Frame, mark: Mark) -> bool:
    """Whether the name fits there, at a generous 7.5 units a letter."""
    return frame.at_x(mark.value) - 7.5 * (len(mark.name) + 6) > _LEFT


def _mark_name(frame: Frame, mark: Mark, row: int) -> Markup:
    x, y = frame.at_x(mark.value), _TOP + _LABEL_ROW * row
    left = _named_on_the_left(frame, mark)
    words = Markup('<text x="{}" y="{}" class="strong halo {}">{} {}</text>')
    return words.format(x - 6 if left else x + 6, y + 9, "end" if left else "start", mark.name, f"{mark.value:.3f}")
