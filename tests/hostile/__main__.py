"""Writes all hostile files into a folder: `python -m tests.hostile FOLDER`. Needs 300 MB of disk, not the 60 GB."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.hostile.files import write_images, write_sources

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    images, sources = write_images(folder / "images"), write_sources(folder / "sources")
    print(f"{len(images)} images and {len(sources)} files of prompts in {folder}")
