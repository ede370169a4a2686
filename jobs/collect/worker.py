"""Writes `txt`, the normalised prompt, and `json`, where it came from, for every distinct prompt of a file.

The images that a source gives are stored beside; `json` says where.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Set
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from jobs.collect.bad_rows import bad_image, bad_row
from jobs.collect.cleaning import refusal
from jobs.collect.contract import CollectCounts, Collected, CollectedOrigin
from jobs.collect.images import NOT_THERE, CheckedImage, ImageFacts, ImageShards, image_checker
from jobs.collect.sources import AnySource
from jobs.collect.sources.base import File, FileSource
from jobs.collect.sources.pairs import PairSource
from jobs.collect.sources.rows import AnyRow, BadRow, LeftOut, Row
from jobs.collect.stage import CollectParams, origins
from jobs.contract.declaration import Inputs
from jobs.contract.samples import Given
from jobs.errors import BadData, StalePlan
from jobs.imaging.decoding import BadImage
from jobs.imaging.foreign import READERS
from jobs.runtime import log
from jobs.runtime.prefetch import prefetch
from jobs.runtime.task import Task
from jobs.shards.dataset import Writer
from jobs.shards.keys import key_of_normalised, normalise
from jobs.shards.tar import Sample

_ROWS_OF_NO_BYTES = 1 << 20  # that a file may have beyond one for each of its bytes: a second or two


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row whose prompt is fit, with the prompt as it is stored and its key."""

    key: str
    row: Row
    prompt: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A row that is kept, and what is known of its image where the source gives one."""

    candidate: Candidate
    image: ImageFacts | None

    @property
    def key(self) -> str:
        return self.candidate.key


def run(task: Task[Inputs, Collected[Writer]], params: CollectParams) -> None:
    """Collect the pending files."""
    origin = {unit: (source, file) for unit, source, file in origins(params)}
    for unit in task.pending():
        with task.writing(unit) as output:
            source, file = origin[unit.name]
            collect(source, file, params, output, unit.name)
            if file and file.reads() != unit.reads:
                raise StalePlan(f"{file.label} changed while it was read; the controller plans it again")


def collect(source: AnySource, file: File | None, params: CollectParams, output: Collected[Writer], unit: str) -> None:
    """Write the kept prompts of one file as shards of `prompts_per_shard`, and count what was dropped and why."""
    counts: Counter[str] = Counter(rows=0, kept=0, repeated=0, too_short=0, too_long=0, unreadable=0)
    images = ImageShards(output, unit)
    kept = _kept(source, file, params, counts, images)
    for number, shard in enumerate(_in_shards(kept, params.prompts_per_shard)):
        images.flush()
        samples = [_sample(one, source, file, images, output) for one in shard]
        output.prompts.write_shard(f"{unit}-{number:05d}", sorted(samples, key=lambda sample: sample.key))
    output.stats.write(_as_counts(counts))


def _sample(one: Kept, source: AnySource, file: File | None, images: ImageShards, output: Collected[Writer]) -> Sample:
    whence: dict[str, Any] = {
        "source": source.name,
        "licence": source.licence,
        "file": file.label if file else None,
        "row": one.candidate.row.number,
    }
    origin = CollectedOrigin(**whence, **one.candidate.row.extra)
    if one.image:
        origin = origin.model_copy(update={"given": (_given(one.image, one.candidate.row.image_name, whence, images),)})
    return output.prompts.sample(one.key, origin, txt=one.candidate.prompt.encode())


def _given(image: ImageFacts, name: str | None, whence: Mapping[str, Any], images: ImageShards) -> Given:
    position = images.positions[image.sha256]
    return Given(
        sha256=image.sha256,
        object=position.object,
        start=position.start,
        size=image.size,
        field=image.field,
        width=image.width,
        height=image.height,
        name=name,
        **whence,
    )


def _in_shards(kept: Iterator[Kept], size: int) -> Iterator[list[Kept]]:
    """Lists of `size`; of several with one key, those after the first wait for the next list."""
    waiting: deque[Kept] = deque()
    while True:
        shard: dict[str, Kept] = {}
        late: list[Kept] = []
        while len(shard) < size and (one := waiting.popleft() if waiting else next(kept, None)):
            if one.key in shard:
                late.append(one)
            else:
                shard[one.key] = one
        if not shard:
            return
        yield list(shard.values())
        waiting.extendleft(reversed(late))


def _kept(
    source: AnySource, file: File | None, params: CollectParams, counts: Counter[str], images: ImageShards
) -> Iterator[Kept]:
    """Every prompt once, with its image where the source gives one; further images as `images_per_prompt` says.

    The images go to their shards at once, as those of many prompts would not fit into memory.
    """
    seen: set[str] = set()
    images_of: defaultdict[str, set[str]] = defaultdict(set)
    with closing(_checked(source, file, params, counts, seen)) as candidates:
        for one, image in candidates:
            if isinstance(one, BadData):
                raise one
            if isinstance(image, BadImage):
                if isinstance(source, FileSource) and file and source.on_bad_row == "fail":
                    raise bad_image(source, file, one.row, image)
                counts[f"image: {image.reason}"] += 1
                continue
            is_new = one.key not in seen
            if image:
                others, digest = images_of[one.key], image.facts.sha256
                is_new = digest not in others and len(others) < params.images_per_prompt
                others.add(digest)
            counts["kept" if is_new else "repeated"] += 1
            if is_new:
                seen.add(one.key)
                if image:
                    images.add(image)
                yield Kept(one, image.facts if image else None)


def _checked(
    source: AnySource, file: File | None, params: CollectParams, counts: Counter[str], seen: Set[str]
) -> Generator[tuple[Candidate | BadData, CheckedImage | BadImage | None]]:
    """The candidates, each with its image once that is checked, or with what is wrong with it."""
    with closing(_candidates(source, file, params, counts, seen)) as candidates:
        if not (isinstance(source, PairSource) and source.gives_images):
            yield from ((candidate, None) for candidate in candidates)
            return
        with image_checker(source.image_limits, params.threads) as check:

            def checked(one: Candidate | BadData) -> tuple[Candidate | BadData, CheckedImage | BadImage | None]:
                if isinstance(one, BadData):
                    return one, None
                try:
                    if one.row.image is None:
                        raise BadImage("the row has none", NOT_THERE)
                    return one, check(one.row.image)
                except BadImage as error:
                    return one, error

            threads = params.threads + READERS
            yield from prefetch(checked, candidates, threads=threads, depth=2 * threads)


def _candidates(
    source: AnySource, file: File | None, params: CollectParams, counts: Counter[str], seen: Set[str]
) -> Generator[Candidate | BadData]:
    """The rows whose prompt is fit; the others are counted by what is wrong with them.

    A row that fails its file ends them; its error is one of them, as rows before it may not be done with yet.
    """
    with closing(_rows(source, file)) as rows:
        limited = _up_to(source.limit, rows)
        for row in limited:
            counts["rows"] += 1
            log.progress(counts["rows"], None, "rows")
            if isinstance(row, LeftOut):
                counts[row.reason or "left_out"] += 1
                continue
            if isinstance(row, BadRow):
                if isinstance(source, FileSource) and file and source.on_bad_row == "fail":
                    yield bad_row(source, file, row, limited, counts["rows"])
                    return
                counts["unreadable"] += 1
                continue
            prompt = normalise(row.prompt)
            verdict, key = _unfit(prompt, params), key_of_normalised(prompt)
            if not verdict and key not in seen:  # else no rule refuses it
                verdict = refusal(params.rules, prompt, source.name)
            if verdict:
                counts[verdict] += 1
            else:
                yield Candidate(key, row, prompt)


def _as_counts(counts: Counter[str]) -> CollectCounts:
    own = {name: count for name, count in counts.items() if name in CollectCounts.model_fields}
    refused = {name: counts[name] for name in sorted(counts.keys() - own.keys())}
    return CollectCounts.model_validate({**own, "refused": refused} if refused else own)


def _rows(source: AnySource, file: File | None) -> Generator[AnyRow]:
    if not isinstance(source, FileSource):
        yield from source.rows()
        return
    assert file is not None  # noqa: S101 - by construction of the origins
    most = min(source.limits.rows, _ROWS_OF_NO_BYTES + file.size())
    for count, row in enumerate(source.rows(file), 1):
        if count > most:
            raise BadData(
                f"source {source.name}: {file.label} has more than {most:,} rows, which is more than `limits.rows` of "
                "the source allows, or than it has bytes; set `limit` to read only the first"
            )
        yield row


def _up_to(limit: int | None, rows: Iterable[AnyRow]) -> Iterator[AnyRow]:
    """The rows, up to so many that the source's own filter does not leave out."""
    taken = 0
    for row in rows:
        yield row
        taken += not isinstance(row, LeftOut)
        if taken == limit:
            return


def _unfit(prompt: str, params: CollectParams) -> str | None:
    if len(prompt.split()) < params.min_words:
        return "too_short"
    return "too_long" if len(prompt) > params.max_characters else None
