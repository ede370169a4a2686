"""How fast files of prompts are read, and in how much memory; beside datatrove: `python -m benchmarks.sources`

An hour, or less for the formats that are named as arguments, whose figures are only printed. Each file has a million
rows, or a quarter of it where these have images, and is read by a process of its own, in which the rows or documents of
one reader are consumed. CPU is that of all its processes, so also of the sandboxed one, from the first row asked for to
the last. Then four times as many rows, for which the memory must not grow, but for folders of files, whose names are
held. Images have 16 x 16 pixels; those in tars and parquet come with the rows. `collect` is the whole stage: rows,
keys, images decoded, samples, shards.
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
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, cast

import pyarrow as arrow
import pyarrow.parquet
from PIL import Image, PngImagePlugin
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
IMAGES = ROWS // TIMES  # of formats whose rows have images, so that the million comes second
COLLECTED = 100_000  # of these, by the whole stage

Numbered = tuple[int, str]
_ROW_GROUP = 100_000
_TEXTS = 10_007  # 1 MB, more than any of the formats' compression looks back
_TEXT = (
    "a portrait of an old lighthouse on the cliff, highly detailed digital painting, trending on artstation, concept "
    "art, smooth, sharp focus, illustration by Alphonse Mucha, a café at night – cinematic lighting"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A kind of source with its settings, how its file is written, and the class of datatrove that reads it."""

    kind: str
    file: str  # empty for a folder
    write: Callable[[Path, Iterator[Numbered]], None]
    settings: dict[str, Any] = field(default_factory=dict)
    peer: tuple[str, str, dict[str, Any]] | None = None  # module, class, settings
    rows: int = ROWS
    collected: int = 0  # rows of the whole stage, beside the reading alone


def main() -> None:
    wanted, figures = sys.argv[1:] or list(FORMATS), {}
    for name in wanted:
        one = FORMATS[name]
        figures[name] = {"ours": measured("ours", name, one.rows)}
        if one.peer:
            figures[name]["datatrove"] = measured("datatrove", name, one.rows)
        figures[name][f"ours, {TIMES} times the rows"] = measured("ours", name, TIMES * one.rows)
        if one.collected:
            figures[name]["collect"] = measured("stage", name, one.collected)
        print(name, json.dumps(figures[name]), flush=True)
    if wanted == list(FORMATS):
        save("sources", figures, libraries=("datatrove", "pyarrow", "webdataset"))


def measured(reader: str, name: str, rows: int) -> dict[str, Any]:
    """What a process of its own says of reading so many rows."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, FORMATS[name].file or "folder")
        FORMATS[name].write(path, _numbered(rows))
        command = [sys.executable, "-m", "benchmarks.sources", "measure", reader, name, str(path)]
        found: dict[str, Any] = json.loads(subprocess.check_output(command, cwd=ROOT))
    return found


def measure(reader: str, one: Format, path: Path) -> dict[str, Any]:
    """Rows a second on the clock and of CPU, and the most memory of all processes together, in MB."""
    read = {"ours": ours, "datatrove": datatrove, "stage": stage}[reader](one, path)
    peaks = children_s_peaks()
    wall, cpu = time.perf_counter(), cpu_seconds()
    rows = read()
    wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
    return {
        "rows": rows,
        "a_second": round(rows / wall),
        "a_second_and_core": round(rows / cpu),
        "cpu_seconds": round(cpu, 2),
        "peak_mb": round((memory_of("self")["VmHWM"] + sum(peaks)) / 1000),
    }


def ours(one: Format, path: Path) -> Callable[[], int]:
    """Reads a source's rows."""
    source = _source(one, path)
    (file,) = source.files()
    return lambda: sum(1 for _ in source.rows(file))


def datatrove(one: Format, path: Path) -> Callable[[], int]:
    """Reads datatrove's documents."""
    from importlib import import_module

    from datatrove.utils.logging import logger

    logger.remove()
    module, name, settings = one.peer or ("", "", {})
    reader = getattr(import_module(f"datatrove.pipeline.readers.{module}"), name)
    return lambda: sum(1 for _ in reader(str(path.parent), text_key="prompt", **settings).run())


def stage(one: Format, path: Path) -> Callable[[], int]:
    """Writes the shards of a file."""
    source = _source(one, path)
    (file,) = source.files()

    def run() -> int:
        writer = Writer(LocalStore(path.parent / "out"))
        with redirect_stderr(io.StringIO()):  # the worker's log
            collect(source, file, CollectParams(sources=(source,)), Collected(writer), "a")
        return int(writer.stats["rows"])

    return run


def _source(one: Format, path: Path) -> FileSource:
    values = {"kind": one.kind, "name": "a", "path": str(path), **one.settings}
    return cast(FileSource, TypeAdapter(AnySource).validate_python(values))


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


def _numbered(count: int) -> Iterator[Numbered]:
    """So many different prompts, 100 characters each on average, which begin with their number."""
    words, chance = _TEXT.split(), random.Random(1)  # noqa: S311 - no secret
    texts = [" ".join(chance.choices(words, k=15)) for _ in range(_TEXTS)]
    return ((number, f"{number} {texts[number % _TEXTS]}") for number in range(count))


def _table(path: Path, rows: Iterator[Numbered], *, delimiter: str = ",") -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(["id", "prompt", "url"])
        writer.writerows((number, text, f"https://example.org/{number}.jpg") for number, text in rows)


def _captions(path: Path, rows: Iterator[Numbered]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{text}\thttps://example.org/{number}.jpg\n" for number, text in rows)


def _multi_prompt(path: Path, rows: Iterator[Numbered]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "src_dataset"])
        writer.writerows((text, f"set-{number % 13}") for number, text in rows)


def _jsonl(path: Path, rows: Iterator[Numbered]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{_json(number, text)}\n" for number, text in rows)


def _json_array(path: Path, rows: Iterator[Numbered]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write("[")
        file.writelines(f"{',' if number else ''}{_json(number, text)}\n" for number, text in rows)
        file.write("]")


def _json(number: int, text: str) -> str:
    return json.dumps({"id": number, "prompt": text, "url": f"https://example.org/{number}.jpg"}, ensure_ascii=False)


def _text(path: Path, rows: Iterator[Numbered]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{prompt}\n" for _, prompt in rows)


def _parquet(path: Path, rows: Iterator[Numbered], columns: Callable[[list[int], list[str]], dict[str, Any]]) -> None:
    writer = None
    while chunk := list(islice(rows, _ROW_GROUP)):
        numbers, prompts = (list(column) for column in zip(*chunk, strict=True))
        table = arrow.table(columns(numbers, prompts))
        writer = writer or pyarrow.parquet.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()


def _plain(_: list[int], prompts: list[str]) -> dict[str, Any]:
    return {"prompt": prompts}


def _with_images(numbers: list[int], prompts: list[str]) -> dict[str, Any]:
    return {"image": [{"bytes": _png(number), "path": f"{number}.png"} for number in numbers], "prompt": prompts}


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


def _imagefolder(folder: Path, rows: Iterator[Numbered]) -> None:
    folder.mkdir()
    with (folder / "metadata.jsonl").open("w", encoding="utf-8") as file:
        for number, text in rows:
            name = f"{number // 1000:04}/{number:07}.png"
            file.write(json.dumps({"file_name": name, "text": text}, ensure_ascii=False) + "\n")
            _write(folder / name, _png(number))


def _sidecars(folder: Path, rows: Iterator[Numbered]) -> None:
    for number, text in rows:
        name = f"{number // 1000:04}/{number:07}"
        _write(folder / f"{name}.png", _png(number))
        _write(folder / f"{name}.txt", text.encode())


def _parameters(folder: Path, rows: Iterator[Numbered]) -> None:
    for number, text in rows:
        found = PngImagePlugin.PngInfo()
        found.add_text("parameters", f"{text}\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, Seed: {number}")
        _write(folder / f"{number // 1000:04}/{number:07}.png", _png(number, pnginfo=found))


def _tar(path: Path, rows: Iterator[Numbered]) -> None:
    import webdataset  # 500 MB of memory with torch, which most formats do without

    with webdataset.TarWriter(str(path)) as tar:
        for number, text in rows:
            tar.write({"__key__": f"{number:08}", "png": _png(number), "txt": text})


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _png(number: int, **options: Any) -> bytes:
    """A picture of 16 x 16 pixels of one colour, another one for each number below 16 million."""
    file = io.BytesIO()
    Image.new("RGB", (16, 16), (number >> 16, number >> 8 & 255, number & 255)).save(file, "PNG", **options)
    return file.getvalue()


_DATATROVE_PARQUET = ("parquet", "ParquetReader")

FORMATS = {
    "csv": Format(kind="csv", file="a.csv", write=_table, peer=("csv", "CsvReader", {})),
    "tsv": Format(kind="tsv", file="a.tsv", write=partial(_table, delimiter="\t")),
    "conceptual-captions": Format(kind="conceptual-captions", file="a.tsv", write=_captions),
    "text2image-multi-prompt": Format(kind="text2image-multi-prompt", file="a.csv", write=_multi_prompt),
    "jsonl": Format(kind="jsonl", file="a.jsonl", write=_jsonl, peer=("jsonl", "JsonlReader", {})),
    "json": Format(kind="json", file="a.json", write=_json_array),
    "text": Format(kind="text", file="a.txt", write=_text),
    "parquet": Format(
        kind="parquet",
        file="prompts.parquet",
        write=partial(_parquet, columns=_plain),
        peer=(*_DATATROVE_PARQUET, {}),
        collected=ROWS,
    ),
    "diffusiondb": Format(
        kind="diffusiondb",
        file="metadata.parquet",
        write=partial(_parquet, columns=_diffusiondb),
        peer=(*_DATATROVE_PARQUET, {"read_metadata": False, "id_key": "image_name"}),  # two of the 13 columns
    ),
    "laion-coco": Format(kind="laion-coco", file="laion.parquet", write=partial(_parquet, columns=_laion)),
    "parquet with images": Format(
        kind="parquet",
        file="pairs.parquet",
        write=partial(_parquet, columns=_with_images),
        settings={"image": "image"},
        rows=IMAGES,
        collected=COLLECTED,
    ),
    "webdataset": Format(kind="webdataset", file="a.tar", write=_tar, rows=IMAGES, collected=COLLECTED),
    "imagefolder": Format(kind="imagefolder", file="", write=_imagefolder, rows=IMAGES, collected=COLLECTED),
    "sidecar": Format(kind="sidecar", file="", write=_sidecars, rows=IMAGES),
    "png-parameters": Format(kind="png-parameters", file="", write=_parameters, rows=IMAGES),
}


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        print(json.dumps(measure(sys.argv[2], FORMATS[sys.argv[3]], Path(sys.argv[4]))))
    else:
        main()
