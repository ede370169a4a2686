"""What an SVG file says of itself, read with a parser that loads nothing and declares nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from xml.parsers.expat import ExpatError, ParserCreate

from benchmarks.clipart.svg_service import Metadata

ENTITIES = "declares entities"
OUTSIDE = "shows an image that is not in the file"
NO_XML = "no well-formed XML"

_SEPARATOR = " "
_DC, _RDF = "http://purl.org/dc/elements/1.1/", "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_TITLE, _SUBJECT, _CREATOR = (f"{_DC}{_SEPARATOR}{name}" for name in ("title", "subject", "creator"))
_KEYWORD = f"{_RDF}{_SEPARATOR}li"
_RESOURCE = f"{_RDF}{_SEPARATOR}resource"
_IMAGES = ("image", "feImage")  # the elements whose `href` is loaded; those of all others name a part of the file
_MOST_CHARACTERS = 500  # of a title or a keyword
_MOST_KEYWORDS = 100


class Unfit(Exception):
    """A file that is not drawn; `reason` is the same everywhere."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


def metadata_in(data: bytes) -> Metadata:
    """The first work's title, keywords, creator and licence.

    Raises Unfit for what is no XML, declares entities (with a few of them a small file becomes gigabytes), or shows an
    image that is not in the file itself.
    """
    reading = _Reading()
    parser = ParserCreate(namespace_separator=_SEPARATOR)
    parser.buffer_text = True
    parser.StartElementHandler = reading.start
    parser.EndElementHandler = reading.end
    parser.CharacterDataHandler = reading.text
    parser.EntityDeclHandler = reading.entity
    try:
        parser.Parse(data, True)
    except ExpatError as error:
        raise Unfit(NO_XML, str(error)) from error
    return Metadata(
        title=reading.title, keywords=tuple(reading.keywords), creator=reading.creator, licence=reading.licence
    )


@dataclass(slots=True)
class _Reading:
    """What was read so far: the names of the open elements, and the text since the last one began."""

    open: list[str] = field(default_factory=list)
    said: str = ""
    title: str = ""
    creator: str = ""
    licence: str = ""
    keywords: list[str] = field(default_factory=list)

    def start(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(_SEPARATOR)[2]
        if local in _IMAGES:
            for attribute, value in attributes.items():
                if attribute.rpartition(_SEPARATOR)[2] == "href" and not value.strip().startswith(("#", "data:")):
                    raise Unfit(OUTSIDE, value[:200])
        if local == "license" and not self.licence:
            self.licence = _tidy(attributes.get(_RESOURCE, ""))
        self.open.append(name)
        self.said = ""

    def text(self, text: str) -> None:
        if len(self.said) < _MOST_CHARACTERS:
            self.said += text

    def end(self, name: str) -> None:
        self.open.pop()
        said, self.said = _tidy(self.said), ""
        if name == _TITLE and _CREATOR in self.open:
            self.creator = self.creator or said
        elif name == _TITLE and self.open[-1:] and self.open[-1].endswith(f"{_SEPARATOR}Work"):
            self.title = self.title or said
        elif name == _KEYWORD and _SUBJECT in self.open and said and len(self.keywords) < _MOST_KEYWORDS:
            self.keywords.append(said)

    def entity(self, name: str, *_declared: object) -> None:
        raise Unfit(ENTITIES, name)


def _tidy(text: str) -> str:
    return " ".join(text[:_MOST_CHARACTERS].split())
