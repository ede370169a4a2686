"""How fast files of prompts are read, and in how much memory; beside datatrove: `python -m benchmarks.sources`

A quarter of an hour. Each file has a million rows and is read by a process of its own, in which the rows or documents
of one reader are consumed. CPU is that of all its processes, so also of the sandboxed one, from the first row asked for
to the last. Then four times as many rows, for which the memory must not grow. `collect` is the whole stage: rows, keys,
samples, shards.
"""

from __future__ import annotations

import csv
import io
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import redirect_stderr
from itertools import islice
from pathlib import Path
from typing import Any, cast

import pyarrow as arrow
import pyarrow.parquet
from pydantic import TypeAdapter

from benchmarks.common import ROOT, memory_of, save
from jobs.collect.contract import Collected
from jobs.collect.sources import AnySource
from jobs.collect.sources.base import FileSource
from jobs.collect.stage import CollectParams
from jobs.collect.worker import collect
from jobs.runtime.sandbox.pool import Child
from jobs.shards.dataset import Writer
from jobs.shards.local import LocalStore

ROWS, TIMES = 1_000_000, 4
_ROW_GROUP = 100_000
_TEXT = (
    "a portrait of an old lighthouse on the cliff, highly detailed digital painting, trending on artstation, concept "
    "art, smooth, sharp focus, illustration by Alphonse Mucha, a café at night – cinematic lighting"
)
_FILES = {  # kind of source: file, and the class of datatrove that reads it with its settings
    "csv": ("a.csv", ("csv", "CsvReader", {})),
    "tsv": ("a.tsv", None),
    "jsonl": ("a.jsonl", ("jsonl", "JsonlReader", {})),
    "text": ("a.txt", None),
    "parquet": ("prompts.parquet", ("parquet", "ParquetReader", {})),
    "diffusiondb": (
        "metadata.parquet",
        ("parquet", "ParquetReader", {"read_metadata": False, "id_key": "image_name"}),  # two of the 13 columns
    ),
    "laion-coco": ("laion.parquet", None),
}


def main() -> None:
    figures: dict[str, Any] = {}
    for kind, (name, peer) in _FILES.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, name)
            write(kind, path, ROWS)
            figures[kind] = {"bytes": path.stat().st_size, "ours": measured("ours", kind, path)}
            if peer:
                figures[kind]["datatrove"] = measured("datatrove", kind, path)
            if kind == "parquet":
                figures["collect of parquet"] = measured("stage", kind, path)
            path.unlink()
            write(kind, path, TIMES * ROWS)
            figures[kind][f"ours, {TIMES} times the rows"] = measured("ours", kind, path)
    save("sources", figures, libraries=("datatrove", "pyarrow"))


def measured(reader: str, kind: str, path: Path) -> dict[str, Any]:
    """What a process of its own says of one reading."""
    command = [sys.executable, "-m", "benchmarks.sources", reader, kind, str(path)]
    found: dict[str, Any] = json.loads(subprocess.check_output(command, cwd=ROOT))
    return found


def measure(reader: str, kind: str, path: Path) -> dict[str, Any]:
    """Rows a second on the clock and of CPU, and the most memory of all processes together, in MB."""
    read = {"ours": ours, "datatrove": datatrove, "stage": stage}[reader](kind, path)
    peaks = children_s_peaks()
    wall, cpu = time.perf_counter(), cpu_seconds()
    rows = read()
    wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
    return {
        "rows": rows,
        "a_second": round(rows / wall),
        "a_second_and_core": round(rows / cpu),
        "cpu_seconds": round(cpu, 2),
        "peak_mb": round((memory_of("self")["VmHWM"] + max(peaks, default=0)) / 1000),
    }


def ours(kind: str, path: Path) -> Callable[[], int]:
    """Reads a source's rows."""
    source = _source(kind, path)
    (file,) = source.files()
    return lambda: sum(1 for _ in source.rows(file))


def datatrove(kind: str, path: Path) -> Callable[[], int]:
    """Reads datatrove's documents."""
    from importlib import import_module

    from datatrove.utils.logging import logger

    logger.remove()
    module, name, settings = _FILES[kind][1] or ("", "", {})
    reader = getattr(import_module(f"datatrove.pipeline.readers.{module}"), name)
    return lambda: sum(1 for _ in reader(str(path.parent), text_key="prompt", **settings).run())


def stage(kind: str, path: Path) -> Callable[[], int]:
    """Writes the shards of a file."""
    source = _source(kind, path)
    (file,) = source.files()

    def run() -> int:
        writer = Writer(LocalStore(path.parent / "out"))
        with redirect_stderr(io.StringIO()):  # the worker's log
            collect(source, file, CollectParams(sources=(source,)), Collected(writer), "a")
        return int(writer.stats["rows"])

    return run


def _source(kind: str, path: Path) -> FileSource:
    found = TypeAdapter(AnySource).validate_python({"kind": kind, "name": "a", "path": str(path)})
    return cast(FileSource, found)


def children_s_peaks() -> list[int]:
    """A list to which the most memory of each sandboxed process is added, in KB, when it is ended."""
    peaks: list[int] = []
    close = Child.close

    def closing(child: Child[Any, Any, Any]) -> None:
        peaks.append(memory_of(child._process.pid).get("VmHWM", 0))
        close(child)

    Child.close = closing  # type: ignore[method-assign, assignment]
    return peaks


def cpu_seconds() -> float:
    """Of this process and those of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def write(kind: str, path: Path, rows: int) -> None:
    """A file of a kind with so many different prompts, 100 characters each on average."""
    {"csv": _delimited, "tsv": _delimited, "jsonl": _jsonl, "text": _text}.get(kind, _parquet)(kind, path, _rows(rows))


def _rows(count: int) -> Iterator[tuple[int, str]]:
    words, chance = _TEXT.split(), random.Random(1)  # noqa: S311 - no secret
    return ((number, f"{number} {' '.join(chance.choices(words, k=15))}") for number in range(count))


def _delimited(kind: str, path: Path, rows: Iterable[tuple[int, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter="," if kind == "csv" else "\t")
        writer.writerow(["id", "prompt", "url"])
        writer.writerows((number, prompt, f"https://example.org/{number}.jpg") for number, prompt in rows)


def _jsonl(_: str, path: Path, rows: Iterable[tuple[int, str]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for number, prompt in rows:
            value = {"id": number, "prompt": prompt, "url": f"https://example.org/{number}.jpg"}
            file.write(json.dumps(value, ensure_ascii=False) + "\n")


def _text(_: str, path: Path, rows: Iterable[tuple[int, str]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{prompt}\n" for _, prompt in rows)


def _parquet(kind: str, path: Path, rows: Iterator[tuple[int, str]]) -> None:
    writer = None
    while chunk := list(islice(rows, _ROW_GROUP)):
        numbers, prompts = (list(column) for column in zip(*chunk, strict=True))
        columns = {"parquet": _plain, "diffusiondb": _diffusiondb, "laion-coco": _laion}[kind](numbers, prompts)
        table = arrow.table(columns)
        writer = writer or pyarrow.parquet.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()


def _plain(_: list[int], prompts: list[str]) -> dict[str, Any]:
    return {"prompt": prompts}


def _diffusiondb(numbers: list[int], prompts: list[str]) -> dict[str, Any]:
    def every(value: float, type_: Any) -> Any:
        return arrow.array([value] * len(numbers), type_)

    return {
        "image_name": [f"{number:08d}-0000-4000-8000-000000000000.png" for number in numbers],
        "prompt": prompts,
        "part_id": arrow.array([number // 1000 % 2000 for number in numbers], arrow.uint16()),
        "seed": arrow.array(numbers, arrow.uint32()),
        "step": every(50, arrow.uint16()),
        "cfg": every(7.0, arrow.float32()),
        "sampler": every(8, arrow.uint8()),
        "width": every(512, arrow.uint16()),
        "height": every(512, arrow.uint16()),
        "user_name": [f"{number % 10_000:064x}" for number in numbers],
        "timestamp": every(1_660_000_000_000_000, arrow.timestamp("us", tz="UTC")),
        "image_nsfw": every(0.1, arrow.float32()),
        "prompt_nsfw": every(0.01, arrow.float32()),
    }


def _laion(numbers: list[int], prompts: list[str]) -> dict[str, Any]:
    def every(value: float, type_: Any) -> Any:
        return arrow.array([value] * len(numbers), type_)

    return {
        "URL": [f"https://example.org/{number}.jpg" for number in numbers],
        "TEXT": [f"{prompt} - a shop's page" for prompt in prompts],
        "top_caption": prompts,
        "all_captions": [[prompt] * 5 for prompt in prompts],
        "all_similarities": [[0.3, 0.2, 0.2, 0.1, 0.1]] * len(numbers),
        "WIDTH": every(640, arrow.int64()),
        "HEIGHT": every(480, arrow.int64()),
        "similarity": every(0.33, arrow.float64()),
        "hash": numbers,
        "pwatermark": every(0.1, arrow.float64()),
        "punsafe": every(0.001, arrow.float64()),
    }


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1], sys.argv[2], Path(sys.argv[3]))))
    else:
        main()
