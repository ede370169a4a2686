"""Data in the formats it is published in: the extracts of tests/data, and beside them what is made when tests run."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pyarrow as arrow
import pyarrow.parquet as parquet

from tests.pictures import COLOURS, picture
from tests.shared_folder import SHARED

EXTRACTS = Path(__file__).parent / "data"
LAION_ROWS = 10_000  # more than the reader decodes at a time


def folders() -> dict[str, Path]:
    """Where published data is: the extracts here, and the whole files where ../shared is."""
    whole = SHARED / "data"
    return {"extracts": EXTRACTS, **({"whole": whole} if whole.is_dir() else {})}


def fill(folder: Path) -> None:
    """Copy the extracts, draw the images of the competition's sample, and write rows as LAION-400M has them."""
    shutil.copytree(EXTRACTS, folder, dirs_exist_ok=True)
    sample = folder / "competition_sample"
    (sample / "images").mkdir()
    with (sample / "prompts.csv").open(newline="") as file:
        for number, row in enumerate(csv.DictReader(file)):
            image = picture(number % len(COLOURS), seed=number, side=512)
            (sample / "images" / f"{row['imgId']}.png").write_bytes(image)
    (folder / "sources" / "laion400m").mkdir()
    _write_like_laion(folder / "sources" / "laion400m" / "test_10000.parquet")


def _write_like_laion(path: Path) -> None:
    """Columns URL and TEXT and pandas' index, in the format's version 1.0, with dictionaries and Snappy."""
    texts = [f'Écran "{number}" – {number % 7} in. | Shop & more, Vol. {number}' for number in range(LAION_ROWS)]
    index = {"index_columns": ["__index_level_0__"], "pandas_version": "1.3.2"}
    table = arrow.table(
        {
            "URL": [f"https://example.com/images/{number}.jpg?w=672&h=372" for number in range(LAION_ROWS)],
            "TEXT": texts,
            "__index_level_0__": list(range(LAION_ROWS)),
        }
    ).replace_schema_metadata({"pandas": json.dumps(index)})
    parquet.write_table(table, path, version="1.0", compression="snappy")
