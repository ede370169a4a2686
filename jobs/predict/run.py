"""The work of `i2p predict`: find the images, predict them, write the files that people open, and sum up."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from pydantic import ValidationError

from jobs.errors import BadConfiguration, Corrupt, NotFound
from jobs.infer.ensemble_text import ensemble_lines
from jobs.infer.ensembles import AnyModel, EnsembleModel, open_models
from jobs.infer.results.page import PAGE
from jobs.infer.results.rows import Row, rows_of
from jobs.infer.results.summary import Counts, ResultsRecord, counted
from jobs.infer.results.tables import values_of
from jobs.infer.results.writing import finished, write
from jobs.infer.stage import INFER, InferParams
from jobs.predict.inputs import find_images, parts_of
from jobs.predict.table import MOST_ROWS, table
from jobs.predict.work import Part, parts, predicted
from jobs.regressor.values import EnsembleRecord
from jobs.report.page import Summary
from jobs.runtime.commands import Progress
from jobs.runtime.device import threads_of
from jobs.runtime.environment import store_patience
from jobs.shards.address import open_store
from jobs.shards.digests import digest_of
from jobs.shards.local import LocalStore
from jobs.shards.store import Store, overwrite
from jobs.submission.worker import as_csv, vectors_by_id

_WORK = "unfinished"  # below the results: parts that are done
SUBMISSION = "submission.csv"


def run(args: argparse.Namespace, show: Progress) -> Summary:
    """Predict the images of the arguments, which are those of jobs/predict/command.py."""
    params = _params(args)
    if args.submission and not args.out:
        raise BadConfiguration("--submission writes a file: name a folder for it with --out")
    folders = find_images(args.paths)
    model = open_models(args.model, args.store)
    total = sum(len(folder.names) for folder in folders)
    wanted = parts(parts_of(folders, params.limits.file_bytes), model, params, total, show)
    subject = digest_of([args.submission, *(INFER.fingerprint(part.unit) for part in wanted)])
    with _folder(args.out) as folder:
        there = _earlier(folder, subject, force=args.force)
        if there is None:
            try:
                return _predict(args, folder, _Asked(wanted, model, params, subject), show)
            except (NotFound, Corrupt):  # another process that was asked for the same may have finished before
                there = _earlier(folder, subject, force=args.force)
                if there is None:
                    raise
        return _summary(there, [], folder if args.out else None, there.ensemble)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is to be predicted, and by what."""

    parts: list[Part]
    model: AnyModel
    params: InferParams
    subject: str


def _predict(args: argparse.Namespace, folder: Store, asked: _Asked, show: Progress) -> Summary:
    work = _begun(folder)
    found = predicted(work, asked.parts, asked.model, asked.params, show)
    if args.submission:
        vectors = vectors_by_id(found)
        overwrite(folder, SUBMISSION, as_csv(vectors, lambda done: show("submission", done, len(vectors))))
    rows: list[Row] = []
    ensemble = asked.model.record if isinstance(asked.model, EnsembleModel) else None
    if args.out:
        counts: Counts = write(found, folder, asked.model.name, show, subject=asked.subject, ensemble=ensemble)
        rows += islice(rows_of(found), MOST_ROWS)
    else:
        counts = counted(rows_of(found), rows.append)
    work.clear()
    return _summary(counts, rows, folder if args.out else None, ensemble)


@contextmanager
def _folder(out: str | None) -> Iterator[Store]:
    """Where results go; without a name a folder that is gone afterwards."""
    if out:
        yield open_store(out, patience_seconds=store_patience())
        return
    with tempfile.TemporaryDirectory(prefix="i2p-") as folder:
        yield LocalStore(Path(folder))


def _begun(folder: Store) -> Store:
    """Where parts are kept; that it can be written to is found out now, and not after the first of them."""
    work = folder.at(_WORK)
    try:
        work.put("begun", b"")
    except NotFound as error:
        raise BadConfiguration(f"--out: {folder.url} cannot be made: {error}; choose another folder") from error
    return work


def _earlier(folder: Store, subject: str, *, force: bool) -> ResultsRecord | None:
    """The finished results of just these images; raises BadConfiguration for others, unless they may be replaced."""
    record = finished(folder)
    if record is None or record.subject == subject:
        return record
    if not force:
        raise BadConfiguration(
            f"{folder.url} holds predictions of other images, or by another model: choose another folder, or replace "
            "them with --force"
        )
    return None


def _params(args: argparse.Namespace) -> InferParams:
    try:
        return InferParams.model_validate(
            {
                "images": "of the command line",
                "bad_images": "record",
                "num_candidates": args.candidates,
                "compose": args.composing,
                "background": args.background,
                "thumbnail": args.thumbnail if args.out else 0,
                "device": args.device,
                "precision": args.precision,
                "batch_size": args.batch_size,
                "threads": threads_of(args.threads),
            }
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0]).replace("num_", "").replace("_", "-")
        raise BadConfiguration(f"--{name}: {first['msg']}, given {first['input']!r}") from error


def _summary(counts: Counts, rows: Sequence[Row], folder: Store | None, ensemble: EnsembleRecord | None) -> Summary:
    values = counts.model_dump(mode="json")
    text = table(rows, counts)
    if ensemble:
        values["ensemble"] = ensemble.model_dump(mode="json")
        text += "\n\n" + "\n".join(ensemble_lines(ensemble))
    if folder:
        text += f"\n\n{'page':<9} {folder.url}/{PAGE}"
        return Summary({**values, "out": folder.url}, text)
    return Summary({**values, "predictions": [values_of(row) for row in rows]}, text)
