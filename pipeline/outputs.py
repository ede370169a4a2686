"""The files of a run that people open: views of its datasets, written anew whenever they would differ."""

from __future__ import annotations

from jobs.shards.dataset import Dataset, load_manifest
from jobs.shards.store import Store, overwrite

SUBMISSION = "submission.csv"


def write_submission(store: Store) -> str | None:
    """Copy the validated submission out of its shard; returns its address, or None before that stage is done."""
    manifest = load_manifest(store.at("submission"))
    if manifest is None:
        return None
    (sample,) = Dataset(store.at("submission"), manifest).samples("submission")
    return put(store, SUBMISSION, sample["csv"])


def put(store: Store, name: str, body: bytes) -> str:
    """Make an object hold these bytes, whatever it held; returns its address."""
    overwrite(store, name, body)
    return f"{store.url}/{name}"
