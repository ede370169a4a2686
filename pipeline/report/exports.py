"""The files of a run that people open: views of its datasets, written anew whenever they would differ."""

from __future__ import annotations

from collections.abc import Iterator

from jobs.contract.declaration import File
from jobs.contract.reading import ReadFile
from jobs.runtime.spec import Results, StageSpec, load
from jobs.shards.dataset import Dataset, load_manifest
from jobs.shards.store import Store, overwrite
from pipeline.configuration.run_config import RunConfig


def export_addresses(store: Store, config: RunConfig) -> dict[str, str]:
    """{name: address} of the files that the run exports, whether they are there yet or not."""
    found = {results.name: f"{store.url}/{results.page}" for _, results in _results(config)}
    return found | {file.name: f"{store.url}/{file.export}" for _, file in _exports(config)}


def write_exports(store: Store, config: RunConfig) -> dict[str, str]:
    """Write what is exported, as far as it is made; returns the addresses of what is there, by name."""
    written = {}
    for spec, results in _results(config):
        if dataset := _published(store, spec):
            load(results.write)(spec.writes(dataset), store.at(results.folder), config.run)
            written[results.name] = f"{store.url}/{results.page}"
    for spec, file in _exports(config):
        if dataset := _published(store, spec):
            written[file.name] = put(store, file.export, ReadFile(dataset, file.name, file.field).content())
    return written


def put(store: Store, name: str, body: bytes) -> str:
    """Make an object hold these bytes, whatever it held; returns its address."""
    overwrite(store, name, body)
    return f"{store.url}/{name}"


def _published(store: Store, spec: StageSpec) -> Dataset | None:
    manifest = load_manifest(store.at(spec.name))
    return None if manifest is None else Dataset(store.at(spec.name), manifest)


def _results(config: RunConfig) -> Iterator[tuple[StageSpec, Results]]:
    return ((spec, load(spec.results)) for spec in config.specs if spec.results)


def _exports(config: RunConfig) -> Iterator[tuple[StageSpec, File]]:
    for spec in config.specs:
        for declared in spec.writes.groups().values():
            if isinstance(declared, File) and declared.export:
                yield spec, declared
