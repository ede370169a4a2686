"""What decoding in sandbox costs, beside the same work in the stage's own process; `python -m benchmarks.sandbox`

Eight minutes. Pictures in a folder, only decoded and also predicted by the demo's network; prompts in parquet, as
collect takes them. Pixels and shards must be equal. The peer is what the stages did before: Pillow and pyarrow in the
process itself, without looking at the file first.
"""

from __future__ import annotations

import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as arrow
import pyarrow.parquet
import torch
from PIL import Image, ImageFilter

from benchmarks.common import save
from jobs.collect.contract import Collected
from jobs.collect.sources.base import File
from jobs.collect.sources.kinds.parquet import Parquet
from jobs.collect.sources.rows import AnyRow, row_of
from jobs.collect.stage import CollectParams
from jobs.collect.worker import collect
from jobs.imaging.foreign import Square
from jobs.imaging.pixels import Pixels, decode, pixels
from jobs.infer.pictures import DecodeFile, file_decoders, read_files
from jobs.infer.stage import InferParams
from jobs.regressor.model import Regressor
from jobs.regressor.predict import in_batches, predict_batches
from jobs.regressor.values import Architecture
from jobs.regressor.viewer import Viewer, viewer_of
from jobs.shards.dataset import Writer
from jobs.shards.local import LocalStore

SIZE, THREADS, BATCH, REPEATS = 256, 2, 64, 5  # pixels; as infer's defaults on two cores
PICTURES = {  # what people give: format, width, height, how many
    "png 512": ("PNG", 512, 512, 400),
    "jpeg 512": ("JPEG", 512, 512, 400),
    "jpeg 12 megapixels": ("JPEG", 4000, 3000, 30),
}
ROWS = 300_000


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        figures = {
            name: compare_pictures(Path(folder) / name, form, (width, height), count)
            for name, (form, width, height, count) in PICTURES.items()
        }
        figures["parquet prompts"] = compare_rows(Path(folder) / "rows")
    save("sandbox", figures, libraries=("pillow", "simplejpeg", "pyarrow"))


def compare_pictures(folder: Path, form: str, size: tuple[int, int], count: int) -> dict[str, Any]:
    """Pictures a second, and CPU milliseconds of all processes for one of them."""
    folder.mkdir()
    names = [write_picture(folder, form, size, number) for number in range(count)]
    store, network = LocalStore(folder), demo_network()
    params = InferParams(threads=THREADS, batch_size=BATCH, thumbnail=0)

    def here(data: bytes, name: str, size: int) -> Square:
        image = decode(data, name)
        return Square(pixels(image, size).tobytes(), image.width, image.height)

    def read(decode_file: DecodeFile) -> Iterator[tuple[str, Pixels]]:
        for file in read_files(store, names, decode_file, SIZE, params):
            assert isinstance(file.pixels, np.ndarray), file.pixels  # noqa: S101
            yield file.name, file.pixels

    def decoded(decode_file: DecodeFile) -> int:
        total = 0
        for _, image in read(decode_file):
            total = hash((total, image.tobytes()))
        return total

    def predicted(decode_file: DecodeFile) -> int:
        batches = predict_batches(network, in_batches(read(decode_file), BATCH), params)
        return hash(tuple(outputs.vectors.tobytes() for _, outputs in batches))

    with file_decoders(params) as in_sandbox:
        decoded(in_sandbox)
        return {
            kind: compared(partial(read_all, in_sandbox), partial(read_all, here), count)
            for kind, read_all in (("decoded", decoded), ("predicted", predicted))
        }


def demo_network() -> Viewer:
    """The demo's tower with random weights."""
    torch.set_num_threads(THREADS)
    half = (0.5, 0.5, 0.5)
    architecture = Architecture(model="convnext_atto", image_size=SIZE, head="linear", mean=half, std=half)
    return viewer_of(Regressor(architecture).eval())


def write_picture(folder: Path, form: str, size: tuple[int, int], number: int) -> str:
    """A picture with shapes and grain, so that it compresses about as a photograph does."""
    chance = np.random.default_rng(number)
    coarse = Image.fromarray(chance.integers(0, 256, (12, 12, 3), np.uint8).astype(np.uint8))
    image = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC).filter(ImageFilter.BoxBlur(3)), np.int16)
    grain = chance.integers(-4, 5, (*size[::-1], 1), np.int16)
    name = f"{number:04}.{form.lower()}"
    Image.fromarray(np.clip(image + grain, 0, 255).astype(np.uint8)).save(folder / name, form, quality=90)
    return name


class InThisProcess(Parquet):
    """The peer: pyarrow in the worker itself."""

    def rows(self, file: File) -> Iterator[AnyRow]:
        number = 0
        with file.binary(self.limits) as binary:
            for batch in pyarrow.parquet.ParquetFile(binary).iter_batches(columns=[self.column]):
                for value in batch.column(0).to_pylist():
                    number += 1
                    yield row_of(number, value)


def compare_rows(folder: Path) -> dict[str, Any]:
    """Rows a second as collect takes them, which makes keys and shards of them; and CPU of all processes for one."""
    folder.mkdir()
    prompts = [f"a portrait of a cat, number {number}, in the style of a poster" for number in range(ROWS)]
    pyarrow.parquet.write_table(arrow.table({"prompt": prompts}), folder / "a.parquet")
    file = File(LocalStore(folder), "a.parquet")

    def read(kind: type[Parquet]) -> str:
        source = kind(kind="parquet", name="a", path=str(folder / "a.parquet"))
        writer = Writer(LocalStore(folder / kind.__name__))
        with redirect_stderr(io.StringIO()):  # the worker's log
            collect(source, file, CollectParams(sources=(source,)), Collected(writer), "a")
        return repr([shard.sha256 for shard in writer.shards])

    return compared(lambda: read(Parquet), lambda: read(InThisProcess), ROWS)


def compared(sandbox: Callable[[], object], here: Callable[[], object], count: int) -> dict[str, Any]:
    """Both in turn, several times, so that a busy moment of the machine meets both."""
    measured: dict[str, list[tuple[float, float]]] = {"sandbox": [], "here": []}
    for _ in range(REPEATS):
        results = set()
        for name, function in (("sandbox", sandbox), ("here", here)):
            wall, cpu = time.perf_counter(), cpu_seconds()
            results.add(function())
            measured[name].append((time.perf_counter() - wall, cpu_seconds() - cpu))
        assert len(results) == 1, "not the same pixels or rows"  # noqa: S101
    seconds = {
        name: [statistics.median(column) for column in zip(*rows, strict=True)] for name, rows in measured.items()
    }
    return {
        "a_second": {name: round(count / wall, 1) for name, (wall, _) in seconds.items()},
        "cpu_ms_each": {name: round(1000 * cpu / count, 4) for name, (_, cpu) in seconds.items()},
        "slower_by_percent": round(100 * (seconds["sandbox"][0] / seconds["here"][0] - 1), 1),
        "more_cpu_by_percent": round(100 * (seconds["sandbox"][1] / seconds["here"][1] - 1), 1),
    }


def cpu_seconds() -> float:
    """Of this process and its children, those that still run as well."""
    own = sum(os.times()[:4])
    tick = os.sysconf("SC_CLK_TCK")
    for process in Path("/proc").iterdir():
        try:
            parts = (process / "stat").read_text().rpartition(")")[2].split()
            own += (int(parts[11]) + int(parts[12])) / tick if int(parts[1]) == os.getpid() else 0.0
        except (OSError, IndexError):
            continue
    return own


if __name__ == "__main__":
    main()
