"""One prompt or image followed through a run: what was asked for is found by the stages, and each says its own part."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from jobs.catalog import STAGES
from jobs.errors import BadData, NotFound
from jobs.imaging.limits import SUFFIXES
from jobs.report.lineage import ImageFile, Lineage, Subject, Values
from jobs.report.page import RunView
from jobs.runtime.spec import StageSpec, load
from jobs.shards.keys import key_of, key_of_id

_ROW = re.compile(r"(?P<id>.+)_(?P<dimension>\d{1,3})", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Trace:
    """What is known of a subject, stage by stage in the graph's order; None of a stage that is not done yet."""

    subject: Subject
    parts: Mapping[str, Values | None]


def trace(view: RunView, question: str) -> Trace:
    """Follow a prompt's key or text, an image's id, one row of predictions, or an image file; raises NotFound."""
    image = image_at(question)
    subject = _of_image(view, image) if image else _of_text(view, question)
    parts = dict[str, Values | None]()
    for spec, lineage in _lineages():
        if spec.name in view.datasets:
            if values := lineage.part(view, subject):
                parts[spec.name] = values
        elif spec.name in view.made:
            parts[spec.name] = None
    return Trace(subject, parts)


def image_at(question: str) -> ImageFile | None:
    """The image of this machine that is asked for, if it is one; raises BadData for one that cannot be read."""
    path = Path(question)
    try:
        if not question.lower().endswith(SUFFIXES) or not path.is_file():
            return None
        with path.open("rb") as file:
            return ImageFile(path, hashlib.file_digest(file, "sha256").hexdigest())
    except (OSError, ValueError) as error:
        raise BadData(f"the file {question!r} cannot be read: {error}") from error


def _of_text(view: RunView, question: str) -> Subject:
    for key, dimension in _keys(question):
        if subject := _by_key(view, key):
            return replace(subject, dimension=dimension)
    for name, dimension in _names(question):
        for spec, lineage in _lineages():
            found = lineage.by_name(view, name) if lineage.by_name and spec.name in view.datasets else None
            if subject := _by_key(view, found) if found else None:
                return replace(subject, dimension=dimension)
    raise NotFound(
        f"{question!r} is not known in {view.address}: no prompt or image has it as its key or id, and no prompt has "
        f"this text (its key would be {key_of(question)}); nor is it a {', '.join(SUFFIXES)} file of this machine"
    )


def _keys(question: str) -> Iterator[tuple[str, int | None]]:
    """The keys that a text may stand for, with the dimension that one row of predictions has."""
    for name, dimension in _names(question):
        yield key_of_id(name), dimension
    yield key_of(question), None


def _names(question: str) -> Iterator[tuple[str, int | None]]:
    """An image's names that it may be, and the dimension that one row of predictions has."""
    yield question, None
    if row := _ROW.fullmatch(question):
        yield row["id"], int(row["dimension"])


def _of_image(view: RunView, image: ImageFile) -> Subject:
    tried = []
    for spec, lineage in _lineages():
        if lineage.by_image and spec.name in view.datasets:
            key = lineage.by_image(view, image)
            if subject := _by_key(view, key) if key else None:
                return replace(subject, image=image)
            tried.append(lineage.image_is)
    raise NotFound(
        f"the image {image.stem!r} (SHA-256 {image.sha256}) is not known in {view.address}; it is none of these: "
        f"{'; '.join(tried) or 'the run has no images yet'}"
    )


def _by_key(view: RunView, key: str) -> Subject | None:
    """The subject as the last stage has it that knows it."""
    for spec, lineage in reversed(list(_lineages())):
        if lineage.by_key and spec.name in view.datasets and (subject := lineage.by_key(view, key)):
            return subject
    return None


def _lineages() -> Iterator[tuple[StageSpec, Lineage]]:
    return ((spec, load(spec.lineage)) for spec in STAGES if spec.lineage)
