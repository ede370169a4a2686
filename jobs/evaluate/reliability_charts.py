"""The reliability diagram and the curve of risk against coverage, for wide and for narrow screens."""

from __future__ import annotations

import math
from functools import partial

from markupsafe import Markup

from jobs.evaluate.contract import Reliability
from jobs.report import charts

_STEP = 0.05  # of the axes' ends


def diagram(found: Reliability) -> Markup:
    """Mean true against mean expected cosine of each bin, beside the line on which they would be equal."""
    points = [(one.mean_expected, one.mean_true) for one in found.bins]
    ends = _ends([value for point in points for value in point])
    draw = partial(
        charts.scatter,
        points,
        style="model",
        x=ends,
        y=ends,
        diagonal=True,
        label=f"Reliability diagram: mean true against mean expected cosine of {len(points)} bins of images.",
        axis="expected cosine",
        unit="true cosine",
    )
    return _both(draw(height=330), draw(width=400, height=330))


def risk_coverage(found: Reliability) -> Markup:
    """Mean true cosine of the surest images against their share."""
    points = [(one.share, one.cosine) for one in found.risk_coverage]
    draw = partial(
        charts.scatter,
        points,
        style="model",
        x=(0, 1),
        y=_ends([cosine for _, cosine in points]),
        joined=True,
        label="Mean true cosine of the surest images, against their share of all images.",
        axis="share of the images, the surest first",
        unit="mean true cosine",
    )
    return _both(draw(height=330), draw(width=400, height=330))


def _both(wide: Markup, narrow: Markup) -> Markup:
    return Markup('<div class="wide">{}</div><div class="narrow">{}</div>').format(wide, narrow)


def _ends(values: list[float]) -> tuple[float, float]:
    """The ends of an axis that holds the values, at round numbers."""
    return math.floor(min(values) / _STEP) * _STEP, math.ceil(max(values) / _STEP + 1e-9) * _STEP
