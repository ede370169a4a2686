"""The page of a result: score, baselines, parts, and the best and worst pairs with their pictures, in one file."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup
from PIL import Image

from jobs.imaging.decoding import BadImage
from jobs.imaging.foreign import decoders
from jobs.regressor.intervals import ENOUGH_IMAGES
from jobs.report import charts, formatting
from jobs.report.html import environment
from jobs.report.pictures import jpeg_uri
from jobs.score.answer import Answer
from jobs.score.measuring import BASELINES, Measured
from jobs.score.pairs import ReadPairs, Where, images_of
from jobs.score.systems import System

_SIDE = 224  # pixels of a picture on the page, 10 to 20 kB of JPEG
_QUALITY = 85
_BINS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A pair that is shown, with what the system read out of its image."""

    uri: str
    image: str
    prompt: str
    cosine: float
    expected: float | None
    abstained: str | None
    predicted: str | None


def page(answer: Answer, system: System, threads: int) -> str:
    """The page as HTML, of the first system, beside which the others' scores stand."""
    first = answer.systems[0]
    shown = [answer.read.pairs[row].where for row in {*first.best, *first.worst}]
    uris = _pictures(answer.read, set(shown), threads)
    return (
        environment()
        .get_template("jobs.score/page.html.j2")
        .render(
            answer=answer,
            first=first,
            others=list(zip(answer.systems[1:], answer.differences, strict=True)),
            baselines=BASELINES,
            enough=ENOUGH_IMAGES,
            histogram=_histogram(first),
            risk=_risk(first),
            cases=[
                (title, [_case(answer.read, first, system, row, uris) for row in rows])
                for title, rows in (("Highest scores", first.best), ("Lowest scores", first.worst))
            ],
        )
    )


def _case(read: ReadPairs, found: Measured, system: System, row: int, uris: Mapping[Where, str]) -> Case:
    pair, expected = read.pairs[row], float(system.expected[row])
    return Case(
        uri=uris.get(pair.where, ""),
        image=pair.image,
        prompt=pair.prompt,
        cosine=float(found.cosines[row]),
        expected=expected if expected == expected else None,
        abstained=system.abstained[row],
        predicted=system.prompts[row],
    )


def _pictures(read: ReadPairs, wanted: set[Where], threads: int) -> dict[Where, str]:
    """The middle squares of some pairs' images, which is what a network sees, as data URIs."""
    uris = {}
    with decoders(read.sources[0].image_limits, threads) as decode:
        for where, data in images_of(read, wanted):
            try:
                rgb = decode(data, "an image", _SIDE, "lanczos").rgb
            except BadImage:  # changed since
                continue
            file = io.BytesIO()
            Image.frombytes("RGB", (_SIDE, _SIDE), rgb).save(file, "JPEG", quality=_QUALITY)
            uris[where] = jpeg_uri(file.getvalue())
    return uris


def _histogram(found: Measured) -> Markup:
    values = [float(value) for value in found.cosines if value == value]
    if not values or found.score is None:
        return Markup("")
    low = min(0.0, *values)
    return charts.histogram(
        [charts.Bars("model", charts.bins(values, low, 1, number=_BINS))],
        [charts.Mark("mean", "model", found.score)],
        x=(low, 1),
        label=f"Histogram of the cosines of {formatting.plural(len(values), 'pair')}; the mean is {found.score:.3f}.",
        axis="cosine to the true prompt's vector",
        unit="pairs",
        width=960,
        height=300,
    )


def _risk(found: Measured) -> Markup:
    if found.confidence is None:
        return Markup("")
    points = [(point.coverage, max(0.0, point.risk)) for point in found.confidence.coverage]
    return charts.line(
        points,
        style="model",
        label="Risk, which is 1 - mean cosine, of the predictions with the highest expected cosines, by their share.",
        axis="share of all predictions, the surest first",
        unit="1 - mean cosine",
    )
