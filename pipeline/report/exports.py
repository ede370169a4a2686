"""The files of a run that people open: views of its datasets, written anew whenever they would differ."""

from __future__ import annotations

from jobs.shards.dataset import Dataset, load_manifest
from jobs.shards.store import Store, overwrite
from pipeline.configuration.run_config import RunConfig

SUBMISSION = "submission.csv"


def submission_address(store: Store, config: RunConfig) -> str | None:
    """Where the submission of the run is, or will be; None where the run makes none."""
    made = any(spec.name == "submission" for spec in config.specs)
    return f"{store.url}/{SUBMISSION}" if made else None


def write_submission(store: Store, config: RunConfig) -> str | None:
    """Copy the validated submission out of its shard; returns its address, or None where the run has made none."""
    manifest = load_manifest(store.at("submission")) if submission_address(store, config) else None
    if manifest is None:
        return None
    (sample,) = Dataset(store.at("submission"), manifest).samples("submission")
    return put(store, SUBMISSION, sample["csv"])


def put(store: Store, name: str, body: bytes) -> str:
    """Make an object hold these bytes, whatever it held; returns its address."""
    overwrite(store, name, body)
    return f"{store.url}/{name}"
