"""Files of a dataset on the Hugging Face hub, at one commit."""

from __future__ import annotations

from jobs.shards.hub import dataset_at
from jobs.shards.store import Downloads, Readable

ADDRESS = "hf://datasets/OWNER/NAME@COMMIT/PATH"
ONLY_READ = True


def open_at(rest: str, *, patience_seconds: float, downloads: Downloads) -> Readable:
    """The folder of the dataset; raises BadConfiguration where that is none, or not at a commit."""
    return dataset_at(rest, patience_seconds=patience_seconds, downloads=downloads)
