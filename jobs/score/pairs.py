"""Pairs of image and prompt, read from sources; what cannot be read is named and left out."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import PurePosixPath

from jobs.collect.sources.base import File
from jobs.collect.sources.pairs import PairSource
from jobs.collect.sources.rows import BadRow, ImageFile, LeftOut, Row
from jobs.errors import BadData, NotFound
from jobs.imaging.decoding import BadImage
from jobs.imaging.foreign import READERS, Decode, TooLarge, decoders, read_file
from jobs.imaging.limits import ImageLimits
from jobs.runtime.commands import Progress
from jobs.runtime.prefetch import prefetch
from jobs.score.groups import Groups
from jobs.shards.keys import normalise

_SIDE = 16  # pixels of what is decoded only to see whether it can be
_SHOWN_ROWS = 100  # between two times at which it is shown how far it is

Where = tuple[int, int, int]  # the number of the source, of its file, and of the row there


@dataclass(frozen=True, slots=True)
class Pair:
    """A prompt, normalised, whose image can be decoded; `image` is the image's name, or the row's where it has none."""

    where: Where
    image: str
    prompt: str
    source: str

    @property
    def words(self) -> int:
        """Words of the prompt, between white space."""
        return len(self.prompt.split())


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A pair that cannot be read: where it stands, and why."""

    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class ReadPairs:
    """All pairs of some sources, in their order, and those that cannot be read."""

    sources: tuple[PairSource, ...]
    pairs: list[Pair]
    unreadable: list[Unreadable]


def read_pairs(sources: Sequence[PairSource], threads: int, show: Progress) -> ReadPairs:
    """Read every row and decode its image; raises BadData for a file that is not of its kind at all."""
    read = ReadPairs(tuple(sources), [], [])
    for number, source in enumerate(sources):
        files = source.files()
        folder = _folder(sources, source)
        groups = [Groups.of(source, file, folder, several=len(files) > 1) for file in files]
        with decoders(source.image_limits, threads) as decode:

            def checked(row: _Placed, source: PairSource = source, decode: Decode = decode) -> _Placed | Unreadable:
                try:
                    image_of(row.row, source.image_limits, decode, _SIDE)
                except BadImage as error:
                    return Unreadable(row.what, f"its image is {error.reason}")
                return row

            with closing(_rows(source, files, folder, read.unreadable)) as rows:
                for found in prefetch(checked, rows, threads=threads + READERS, depth=2 * (threads + READERS)):
                    if isinstance(found, Unreadable):
                        read.unreadable.append(found)
                    else:
                        group = groups[found.file].of_row(found.row)
                        where = (number, found.file, found.row.number)
                        read.pairs.append(Pair(where, found.name, normalise(found.row.prompt), group))
                    if (done := len(read.pairs) + len(read.unreadable)) % _SHOWN_ROWS == 0:
                        show("reading", done, None)
    show("reading", len(read.pairs) + len(read.unreadable), len(read.pairs) + len(read.unreadable))
    return read


def images_of(read: ReadPairs, wanted: Collection[Where]) -> Iterator[tuple[Where, bytes]]:
    """The bytes of the images of some pairs, in the order of all; the sources are read again up to the last of them.

    One that is gone since is left out.
    """
    left = set(wanted)
    for number, source in enumerate(read.sources):
        if not any(one[0] == number for one in left):
            continue
        with closing(_rows(source, source.files(), "", [])) as rows:
            for found in rows:
                where = (number, found.file, found.row.number)
                if where in left:
                    left.remove(where)
                    with suppress(BadImage):
                        yield where, bytes_of(found.row, source.image_limits)
                if not left:
                    return


def bytes_of(row: Row, limits: ImageLimits) -> bytes:
    """A row's image; raises BadImage where there is none."""
    if row.image is None:
        raise BadImage("the row has no image", "not there")
    if not isinstance(row.image, ImageFile):
        if len(row.image) > limits.file_bytes:
            raise TooLarge("an image", len(row.image), limits.file_bytes)
        return row.image
    try:
        return read_file(row.image.store, row.image.name, limits).data
    except NotFound as error:
        raise BadImage(f"there is no image {row.image.name!r}: {error}", "not there") from error
    except BadImage:
        raise
    except BadData as error:  # of a name that no store is asked for
        raise BadImage(f"{row.image.name!a}: {error}", "named as no file can be") from error


def image_of(row: Row, limits: ImageLimits, decode: Decode, side: int) -> bytes:
    """The middle square of a row's image, side x side x 3 bytes of RGB; raises BadImage."""
    return decode(bytes_of(row, limits), row.image_name or "an image", side).rgb


@dataclass(frozen=True, slots=True)
class _Placed:
    """A row with the number of its file, a name for its image, and what it is called in messages."""

    row: Row
    file: int
    name: str
    what: str


def _rows(source: PairSource, files: Sequence[File], folder: str, unreadable: list[Unreadable]) -> Generator[_Placed]:
    """The rows that have a prompt; others are added to those that cannot be read."""
    for number, file in enumerate(files):
        taken = 0
        for row in source.rows(file):
            if isinstance(row, LeftOut):
                continue
            what = f"row {row.number} of {file.label}"
            if isinstance(row, BadRow):
                unreadable.append(Unreadable(what, row.reason))
                continue
            if row.image_name:
                what = f"{what} ({row.image_name})"
            if not normalise(row.prompt):
                unreadable.append(Unreadable(what, "its prompt is empty"))
                continue
            name = str(PurePosixPath(folder, _name(row, file, several=len(files) > 1)))
            yield _Placed(row, number, name, what)
            taken += 1
            if taken == source.limit:
                break


def _name(row: Row, file: File, *, several: bool) -> str:
    """The name of a row's image, as a path from where the pairs are; of one without a name it is the row's number.

    An image that stands inside of one of several files has that file for its folder.
    """
    if isinstance(row.image, ImageFile):
        own, beside = row.image.store.url, f"{file.store.url.rstrip('/')}/"
        return str(PurePosixPath(own.removeprefix(beside) if own.startswith(beside) else "", row.image.name))
    return str(PurePosixPath(file.label if several else "", row.image_name or str(row.number)))


def _folder(sources: Sequence[PairSource], source: PairSource) -> str:
    """The folder that a source's files are in, where several sources are told apart by that."""
    return PurePosixPath(source.path).parent.name if len(sources) > 1 else ""
