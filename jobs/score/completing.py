"""What was not said of a source of pairs: columns and names of images, found by trying on its first rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from itertools import islice
from typing import Any

from pydantic import ValidationError

from jobs.collect.sources.columns import USUAL
from jobs.collect.sources.pairs import PairSource
from jobs.collect.sources.rows import AnyRow, ImageFile, Row
from jobs.errors import BadConfiguration, BadData
from jobs.imaging.limits import SUFFIXES
from jobs.registry import names_in

KINDS = "jobs.collect.sources.kinds"
NAME = "pairs"  # of every source, in errors

_ROWS = 20  # looked at
_IMAGE_COLUMNS = ("image", "img", "picture", "png", "jpg", "jpeg", "webp")
_NAME_COLUMNS = (
    *("file_name", "filename", "file", "image", "image_file", "image_path", "path", "img", "picture"),
    *("id", "imgId", "image_id", "key", "name"),
)
_FOLDERS = ("", "images/", "image/", "img/", "pictures/")
_SUFFIXES = ("", *SUFFIXES)
_FIELDS = ("txt", "caption", "json.prompt", "json.text", "json.caption")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was said of the layout; None for what is to be found."""

    kind: str | None = None
    column: str | None = None
    image: str | None = None
    images: str | None = None


@cache
def pair_kinds() -> dict[str, type[PairSource]]:
    """The kinds of sources that give images with their prompts."""
    found = {}
    for name in names_in(KINDS):
        module = import_module(f"{KINDS}.{name.replace('-', '_')}")
        for one in vars(module).values():
            if isinstance(one, type) and issubclass(one, PairSource) and one.__module__ == module.__name__:
                found[name] = one
    return found


def source(kind: str, path: str, **settings: Any) -> PairSource:
    """The source of that kind; raises BadConfiguration for a kind that gives no images, and for settings it has not."""
    if kind not in pair_kinds():
        raise BadConfiguration(f"--kind: one of {', '.join(pair_kinds())} is required, given {kind!r}")
    values = {"kind": kind, "name": NAME, "path": path, "on_bad_row": "skip", **settings}
    try:
        return pair_kinds()[kind].model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise BadConfiguration(f"pairs of kind {kind}: {first['loc'][-1]}: {first['msg']}") from error


def completed(kind: str, path: str, asked: Asked) -> PairSource:
    """The source with all that was said, and what it lacks as the first candidate has it under which rows are found.

    Without any, it has what its kind has by default, and reading it says what is wrong.
    """
    if kind not in pair_kinds():
        return source(kind, path)
    if kind == "csv-pairs":
        return _table(path, asked)
    said = _said(kind, asked)
    tried = [source(kind, path, **said, **more) for more in _candidates(kind, said)]
    return next((one for one in tried if can_be_read(one)), tried[0])


def can_be_read(made: PairSource) -> bool:
    """Whether one of its first rows is a pair whose image is there."""
    return made.gives_images and any(isinstance(row, Row) and _has_image(row) for row in first_rows(made))


def first_rows(made: PairSource) -> list[AnyRow]:
    """The first rows of its first file; none of a file that is not of this kind."""
    try:
        return list(islice(made.rows(made.files()[0]), _ROWS))
    except BadData:
        return []


def _said(kind: str, asked: Asked) -> dict[str, str]:
    """The settings that were said, by the names that this kind has for them; raises BadConfiguration for others."""
    fields = pair_kinds()[kind].model_fields
    prompt = "prompt" if "prompt" in fields else "column"
    said = {prompt: asked.column, "image": asked.image, "images": asked.images}
    given = {name: value for name, value in said.items() if value is not None}
    if foreign := given.keys() - fields.keys():
        raise BadConfiguration(f"pairs of kind {kind} have no setting {', '.join(sorted(foreign))}: leave it out")
    return given


def _candidates(kind: str, said: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Settings to be tried, the most usual first."""
    fields = pair_kinds()[kind].model_fields
    own = fields["column"].default if "column" in fields else None
    prompts: list[dict[str, str]] = [{}]
    if kind == "webdataset" and "prompt" not in said:
        prompts = [{"prompt": field} for field in _FIELDS]
    elif own is not None and "column" not in said and kind in ("imagefolder", "parquet"):
        prompts = [{"column": column} for column in dict.fromkeys([own, *USUAL])]
    images = [{"image": one} for one in _IMAGE_COLUMNS] if kind == "parquet" and "image" not in said else [{}]
    yield from ({**image, **prompt} for image in images for prompt in prompts)


def _table(path: str, asked: Asked) -> PairSource:
    """A table with the columns of prompts and of the images' names; raises BadConfiguration where none names images."""
    said = _said("csv-pairs", asked)
    columns = [asked.column] if asked.column else list(USUAL)
    if asked.image:
        tried = [source("csv-pairs", path, **{**said, "column": column}) for column in columns]
        return next((one for one in tried if first_rows(one)), tried[0])
    for column in columns:
        for name in _NAME_COLUMNS:
            made = source("csv-pairs", path, **{**said, "column": column, "image": f"{{{name}}}"})
            rows = [row.image for row in first_rows(made) if isinstance(row, Row)]
            if rule := _rule(name, [image for image in rows if isinstance(image, ImageFile)]):
                return source("csv-pairs", path, **{**said, "column": column, "image": rule})
    raise BadConfiguration(
        f"{path!r}: no column of prompts ({', '.join(columns)}) is found beside one that names images which are there "
        f"({', '.join(_NAME_COLUMNS)}); say them, as in --column prompt --image 'pictures/{{id}}.png', and "
        "--images FOLDER where these are not beside the table"
    )


def _rule(column: str, images: list[ImageFile]) -> str | None:
    """The rule by which most of these names, which a column has, lead to an image; None where none leads to any."""
    best, most = None, 0
    for folder in _FOLDERS:
        for suffix in _SUFFIXES:
            found = sum(_is_there(ImageFile(one.store, f"{folder}{one.name}{suffix}")) for one in images)
            if found > most:
                best, most = f"{folder}{{{column}}}{suffix}", found
            if images and most == len(images):
                return best
    return best


def _has_image(row: Row) -> bool:
    return _is_there(row.image) if isinstance(row.image, ImageFile) else row.image is not None


def _is_there(image: ImageFile) -> bool:
    try:
        return image.store.stat(image.name) is not None
    except BadData:  # of a name that no store is asked for
        return False
