"""Predictions of any system, read from files: prompts, vectors with names beside them, or a submission.csv."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.contract.samples import DIMENSIONS
from jobs.errors import BadConfiguration, BadData
from jobs.score.submission_file import HEADER, vectors_in
from jobs.score.values import abstained_in, number_in, prompt_in

Floats = NDArray[np.float32]

NAMES = ("file", "id", "file_name", "filename", "image", "imgid", "image_id", "path", "name", "key")
PROMPTS = ("prompt", "predicted_prompt", "prediction", "text", "caption")
_EXPECTED, _ABSTAINED, _REASON, _VECTOR = "expected_cosine", "abstained", "reason", "vector"
_OF_FOLDER = ("predictions.jsonl", "predictions.csv")
_VECTORS = "vectors.npy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What a file says of one image: a prompt, or a vector, float32 of shape (384,), or neither where it has none."""

    name: str
    row: int  # of the file, from 1
    prompt: str | None = None
    vector: Floats | None = None
    expected_cosine: float | None = None
    abstained: str | None = None


def read_predictions(address: str) -> list[Prediction]:
    """The predictions of a file, or of a folder with predictions.jsonl and vectors.npy; raises BadConfiguration for
    another kind of file, BadData for one that is not as it should be.
    """
    path = Path(address)
    if path.is_dir():
        return _of_folder(path)
    if not path.is_file():
        raise BadConfiguration(f"--predictions: there is no file {address!r}")
    if path.suffix.lower() == ".npy":
        return _with_vectors(path, _names_beside(path))
    return _of_table(path)


def _of_folder(folder: Path) -> list[Prediction]:
    tables = [folder / name for name in _OF_FOLDER if (folder / name).is_file()]
    if not tables:
        raise BadConfiguration(
            f"--predictions: {str(folder)!r} has no {' or '.join(_OF_FOLDER)}; name a file of predictions"
        )
    vectors = folder / _VECTORS
    return _with_vectors(vectors, tables[0]) if vectors.is_file() else _of_table(tables[0])


def _of_table(path: Path) -> list[Prediction]:
    kind = path.suffix.lower()
    if kind in (".csv", ".tsv"):
        with path.open(newline="", encoding="utf-8-sig") as file, _readable(path):
            rows = csv.reader(file, delimiter="\t" if kind == ".tsv" else ",", strict=True)
            header = next(rows, [])
            if tuple(header) == HEADER:
                return [
                    Prediction(name=name, row=number, vector=vector)
                    for number, (name, vector) in enumerate(vectors_in(rows, path), 1)
                ]
            return list(_predictions(_dicts(path, header, rows), path))
    if kind in (".jsonl", ".ndjson"):
        with path.open(encoding="utf-8-sig") as file, _readable(path):
            return list(_predictions(_objects(path, file), path))
    if kind == ".parquet":
        import pyarrow.parquet as parquet  # imported late, few need it

        with _readable(path):
            return list(_predictions(enumerate(parquet.read_table(path).to_pylist(), 1), path))
    raise BadConfiguration(
        f"--predictions: a file that ends in .csv, .tsv, .jsonl, .parquet or .npy is required, given {str(path)!r}"
    )


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turns what a reader of a format raises for a damaged file into BadData that names the file."""
    try:
        yield
    except Exception as error:
        if isinstance(error, csv.Error | UnicodeDecodeError | OSError) or type(error).__module__ == "pyarrow.lib":
            raise BadData(f"{path} is not readable: {error}; UTF-8 text, or a whole file, is required") from error
        raise


def _dicts(path: Path, header: Sequence[str], rows: Iterable[list[str]]) -> Iterator[tuple[int, dict[str, str]]]:
    for number, row in enumerate(rows, 1):
        if not row:
            continue
        if len(row) != len(header):
            raise BadData(f"{path}: row {number} has {len(row)} fields, its header has {len(header)}")
        yield number, dict(zip(header, row, strict=True))


def _objects(path: Path, lines: Iterable[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise BadData(f"{path}: line {number} is not JSON: {error}") from error
        if not isinstance(value, dict):
            raise BadData(f"{path}: line {number} is no JSON object")
        yield number, value


def _predictions(rows: Iterable[tuple[int, Mapping[str, Any]]], path: Path) -> Iterator[Prediction]:
    for number, row in rows:
        known = {str(name).strip().casefold(): value for name, value in row.items()}
        name = next((known[one] for one in NAMES if known.get(one) not in (None, "")), None)
        if not isinstance(name, str | int):
            raise BadData(
                f"{path}: row {number} has no name of an image; a column `file` or `id` is required, and `prompt`, it "
                f"has {', '.join(map(str, row))}"
            )
        where = f"{path}: row {number}"
        yield Prediction(
            name=str(name),
            row=number,
            prompt=prompt_in(known, PROMPTS, where),
            vector=_vector(known.get(_VECTOR), where),
            expected_cosine=number_in(known.get(_EXPECTED), _EXPECTED, where),
            abstained=abstained_in(known.get(_ABSTAINED), known.get(_REASON), where),
        )


def _vector(value: Any, where: str) -> Floats | None:
    if not isinstance(value, list):
        return None
    try:
        return checked(np.asarray(value, np.float32), where)
    except (TypeError, ValueError) as error:
        raise BadData(f"{where}: its vector is none of {DIMENSIONS} numbers") from error


def checked(vector: Floats, where: str) -> Floats:
    """A vector of the required length whose numbers are finite; raises BadData."""
    if vector.shape != (DIMENSIONS,) or not np.isfinite(vector).all():
        raise BadData(f"{where}: {DIMENSIONS} finite numbers are required, given is an array of shape {vector.shape}")
    return vector


def _names_beside(path: Path) -> Path:
    candidates = [path.with_suffix(ending) for ending in (".jsonl", ".csv")] + [path.parent / one for one in _OF_FOLDER]
    for one in candidates:
        if one.is_file():
            return one
    raise BadConfiguration(
        f"--predictions: the names of the images for the rows of {path} are required in {candidates[0].name} or "
        f"{_OF_FOLDER[0]} beside it, with `id` or `file` in each line"
    )


def _with_vectors(path: Path, table: Path) -> list[Prediction]:
    """The rows of a table with the vectors of an array of as many rows, or of as many as the table has rows with a
    prompt; then the others have none.
    """
    named = _of_table(table)
    try:
        vectors = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BadData(f"{path} is no array of numbers in numpy's .npy format: {error}") from error
    if vectors.ndim != 2 or vectors.shape[1] != DIMENSIONS or vectors.dtype.kind != "f":
        raise BadData(
            f"{path}: an array of shape (n, {DIMENSIONS}) of floating-point numbers is required, given is one of "
            f"{vectors.shape} of {vectors.dtype}"
        )
    having = named if len(named) == len(vectors) else [one for one in named if one.prompt]
    if len(having) != len(vectors):
        raise BadData(f"{path} has {len(vectors):,} rows and {table} {len(named):,}: a vector for each is required")
    found = {
        one.row: np.asarray(vector, np.float32)
        for one, vector in zip(having, vectors, strict=True)
        if not np.isnan(vector).all()  # as `i2p predict` writes it of an image that could not be read
    }
    return [
        replace(
            one,
            vector=checked(found[one.row], f"{path}: row {one.row}") if one.row in found else None,
            prompt=one.prompt,
        )
        for one in named
    ]
