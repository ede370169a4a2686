"""Writes tables of a run in a format: `i2p export WHAT --format F`."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from jobs.errors import BadConfiguration
from jobs.export.card import card
from jobs.export.command import FORMATS, Asked
from jobs.export.folder import EXPORT, ExportFolder, ExportRecord, Subject
from jobs.export.format import Format
from jobs.export.making import Work, make
from jobs.export.rows import VECTOR, Content, Table
from jobs.registry import load
from jobs.report import formatting
from jobs.report.page import RunView, Summary
from jobs.runtime.commands import Export, Progress
from jobs.runtime.spec import load as load_function
from jobs.shards.address import open_store


def write(what: Export, view: RunView, asked: Asked, show: Progress) -> Summary:
    """Write what is missing of an export. Done again, it makes only what is not there and right.

    Raises NotFound before the run has what is exported, BadConfiguration for a format that cannot hold it, and where
    something else is in the folder.
    """
    content: Content = load_function(what.content)(view)
    form: Format = load(FORMATS, asked.format, "FORMAT")
    tables = [_wanted(table, form, what, asked) for table in content.tables]
    parts = [part for table in tables for part in table.parts(form.part_bytes)]
    subject = Subject(what=what.name, format=asked.format, vectors=asked.vectors, dataset=content.dataset)
    folder = ExportFolder(open_store(asked.out), subject)
    works = [Work(part.name, part.samples, partial(form.write, part)) for part in parts]
    make(folder, works, show, force=asked.force)
    found = {part: folder.parts[part.name] for part in parts}
    return summary(folder.finish(view.address, card(view, subject, form, tables, found, content.notes)), folder)


def summary(record: ExportRecord, folder: ExportFolder) -> Summary:
    """What was written, for the end of the command."""
    files = [file for part in record.parts.values() for file in part.files]
    size = sum(file.size for file in files)
    values = {
        "run": record.run,
        **record.subject.model_dump(),
        "rows": record.rows,
        "files": len(files),
        "bytes": size,
        "out": folder.store.url,
    }
    lines = [
        f"{'rows':<9} {record.rows:>11,}",
        f"{'files':<9} {len(files):>11,}  {formatting.size(size)}",
        f"{'listed in':<9} {folder.store.url}/{EXPORT}",
    ]
    return Summary(values, "\n".join(lines))


def _wanted(table: Table, form: Format, what: Export, asked: Asked) -> Table:
    """The table as this format writes it; raises BadConfiguration where it cannot."""
    if form.only_images and not table.images:
        raise BadConfiguration(
            f"`--format {asked.format}` is for images, and {what.name} have none: choose another format"
        )
    if asked.vectors and not form.lists:
        raise BadConfiguration(f"`--format {asked.format}` cannot hold vectors: choose another, or leave out --vectors")
    columns = (*table.columns, VECTOR) if asked.vectors and table.vectors else table.columns
    if not form.lists:
        columns = tuple(replace(one, dtype="string", many=False) if one.many else one for one in columns)
    return replace(table, columns=columns, images=table.images and form.images)
