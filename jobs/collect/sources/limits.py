"""How much a file of prompts may take: whoever publishes one is not known to mean well."""

from __future__ import annotations

from pydantic import Field

from jobs.runtime.spec import Params


class SourceLimits(Params):
    """Limits for a source's files. A row that exceeds one cannot be read; a file that does is bad data."""

    line_characters: int = Field(default=16 << 20, ge=1)
    """A longer line, row of a CSV, or value of parquet is no prompt; 16 million characters take 64 MiB at most."""

    field_characters: int = Field(default=1 << 20, ge=1)
    """A longer field of a CSV is one whose closing quotation mark is missing; real ones go to some 200,000."""

    image_bytes: int = Field(default=64 << 20, ge=1)
    """A larger image in a value of parquet is not read: 64 MiB hold a PNG of 16 million pixels that cannot be
    compressed at all."""

    expansion: float = Field(default=200.0, ge=1)
    """How many times its size a `.gz` may expand, beyond its first 4 MiB. Text expands 3 to 20 times; a thousand
    times, which is the most that gzip can, only what holds one thing over and over."""

    rows: int = Field(default=100_000_000, ge=1)
    """Rows of one file; the largest that is published has 14 million. A few bytes of parquet can claim any number, so a
    file with more rows than bytes is refused too, beyond a million."""

    seconds: float = Field(default=60.0, gt=0)
    """CPU time of the process that decodes parquet, for some thousand rows, which usually take 0.02 s."""

    memory_mib: int = Field(default=832, ge=64)
    """Memory of that process beside the program itself, which has 100 MiB. Some thousand rows have to fit in, and
    a page and the dictionary of each column, of which images may be in one page for all of a row group."""

    download_mib: int = Field(default=16_384, ge=1)
    """The most that is downloaded of a file at https:// or hf://. It goes to the folder for temporary files."""

    download_seconds: float = Field(default=14_400.0, gt=0)
    """How long that may take, waiting included: a server that sends a few bytes now and then would never end."""
