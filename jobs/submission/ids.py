"""What images are called in a submission."""

from __future__ import annotations

from pathlib import PurePosixPath

from jobs.imaging.limits import SUFFIXES


def submitted_id(id_: str) -> str:
    """The name of an image of that id: a file's without folder and suffix; a generated image's is its key."""
    path = PurePosixPath(id_)
    return path.stem if path.suffix.lower() in SUFFIXES else path.name
