"""Checks a submission file: `python -m jobs.submission.validate FILE [--like SAMPLE.csv]`.

With --like, the file must have exactly the images of that file, in its order.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from jobs.contract.samples import DIMENSIONS
from jobs.errors import OK, BadData

HEADER = ("imgId_eId", "val")

_NORM_TOLERANCE = 1e-3  # the sample file's own vectors are within 1e-6 of length 1


def validate(csv_file: Iterable[str], image_ids: Sequence[str]) -> None:
    """Check a file row by row, without holding it in memory; raises BadData that says what is required and given.

    Required: the header `imgId_eId,val`; for each image in the order of `image_ids` the rows `ID_0` to `ID_383`; all
    values finite, each image's 384 of length 1; nothing after that.
    """
    rows = _rows(csv_file)
    for id_ in image_ids:
        square = 0.0
        for dimension in range(DIMENSIONS):
            line, key, value = next(rows, (0, None, 0.0))
            required = f"{id_}_{dimension}"
            if key is None:
                raise BadData(f"the file ends before {required}; required are {len(image_ids) * DIMENSIONS:,} rows")
            if key != required:
                raise BadData(f"line {line}: required is the row of {required}, given is that of {key!r}")
            if not math.isfinite(value):
                raise BadData(f"line {line}: the value of {key} is {value}; every value must be a finite number")
            square += value * value
        if abs(math.sqrt(square) - 1) > _NORM_TOLERANCE:
            raise BadData(
                f"the vector of image {id_} has length {math.sqrt(square):.6f}; required is length 1: normalise it"
            )
    for line, key, _ in rows:
        raise BadData(f"line {line}: the file goes on with {key!r} after all {len(image_ids):,} images; cut it there")


def ids_in(csv_file: Iterable[str]) -> list[str]:
    """The images of a file in the order in which their first rows come; raises BadData."""
    return list(dict.fromkeys(key.rpartition("_")[0] for _, key, _ in _rows(csv_file)))


def _rows(csv_file: Iterable[str]) -> Iterator[tuple[int, str, float]]:
    """(line, key, value) of each row after the header."""
    reader = csv.reader(csv_file, strict=True)
    try:
        header = next(reader, [])
        if tuple(header) != HEADER:
            raise BadData(f"line 1: required is the header {','.join(HEADER)}, given is {','.join(header)!r}")
        for row in reader:
            if len(row) != len(HEADER):
                raise BadData(f"line {reader.line_num}: required are 2 columns, given are {len(row)}")
            yield reader.line_num, row[0], float(row[1])
    except csv.Error as error:
        raise BadData(f"line {reader.line_num}: not CSV: {error}") from error
    except ValueError as error:
        raise BadData(f"line {reader.line_num}: {error}; the second column must be a number") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the file named on the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m jobs.submission.validate", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--like", type=Path, help="a file with the images required, e.g. sample_submission.csv")
    options = parser.parse_args(arguments)
    try:
        with (options.like or options.file).open(newline="", encoding="utf-8") as file:
            image_ids = ids_in(file)
        with options.file.open(newline="", encoding="utf-8") as file:
            validate(file, image_ids)
    except (BadData, OSError, UnicodeDecodeError) as error:
        print(f"{options.file}: {error}", file=sys.stderr)
        return BadData.exit_code
    print(f"{options.file}: {len(image_ids):,} images, {len(image_ids) * DIMENSIONS:,} rows, all as required")
    return OK


if __name__ == "__main__":
    sys.exit(main())
