"""What images are called in a submission."""

from __future__ import annotations

from pathlib import PurePosixPath


def submitted_id(id_: str) -> str:
    """The name of an image of that id: a file's without folder and suffix; a generated image's is its key."""
    return PurePosixPath(id_).stem
