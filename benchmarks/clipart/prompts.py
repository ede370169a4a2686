"""Prompts of pictures, made of what their files say: what is to be seen, then the keywords that add something."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from benchmarks.clipart.svg_service import Metadata

_TEMPLATE = re.compile(r"^clip ?art by [^-]+ - ", re.IGNORECASE)  # "Clipart by Nicu Buculei - arrow08_4"
_LEFT_BY_PROGRAMS = frozenset(("hash", "unsorted"))
_WORD = re.compile(r"[^\W\d_]+")
_SHORTEST = 3  # letters of a word in a file's name; shorter ones are initials and what was cut off


def prompts_of(pictures: Mapping[str, Metadata]) -> dict[str, str]:
    """The prompt of each picture by its name, which is a path, as "Red apple, fruit, food"; empty where it has none.

    It begins with the title, or, where several pictures have that, with the words of the file's name: such titles are
    those of collections ("Lemon SVG theme"), or were copied from picture to picture.
    """
    titles = {name: _title(metadata) for name, metadata in pictures.items()}
    count = Counter(title.casefold() for title in titles.values())
    return {
        name: _joined(
            titles[name] if count[titles[name].casefold()] == 1 else _words_of_file(name, metadata.creator), metadata
        )
        for name, metadata in pictures.items()
    }


def _title(metadata: Metadata) -> str:
    return _spaced(_TEMPLATE.sub("", metadata.title))


def _words_of_file(name: str, creator: str) -> str:
    """The words of "animals/cat_outline_matthe_r.svg" that are not from the creator's name, Matthew Loewen."""
    of_creator = _words(creator)
    stem = name.rpartition("/")[2].removesuffix(".svg")
    found = [word for word in _words(stem) if len(word) >= _SHORTEST]
    return " ".join(word for word in found if not any(one.startswith(word) for one in of_creator))


def _joined(beginning: str, metadata: Metadata) -> str:
    """The beginning and, in their order, the keywords with a word that was not said before."""
    parts = [beginning] if beginning else []
    said = {*_words(beginning), *_words(metadata.creator), *_LEFT_BY_PROGRAMS}
    for keyword in metadata.keywords:
        if not said.issuperset(_words(keyword)):
            parts.append(_spaced(keyword))
            said.update(_words(keyword))
    return ", ".join(parts)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _spaced(text: str) -> str:
    return " ".join(text.replace("_", " ").split())
