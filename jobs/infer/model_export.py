"""Writes a run's model as a folder: `i2p export model`."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from jobs.contract.samples import TRAIN
from jobs.errors import BadConfiguration, NotFound
from jobs.infer.contract import ModelInputs
from jobs.infer.model_folder import (
    CONFIDENCE,
    HELD_OUT,
    MODEL,
    NETWORK,
    PROMPTS,
    VECTORS,
    VOCABULARY,
    KnownPrompt,
    ModelFile,
    ModelRecord,
)
from jobs.infer.npy import npy_header, vector_in
from jobs.infer.stage import reads_of_model
from jobs.report import formatting
from jobs.report.page import RunView, Summary
from jobs.shards.digests import sha256_of_file
from jobs.shards.local import LocalStore
from jobs.shards.store import overwrite, spool, spooling

README = "README.md"
_NAMED = 3  # of files that are in the way

Origins = Counter[tuple[str, str]]  # prompts by source and licence


def write(view: RunView, folder: Path, *, force: bool) -> Summary:
    """Write the model of the run; `model.json` last. Raises NotFound before there is one, StoreFull.

    Raises BadConfiguration where something else is in the folder, unless that may be replaced (`force`).
    """
    if missing := [stage for stage in ModelInputs.stages() if stage not in view.datasets]:
        raise NotFound(f"{view.address} has no {formatting.listed(missing)} yet, of which a model is made; `i2p run`")
    inputs = ModelInputs(view.datasets[stage] for stage in ModelInputs.stages())
    store = LocalStore(folder)
    if not force and (there := [stat.name for stat in islice(store.list(""), _NAMED)]):
        raise BadConfiguration(
            f"{folder} holds files ({', '.join(there)}, …): choose another with --out, or write there with --force"
        )
    store.delete(MODEL)
    with spooling(), ExitStack() as stack:
        files: dict[str, BinaryIO] = {}

        def new(name: str) -> BinaryIO:
            return files.setdefault(name, stack.enter_context(spool()))

        parts = [
            (NETWORK, inputs.trained.model.sample().raw),
            (CONFIDENCE, inputs.evaluated.confidence.sample().raw),
            (VOCABULARY, inputs.cut.vocabulary.sample().raw),
            *((HELD_OUT, one.raw) for one in inputs.evaluated.held_out.samples()),  # none of an earlier evaluation
        ]
        for name, part in parts:
            for field, content in part.fields.items():
                new(f"{name}.{field}").write(content)
        origins = _write_prompts(inputs, new(PROMPTS), new(VECTORS))
        record = ModelRecord(
            run=view.address.rstrip("/").rpartition("/")[2],
            reads=reads_of_model(inputs),
            prompts=origins.total(),
            origins=tuple((*origin, rows) for origin, rows in sorted(origins.items())),
            files={name: _file_of(file) for name, file in files.items()},
        )
        new(README).write(_card(record).encode())
        for name, file in files.items():
            overwrite(store, name, file)
    overwrite(store, MODEL, record.encode())
    store.tidy()
    return _summary(record, folder)


def _write_prompts(inputs: ModelInputs, texts: BinaryIO, vectors: BinaryIO) -> Origins:
    prompts, origins = inputs.prompts.splits[TRAIN], Origins()
    vectors.write(npy_header(prompts.num_samples))
    for sample in prompts.samples():
        origin = sample.value.model_dump(exclude_unset=True)
        known = KnownPrompt(prompt=sample.text(), source=origin["source"], licence=origin.get("licence"))
        texts.write(known.encode() + b"\n")
        vectors.write(vector_in(sample["npy"], sample.key))
        origins[known.source, known.licence or ""] += 1
    return origins


def _file_of(file: BinaryIO) -> ModelFile:
    size = file.seek(0, 2)
    file.seek(0)
    return ModelFile(size=size, sha256=sha256_of_file(file))


def _card(record: ModelRecord) -> str:
    rows = [f"| {source} | {licence or 'not stated'} | {count:,} |" for source, licence, count in record.origins]
    lines = [
        f"# The model of the run {record.run}",
        "",
        "Exported by image-to-prompts. From an image it predicts the all-MiniLM-L6-v2 vector of the prompt that made",
        "it, and as text for it the closest of the prompts below, and others that are composed of their fragments:",
        "",
        "    i2p predict PICTURES --model FOLDER",
        "",
        f"`{MODEL}` lists the files with their digests. The prompts that it was trained with and answers with:",
        "",
        "| source | licence | prompts |",
        "| --- | --- | --- |",
        *rows,
    ]
    return "\n".join([*lines, ""])


def _summary(record: ModelRecord, folder: Path) -> Summary:
    size = sum(file.size for file in record.files.values())
    values = {
        "run": record.run,
        "prompts": record.prompts,
        "files": len(record.files) + 2,
        "bytes": size,
        "out": str(folder),
    }
    lines = [
        f"{'prompts':<9} {record.prompts:>11,}",
        f"{'files':<9} {values['files']:>11,}  {formatting.size(size)}",
        f"{'listed in':<9} {folder / MODEL}",
    ]
    return Summary(values, "\n".join(lines))
