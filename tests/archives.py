"""Archives of the tests' own, unpacked."""

from __future__ import annotations

import tarfile
from pathlib import Path


def unpack(path: Path, folder: Path) -> None:
    """Extract a tar. `extractall(filter=…)` came with Python 3.11.4, and Debian 12 has 3.11.2."""
    with tarfile.open(path) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)
        archive.extractall(folder)  # noqa: S202 - an archive of our own
