"""The folder, or part of a bucket, that an export is written to: made in parts, gone on with after a kill, never mixed.

    export.json                       what it is, and all its files with size and digest; written last
    unfinished/export.json            what it is going to be, while it is not finished
    unfinished/<part>.json            the files of a part; written before them, so that each file is some record's

A part is right when its files have the size and digest of its record. Equal rows give equal bytes, so what is done
again after a kill is equal to what is made at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

from jobs.errors import BadConfiguration, Corrupt, NotFound
from jobs.export.draft import Draft, PartRecord
from jobs.shards.local import LocalStore
from jobs.shards.store import Store, overwrite
from jobs.shards.strict_json import Digest, JsonModel

EXPORT = "export.json"
CARD = "README.md"
_UNFINISHED = "unfinished/"
_AT_ONCE = 8  # files of a part; a disk or a bucket takes about 10 ms for each, however small
_NAMED = 3  # of files that are in the way

M = TypeVar("M", bound=JsonModel)


class Subject(JsonModel):
    """What is exported, and how; exports with equal ones have equal files."""

    what: str
    format: str
    vectors: bool
    dataset: Digest
    """Of the manifest of the stage whose samples are exported."""


class ExportRecord(JsonModel):
    """What `export.json` says."""

    run: str
    """The run's address."""

    subject: Subject
    rows: int
    parts: dict[str, PartRecord]


@dataclass(slots=True)
class ExportFolder:
    """An export's files in a store, and what is known of its parts."""

    store: Store
    subject: Subject
    parts: dict[str, PartRecord] = field(default_factory=dict)

    def begin(self, names: Iterable[str], *, force: bool) -> None:
        """Find what an earlier, perhaps unfinished export left of these parts.

        Raises BadConfiguration where something else is in the folder, unless that may be replaced (`force`): then the
        files of another export are removed; files that are of none stay, and are overwritten where names are equal.
        """
        finished = self._read(EXPORT, ExportRecord)
        subject = finished.subject if finished else self._read(f"{_UNFINISHED}{EXPORT}", Subject)
        found = finished.parts if finished else self._unfinished()
        if subject != self.subject and not force:
            self._refuse(subject)
        self.parts = {name: found[name] for name in names if name in found and subject == self.subject}
        for name in found.keys() - self.parts.keys():
            for file in found[name].files:
                self.store.delete(file.name)
        if subject and subject != self.subject:
            self._remove_records()
            for name in (EXPORT, CARD):
                self.store.delete(name)

    def is_right(self, name: str) -> bool:
        """Whether a part is there, with the bytes that its record says."""
        record = self.parts.get(name)
        return record is not None and all(
            self.store.holds(file.name, size=file.size, sha256=file.sha256) for file in record.files
        )

    def reopen(self, right: Iterable[str]) -> None:
        """Say that the export is not finished, of which these parts are right; before any other is written."""
        self.store.put(f"{_UNFINISHED}{EXPORT}", self.subject.encode())
        if self.store.stat(EXPORT):
            for name in right:
                self.store.put(_record_name(name), self.parts[name].encode())
            self.store.delete(EXPORT)

    def add(self, name: str, draft: Draft) -> None:
        """Write a part."""
        record = draft.record()
        self.store.put(_record_name(name), record.encode())
        pool = ThreadPoolExecutor(_AT_ONCE)
        try:
            for _ in pool.map(lambda file: overwrite(self.store, file.name, draft.files[file.name]), record.files):
                pass
        finally:
            pool.shutdown(cancel_futures=True)
        self.parts[name] = record

    def finish(self, run: str, card: str) -> ExportRecord:
        """Write the card, where there is one, then `export.json`; after which no record is left."""
        parts = dict(sorted(self.parts.items()))
        rows = sum(part.rows for part in parts.values())
        record = ExportRecord(run=run, subject=self.subject, rows=rows, parts=parts)
        if card:
            overwrite(self.store, CARD, card.encode())
        overwrite(self.store, EXPORT, f"{json.dumps(record.model_dump(), indent=1, ensure_ascii=False)}\n".encode())
        self._remove_records()
        if isinstance(self.store, LocalStore):
            self.store.tidy()
        return record

    def _read(self, name: str, model: type[M]) -> M | None:
        try:
            return model.decode(self.store.read(name).data, f"{self.store.url}/{name}")
        except (NotFound, Corrupt):
            return None

    def _unfinished(self) -> Mapping[str, PartRecord]:
        names = [stat.name for stat in self.store.list(_UNFINISHED) if stat.name != f"{_UNFINISHED}{EXPORT}"]
        found = {name: self._read(name, PartRecord) for name in names}
        return {_part_name(name): record for name, record in found.items() if record}

    def _remove_records(self) -> None:
        for stat in list(self.store.list(_UNFINISHED)):
            self.store.delete(stat.name)

    def _refuse(self, subject: Subject | None) -> None:
        others = [stat.name for stat in islice(self.store.list(""), _NAMED)]
        if subject:
            what = f"an export of {subject.what} as {subject.format}, of another dataset or with other options"
            if (subject.what, subject.format) != (self.subject.what, self.subject.format):
                what = f"an export of {subject.what} as {subject.format}"
        elif others:
            what = f"other files ({', '.join(others)}{', …' if len(others) == _NAMED else ''})"
        else:
            return
        raise BadConfiguration(
            f"{self.store.url} holds {what}: choose another with --out, or write there nevertheless with --force"
        )


def _record_name(part: str) -> str:
    return f"{_UNFINISHED}{part}.json"


def _part_name(record: str) -> str:
    return record.removeprefix(_UNFINISHED).removesuffix(".json")
