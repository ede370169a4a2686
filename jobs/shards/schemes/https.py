"""Files of a web server that anyone may read."""

from __future__ import annotations

from jobs.shards.https import HttpsFiles
from jobs.shards.store import Downloads, Readable

ADDRESS = "https://HOST/PATH"
ONLY_READ = True


def open_at(rest: str, *, patience_seconds: float, downloads: Downloads) -> Readable:
    """The files below the URL; raises BadConfiguration where it is none, or one with a name or password."""
    return HttpsFiles(f"https://{rest}", patience_seconds=patience_seconds, downloads=downloads)
