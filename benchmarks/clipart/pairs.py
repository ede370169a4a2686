"""Pictures drawn by several processes, and written with their prompts as Hugging Face's imagefolder is."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.clipart.package import NAME, Pictures
from benchmarks.clipart.prompts import prompts_of
from benchmarks.clipart.svg_service import SVGS, Answer, Metadata, NotDrawn, Settings, Svg
from jobs.errors import BadConfiguration
from jobs.runtime.prefetch import prefetch
from jobs.runtime.sandbox.pool import Bounds, Pool, Refused
from pipeline.cli.progress import open_progress

METADATA, REFUSED, SUMMARY = "metadata.jsonl", "refused.jsonl", "summary.json"
LINK = "another name of a picture that is there"
WORDLESS = "says nothing of what it shows"

_BOUNDS = Bounds(seconds=5.0, memory=512 << 20)  # the slowest picture of the known package takes 0.4 s
_MOST_PNG = 16 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Written:
    """What became of all pictures; those in are those written and refused."""

    pictures: int
    written: int
    refused: dict[str, int]  # by reason
    distinct_prompts: int
    seconds: float

    def text(self, folder: Path) -> str:
        """For people."""
        lines = [
            f"{self.written:,} of {self.pictures:,} pictures with {self.distinct_prompts:,} different prompts are in "
            f"{folder}, after {self.seconds:.0f} s; not taken:",
            *(f"  {count:>5,}  {reason}" for reason, count in self.refused.items()),
        ]
        return "\n".join(lines)


def write_pairs(pictures: Pictures, folder: Path, *, size: int, threads: int) -> Written:
    """Write images/NNNNN.png, numbered by the sorted names of all pictures, and a line of metadata.jsonl for each.

    The folder appears when all is done. refused.jsonl says what was not taken and why, summary.json counts it. Raises
    BadConfiguration where something else is in the way.
    """
    if folder.exists():
        raise BadConfiguration(f"{folder} is there and holds no {SUMMARY}: choose another folder, or remove it")
    started = time.monotonic()
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    (unfinished / "images").mkdir(parents=True)
    numbers = {name: number for number, name in enumerate(pictures.names)}
    refused = dict.fromkeys(pictures.links, NotDrawn(reason=LINK))
    drawn: dict[str, Metadata] = {}
    for name, answer, png in _drawn(pictures, size, threads):
        if isinstance(answer, NotDrawn):
            refused[name] = answer
        else:
            drawn[name] = answer.metadata
            (unfinished / _file(numbers[name])).write_bytes(png)
    prompts = prompts_of(drawn)
    for name in [name for name, prompt in prompts.items() if not prompt]:
        refused[name] = NotDrawn(reason=WORDLESS)
        (unfinished / _file(numbers[name])).unlink()
        del prompts[name]
    rows = (_row(numbers[name], name, prompts[name], drawn[name]) for name in sorted(prompts))
    _write_lines(unfinished / METADATA, rows)
    _write_lines(unfinished / REFUSED, ({"svg": name, **refused[name].model_dump()} for name in sorted(refused)))
    reasons = Counter(answer.reason for answer in refused.values())
    written = Written(
        pictures=len(pictures.names) + len(pictures.links),
        written=len(prompts),
        refused=dict(sorted(reasons.items())),
        distinct_prompts=len(set(prompts.values())),
        seconds=round(time.monotonic() - started, 1),
    )
    facts = {
        "package": NAME,
        "sha256": pictures.digest,
        "size": size,
        "pictures": written.pictures,
        "written": written.written,
        "refused": written.refused,
        "distinct_prompts": written.distinct_prompts,
    }
    (unfinished / SUMMARY).write_text(json.dumps(facts, indent=2) + "\n")
    unfinished.rename(folder)
    return written


def _drawn(pictures: Pictures, size: int, threads: int) -> Iterator[tuple[str, Answer, bytes]]:
    """Each picture by its name, drawn by one of several processes."""
    with Pool(SVGS, Settings(size=size), _BOUNDS, threads) as pool, open_progress() as show:

        def draw(picture: tuple[str, bytes]) -> tuple[str, Answer, bytes]:
            name, data = picture
            try:
                return name, *pool.ask(Svg(), data, most=_MOST_PNG)
            except Refused as error:
                return name, NotDrawn(reason=error.reason, detail=str(error)), b""

        pool.start()
        for done, answer in enumerate(prefetch(draw, pictures.read(), threads=threads, depth=4 * threads), 1):
            show("drawing", done, len(pictures.names))
            yield answer


def _file(number: int) -> str:
    return f"images/{number:05}.png"


def _row(number: int, name: str, prompt: str, metadata: Metadata) -> dict[str, object]:
    return {"file_name": _file(number), "text": prompt, **metadata.model_dump(), "svg": name}


def _write_lines(path: Path, rows: Iterable[dict[str, object]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
