"""The graph of stages as a picture: in rows for wide screens and paper, as a list for narrow ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from jobs.report import formatting
from pipeline.report.stage_facts import StageFacts

_COLUMNS = 5
_BOX, _GAP = (200, 110), 28  # width and height; between boxes side by side
_NARROW, _ROW, _NARROW_GAP = 360, 70, 26  # width; height of a box; between boxes
_LANE = 15  # between two lines side by side


@dataclass(frozen=True, slots=True)
class Edge:
    """From a stage to one that reads it, by their places in the list; `lane` counts away from the boxes."""

    source: int
    target: int
    lane: int = 0


def wide(stages: Sequence[StageFacts]) -> Markup:
    """Stages in rows. What the next stage in the row reads is a straight arrow; every other edge runs above the
    target's row, all edges of one source in one lane."""
    far = [edge for edge in _edges(stages) if not _beside(edge)]
    rows = -(-len(stages) // _COLUMNS)
    lanes = [list(dict.fromkeys(edge.source for edge in far if _row(edge.target) == row)) for row in range(rows)]
    tops = [0] * rows
    for row in range(rows):
        above = tops[row - 1] + _BOX[1] + 4 if row else 0
        tops[row] = above + _LANE * (len(lanes[row]) + 1) + 4

    def corner(stage: int) -> tuple[float, float]:
        return 2 + stage % _COLUMNS * (_BOX[0] + _GAP), tops[_row(stage)]

    drawn = []
    for edge in _edges(stages):
        x, y = corner(edge.source)
        if _beside(edge):
            drawn.append(_path(f"M{x + _BOX[0]} {y + _BOX[1] / 2}h{_GAP - 2}"))
            continue
        row = _row(edge.target)
        to_x, to_y = corner(edge.target)
        level = to_y - _LANE * (len(lanes[row]) - lanes[row].index(edge.source)) - 4
        into = [one.source for one in far if one.target == edge.target]
        to_x += 0.75 * _BOX[0] * (into.index(edge.source) + 1) / (len(into) + 1)
        x, y = (x + 0.5 * _BOX[0], y + _BOX[1]) if _row(edge.source) < row else (x + 0.85 * _BOX[0], y)
        drawn.append(_path(f"M{x} {y}V{level}H{to_x:.0f}V{to_y - 2}"))
    for number, stage in enumerate(stages):
        x, y = corner(number)
        drawn.append(_box(stage, x, y, *_BOX) + _lines(x + 13, y + 23, [stage.name, *_lines_of(stage)], apart=18))
    width = min(_COLUMNS, len(stages)) * (_BOX[0] + _GAP) - _GAP + 4
    return _svg("wide", width, tops[-1] + _BOX[1] + 2, stages, drawn)


def narrow(stages: Sequence[StageFacts]) -> Markup:
    """Stages in one list; edges to the next one straight, all others through lanes on the left."""
    lanes = _lanes([edge for edge in _edges(stages) if edge.target > edge.source + 1])
    left = 6 + _LANE * max((edge.lane for edge in lanes), default=0)
    pitch = _ROW + _NARROW_GAP
    drawn = [
        _path(f"M{left + 30} {edge.source * pitch + _ROW + 2}V{edge.target * pitch}")
        for edge in _edges(stages)
        if edge.target == edge.source + 1
    ]
    for edge in lanes:
        start, end = edge.source * pitch + _ROW - 12, edge.target * pitch + 6 + 9 * edge.lane
        drawn.append(_path(f"M{left} {start}H{left - _LANE * edge.lane}V{end}H{left - 2}"))
    for number, stage in enumerate(stages):
        x, y = left, number * pitch + 2
        lines = _lines_of(stage)
        halves = [" · ".join(lines[:2]), " · ".join(lines[2:])] if stage.done else lines
        drawn.append(
            _box(stage, x, y, _NARROW - left - 2, _ROW) + _lines(x + 12, y + 21, [stage.name, *halves], apart=19)
        )
    return _svg("narrow", _NARROW, len(stages) * pitch - _NARROW_GAP + 4, stages, drawn)


def _row(stage: int) -> int:
    return stage // _COLUMNS


def _beside(edge: Edge) -> bool:
    return edge.target == edge.source + 1 and _row(edge.target) == _row(edge.source)


def _edges(stages: Sequence[StageFacts]) -> list[Edge]:
    names = [stage.name for stage in stages]
    found = [Edge(names.index(name), target) for target, stage in enumerate(stages) for name in stage.inputs]
    return sorted(found, key=lambda edge: (edge.source, edge.target))


def _lanes(edges: Sequence[Edge]) -> list[Edge]:
    """The same edges, short ones closest to the boxes, each in the first lane that is free all along it."""
    found: list[Edge] = []
    for edge in sorted(edges, key=lambda one: one.target - one.source):
        lane = 1
        while any(one.lane == lane and one.source < edge.target and edge.source < one.target for one in found):
            lane += 1
        found.append(Edge(edge.source, edge.target, lane))
    return found


def _lines_of(stage: StageFacts) -> list[str]:
    if not stage.done:
        return ["not made yet"]
    return [
        formatting.plural(stage.samples, "sample"),
        f"{formatting.plural(stage.units, 'unit')}, {formatting.plural(stage.shards, 'shard')}",
        formatting.size(stage.bytes),
        f"{formatting.duration(stage.seconds)} of work" if stage.seconds is not None else "time not known",
    ]


def _box(stage: StageFacts, x: float, y: float, width: float, height: float) -> Markup:
    style = "missing" if not stage.done else "outdated" if stage.outdated else "done"
    return Markup('<rect class="box {}" x="{}" y="{}" width="{}" height="{}" rx="7"/>').format(
        style, x, y, width, height
    )


def _lines(x: float, y: float, lines: Sequence[str], *, apart: int) -> Markup:
    first = Markup('<text x="{}" y="{}" class="strong">{}</text>').format(x, y, lines[0])
    rest = [
        Markup('<text x="{}" y="{}">{}</text>').format(x, y + apart * number, text)
        for number, text in enumerate(lines[1:], start=1)
    ]
    return first + Markup("").join(rest)


def _path(d: str) -> Markup:
    return Markup('<path class="edge" d="{}"/>').format(d)


def _svg(style: str, width: float, height: float, stages: Sequence[StageFacts], drawn: Sequence[Markup]) -> Markup:
    reads = "; ".join(f"{stage.name} reads {formatting.listed(list(stage.inputs))}" for stage in stages if stage.inputs)
    head = Markup(
        '<svg class="graph {style}" role="img" aria-label="{label}" viewBox="0 0 {width} {height}">'
        '<defs><marker id="arrow-{style}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7"'
        ' orient="auto">'
        '<path class="head" d="M0 0L8 4L0 8z"/></marker></defs>'
    ).format(style=style, label=f"The graph of stages: {reads}.", width=width, height=height)
    return head + Markup("").join(drawn) + Markup("</svg>")
