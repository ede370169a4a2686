"""The files of a run that people open: views of its datasets, written anew whenever they would differ."""

from __future__ import annotations

from collections.abc import Iterator

from jobs.contract.declaration import File
from jobs.contract.reading import ReadFile
from jobs.runtime.spec import StageSpec
from jobs.shards.dataset import Dataset, load_manifest
from jobs.shards.store import Store, overwrite
from pipeline.configuration.run_config import RunConfig


def export_addresses(store: Store, config: RunConfig) -> dict[str, str]:
    """{name of the group: address} of the files that the run exports, whether they are there yet or not."""
    return {file.name: f"{store.url}/{file.export}" for _, file in _exports(config)}


def write_exports(store: Store, config: RunConfig) -> dict[str, str]:
    """Copy exported files out of their shards; returns the addresses of those that are there, by group."""
    written = {}
    for spec, file in _exports(config):
        manifest = load_manifest(store.at(spec.name))
        if manifest is not None:
            dataset = Dataset(store.at(spec.name), manifest)
            written[file.name] = put(store, file.export, ReadFile(dataset, file.name, file.field).content())
    return written


def put(store: Store, name: str, body: bytes) -> str:
    """Make an object hold these bytes, whatever it held; returns its address."""
    overwrite(store, name, body)
    return f"{store.url}/{name}"


def _exports(config: RunConfig) -> Iterator[tuple[StageSpec, File]]:
    for spec in config.specs:
        for declared in spec.writes.groups().values():
            if isinstance(declared, File) and declared.export:
                yield spec, declared
