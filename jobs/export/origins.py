"""The columns that say where a prompt came from, which several tables have."""

from __future__ import annotations

from typing import Any, TypeVar

from jobs.contract.declaration import Contract
from jobs.contract.reading import TypedSample
from jobs.contract.samples import Origin
from jobs.errors import NotFound
from jobs.export.rows import Column
from jobs.report.page import RunView
from jobs.shards.dataset import Dataset
from jobs.shards.digests import canonical_json

_OWN = ("source", "licence", "file", "row")
ORIGIN = (
    Column("source", "the source that the prompt is from"),
    Column("licence", "of the prompt, as the source says it; empty where it says none"),
    Column("file", "of the source, without its folder; empty for a source that is in no file"),
    Column("row", "of that file, counted from 1", "int64"),
    Column("origin", "what else the source says of the row, as JSON"),
)
PROMPT = (
    Column("key", "the first 24 digits of the SHA-256 of the prompt"),
    Column("prompt", "normalised"),
    Column("split", "train, validation, test, or another held-out one"),
    *ORIGIN,
)

C = TypeVar("C", bound=Contract[Dataset])


def origin_values(sample: TypedSample[Any], *, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """The values of ORIGIN; the members named in `without` have columns of their own."""
    origin: Origin = sample.value
    members = origin.model_dump(exclude_unset=True)
    more = {name: value for name, value in members.items() if name not in (*_OWN, *without)}
    return {
        "source": origin.source,
        "licence": members.get("licence") or "",
        "file": members.get("file") or "",
        "row": origin.row,
        "origin": canonical_json(more).decode(),
    }


def prompt_values(sample: TypedSample[Any], split: str) -> dict[str, Any]:
    """The values of PROMPT."""
    return {"key": sample.key, "prompt": sample.text(), "split": split, **origin_values(sample)}


def of_prompt(values: dict[str, Any]) -> tuple[str, str]:
    """The source and licence of a row with these values."""
    return values["source"], values["licence"]


def finished(view: RunView, contract: type[C], what: str) -> C:
    """A stage's dataset; raises NotFound before there is one."""
    found = view.get(contract)
    if found is None and not view.datasets:
        raise NotFound(f"{view.address} holds no finished stage of a run; `i2p runs` lists the runs of the store")
    if found is None:
        raise NotFound(f"{view.address}: {what}; `i2p run` does that")
    return found
