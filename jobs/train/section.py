"""The report's section of train: how the network learned."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from markupsafe import Markup

from jobs.report import charts, formatting
from jobs.report.page import RunView, Section, StagePage, setting
from jobs.shards.dataset import Dataset
from jobs.train.contract import Curve, CurvePoint, Trained

_ROWS = 20  # of the table of points


def page(view: RunView) -> StagePage:
    """What the report shows of train."""
    trained = view.get(Trained[Dataset])
    curve = trained.curve.value() if trained else None
    section = partial(Section, id="training", title="Training", link="Training", template="training.html.j2")
    if trained is None or curve is None or not curve.points:
        return StagePage(sections=(section(missing=Trained.stage),))
    first, last = curve.points[0], curve.points[-1]
    values = {
        "model": setting(trained, "model"),
        "epochs": formatting.plural(curve.epochs, "epoch"),
        "steps": formatting.plural(curve.steps, "step"),
        "batch": formatting.plural(curve.batch_size, "image"),
        "seen": formatting.plural(last.images, "image"),
        "first": f"{formatting.cosine(first.loss)} at step {formatting.count(first.step)}",
        "last_loss": formatting.cosine(last.loss),
        "last_cosine": formatting.cosine(last.cosine),
        "highest_rate": f"{max(point.learning_rate for point in curve.points):.2g}",
        "loss": loss(curve),
        "learning_rate": learning_rate(curve),
        "rows": [_row(point) for point in some(curve.points)],
    }
    return StagePage(sections=(section(values=values),))


def loss(curve: Curve) -> Markup:
    """Loss over steps."""
    points = [(point.step, point.loss) for point in curve.points]
    steps = formatting.count(curve.steps)
    label = f"Training loss over {steps} steps, from {points[0][1]:.3f} to {points[-1][1]:.3f}."
    return charts.line(points, style="model", label=label, axis="step", unit="loss = 1 − cosine")


def learning_rate(curve: Curve) -> Markup:
    """Learning rate over steps."""
    points = [(point.step, point.learning_rate) for point in curve.points]
    label = f"Learning rate over the steps, at most {max(rate for _, rate in points):g}."
    return charts.line(points, style="muted", label=label, axis="step", unit="learning rate")


def some(points: Sequence[CurvePoint], number: int = _ROWS) -> list[CurvePoint]:
    """At most `number` of the points, evenly apart, the first and the last among them."""
    if len(points) <= number:
        return list(points)
    return [points[round(row * (len(points) - 1) / (number - 1))] for row in range(number)]


def _row(point: CurvePoint) -> tuple[str, ...]:
    return (
        formatting.count(point.step),
        formatting.count(point.images),
        f"{point.loss:.4f}",
        f"{point.cosine:.4f}",
        f"{point.learning_rate:.2e}",
    )
