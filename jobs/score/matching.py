"""Which prediction is of which pair: by the image's name, with or without its folder and ending."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from jobs.errors import BadData
from jobs.score.pairs import Pair
from jobs.score.prediction_files import Prediction


@dataclass(frozen=True, slots=True)
class Matched:
    """The prediction of each pair, None where there is none, and the names of those that are of no pair."""

    of_pair: list[Prediction | None]
    foreign: list[str]


def matched(pairs: Sequence[Pair], predictions: Iterable[Prediction], label: str) -> Matched:
    """Match by the image's whole name, else by its name without folder, without ending, or without both.

    Raises BadData for a name that could be of several images, and for an image that is predicted twice.
    """
    images = {pair.image for pair in pairs}
    short: dict[str, set[str]] = {}
    for image in images:
        for name in _short_names(image):
            short.setdefault(name, set()).add(image)
    found: dict[str, Prediction] = {}
    foreign = []
    for one in predictions:
        name = one.name.removeprefix("./")
        possible = {name} if name in images else short.get(name, set())
        if not possible:
            foreign.append(one.name)
            continue
        if len(possible) > 1:
            shown = " and ".join(sorted(possible)[:2])
            raise BadData(f"{label}: row {one.row}: {one.name!r} could be {shown}; name images with their folders")
        (image,) = possible
        if image in found:
            raise BadData(
                f"{label}: row {one.row}: {image!r} is predicted a second time, first in row {found[image].row}"
            )
        found[image] = one
    return Matched([found.get(pair.image) for pair in pairs], foreign)


def _short_names(image: str) -> set[str]:
    path = PurePosixPath(image)
    return {path.name, path.stem, str(path.with_suffix("")) if path.name else image}
