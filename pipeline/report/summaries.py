"""The figures that stages sum themselves up in, for the command line."""

from __future__ import annotations

from collections.abc import Iterator

from jobs.errors import NotFound
from jobs.report.page import Summary
from jobs.runtime.spec import load
from jobs.shards.dataset import Dataset, load_manifest
from jobs.shards.store import Store
from pipeline.configuration.run_config import RunConfig


def summaries(store: Store, config: RunConfig) -> Iterator[Summary]:
    """What the stages of the run have to say; raises NotFound where one of them is not done."""
    for spec in config.specs:
        if not spec.summary:
            continue
        manifest = load_manifest(store.at(spec.name))
        if manifest is None:
            raise NotFound(f"there are no metrics before the stage {spec.name} is done; `i2p run` makes them")
        yield load(spec.summary)(spec.writes(Dataset(store.at(spec.name), manifest)))


def closing_lines(store: Store, config: RunConfig, report: str, exports: dict[str, str]) -> list[str]:
    """What a finished run says last: the scores if it made any, and where to look."""
    scores = [line for summary in summaries(store, config) for line in ("", summary.text)]
    return [*scores, "", f"report      {report}", *(f"{name:<11} {address}" for name, address in exports.items())]
