"""How pairs are laid out, found by looking: the sources of collect that read them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from jobs.collect.sources.named_rows import ENDINGS
from jobs.collect.sources.pairs import PairSource
from jobs.errors import BadConfiguration
from jobs.imaging.limits import SUFFIXES
from jobs.score.completing import Asked, can_be_read, completed, source
from jobs.shards.address import open_file, open_folder
from jobs.shards.store import Readable

_LOOKED_AT = 1_000  # images, for files of prompts beside them
_SHOWN = 5  # names, of a folder that holds no pairs
_LAYOUTS = (
    "images with metadata.jsonl, .csv or .parquet (imagefolder), with files .txt of the same names (sidecar), a table "
    "beside images (csv-pairs), WebDataset tars (webdataset), parquet with images (parquet), or PNG files with "
    "`parameters` (png-parameters)"
)


@dataclass(frozen=True, slots=True)
class Layout:
    """The kind that pairs are read as, and the sources that read them, one for each folder of files."""

    kind: str
    sources: tuple[PairSource, ...]


def layout_of(address: str, asked: Asked) -> Layout:
    """How the pairs at an address are read; raises BadConfiguration where nothing there is recognised."""
    if asked.kind:
        return Layout(asked.kind, (completed(asked.kind, address, asked),))
    if _is_files(address):
        return _of_files(address, asked)
    store = open_folder(address)
    names = [stat.name for stat in store.list("")]
    if not names:
        raise BadConfiguration(f"there is nothing at {address!r}: a folder or file of pairs is required")
    found = next(_found(address, store, names, asked), None)
    if found is None:
        shown = ", ".join(names[:_SHOWN]) + (f", … ({len(names):,} files)" if len(names) > _SHOWN else "")
        raise BadConfiguration(
            f"no pairs are recognised in {address!r}, which holds {shown}; required are {_LAYOUTS}; name the layout "
            "with --kind, or the table itself in place of its folder"
        )
    return found


def _is_files(address: str) -> bool:
    if any(sign in address for sign in "*?"):
        return True
    store, name = open_file(address)
    return bool(name) and store.stat(name) is not None


def _of_files(address: str, asked: Asked) -> Layout:
    """The layout of a file, or of several, by the ending."""
    name = address.lower().removesuffix(".gz")
    if name.endswith(".tar"):
        return Layout("webdataset", (completed("webdataset", address, asked),))
    if name.endswith(".parquet") and can_be_read(found := _parquet(address, asked)):
        return Layout("parquet", (found,))
    if name.endswith(ENDINGS):
        return Layout("csv-pairs", (completed("csv-pairs", address, asked),))
    raise BadConfiguration(
        f"{address!r} is no file of pairs that is known by its ending: {', '.join(ENDINGS)} and .tar are; name a "
        "folder, or the layout with --kind"
    )


def _parquet(address: str, asked: Asked) -> PairSource:
    return completed("parquet", address, asked)


def _found(address: str, store: Readable, names: Sequence[str], asked: Asked) -> Iterator[Layout]:
    """What a folder can be read as, the most explicit first."""
    lower = [name.lower() for name in names]
    if any(PurePosixPath(name).name in {f"metadata{ending}" for ending in ENDINGS} for name in lower):
        yield Layout("imagefolder", (completed("imagefolder", address, asked),))
    if any(name.endswith(".tar") for name in lower):
        folders = _folders(names, ".tar")
        yield Layout("webdataset", tuple(completed("webdataset", _below(address, one), asked) for one in folders))
    if any(name.endswith(".parquet") for name in lower):
        sources = [_parquet(_below(address, one), asked) for one in _folders(names, ".parquet")]
        if all(map(can_be_read, sources)):
            yield Layout("parquet", tuple(sources))
    images = [name for name in names if name.lower().endswith(SUFFIXES)]
    there = set(names)
    if any(str(PurePosixPath(name).with_suffix(".txt")) in there for name in images[:_LOOKED_AT]):
        yield Layout("sidecar", (source("sidecar", address),))
    yield from _tables(address, names, asked)
    if images and can_be_read(found := source("png-parameters", address)):
        yield Layout("png-parameters", (found,))


def _tables(address: str, names: Sequence[str], asked: Asked) -> Iterator[Layout]:
    """The one table in the folder itself that has prompts and names images; raises BadConfiguration for several."""
    found: dict[str, PairSource] = {}
    for name in names:
        if "/" not in name and name.lower().removesuffix(".gz").endswith(ENDINGS):
            try:
                one = completed("csv-pairs", f"{address.rstrip('/')}/{name}", asked)
            except BadConfiguration:
                continue
            if can_be_read(one):
                found[name] = one
    if len(found) > 1:
        raise BadConfiguration(
            f"{address!r} holds several tables of pairs ({', '.join(found)}): name the one that is meant in its place"
        )
    yield from (Layout("csv-pairs", (one,)) for one in found.values())


def _folders(names: Sequence[str], ending: str) -> list[str]:
    """Patterns of all files with the ending, one for each folder, in their order."""
    found = [str(PurePosixPath(name).parent) for name in names if name.endswith(ending)]
    return [f"{folder}/*{ending}".removeprefix("./") for folder in dict.fromkeys(found)]


def _below(address: str, name: str) -> str:
    return f"{address.rstrip('/')}/{name}"
