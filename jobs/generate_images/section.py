"""The report's section of generate-images: some of the images with their prompts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import chain, islice, zip_longest

from jobs.contract.reading import TypedSample
from jobs.contract.samples import Given, Origin
from jobs.generate_images.contract import GeneratedImages
from jobs.report import formatting
from jobs.report.page import RunView, Section, StagePage, Tile, setting
from jobs.report.pictures import is_small, uri, within
from jobs.shards.dataset import Dataset

_GRID = 24
GRID_BYTES = 1_400_000  # a third more as base64; with twice evaluate's CASES_BYTES the page stays below 5 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An image with its prompt."""

    uri: str
    prompt: str
    split: str
    small: bool
    source: str  # that gave it, empty where it was made


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """Some of all images."""

    pictures: tuple[Picture, ...]
    images: int  # how many there are in all
    given: int  # of these, by sources
    num_bytes: int  # of all shards
    model: str


def page(view: RunView) -> StagePage:
    """What the report shows of generate-images."""
    images = view.get(GeneratedImages[Dataset])
    section = partial(Section, id="images", title="Images and their prompts", link="Images", template="images.html.j2")
    if images is None:
        tile = Tile(title="Images", value="Not done", text="No image has been made.")
        return StagePage(sections=(section(missing=GeneratedImages.stage),), tiles=(tile,))
    shown = gallery(images)
    size = formatting.size(shown.num_bytes)
    taken = view.taken.get(GeneratedImages.stage, 0)
    parts = [
        f"{formatting.count(shown.given)} given by sources" if shown.given else "",
        f"{formatting.count(taken)} taken over from what was made before" if taken else "",
        f"{formatting.count(shown.images - shown.given - taken)} made" if shown.given or taken else "",
    ]
    how = "".join(f"{', ' if number else '; '}{part}" for number, part in enumerate(filter(None, parts)))
    tile = Tile(
        title="Images",
        value=formatting.count(shown.images),
        text=f"one for each chosen prompt, {size} with their vectors{how}.",
    )
    return StagePage(sections=(section(values={"gallery": shown}),), tiles=(tile,))


def gallery(images: GeneratedImages[Dataset]) -> Gallery:
    """Images of every split in turn, from the smallest shard of each."""
    splits = images.splits.names
    rows = []
    for split in splits:
        shards = [shard for shard in images.splits[split].shards() if shard.samples]
        if shards:
            smallest = min(shards, key=lambda shard: shard.size)
            rows.append([(split, sample) for sample in islice(images.splits.read(smallest), _GRID)])
    in_turn = [one for one in chain(*zip_longest(*rows)) if one is not None]
    chosen = within([sample for _, sample in in_turn], _GRID, GRID_BYTES)
    split_of = {sample.key: split for split, sample in in_turn}
    found = [
        Picture(
            uri=uri(one), prompt=one.text(), split=split_of[one.key], small=is_small(one), source=source_giving(one)
        )
        for one in chosen
    ]
    return Gallery(
        pictures=tuple(sorted(found, key=lambda picture: splits.index(picture.split))),
        images=sum(shard.samples for shard in images.shards()),
        given=sum(int(outcome.stats.get("given", 0)) for outcome in images.data.manifest.outcomes),
        num_bytes=sum(shard.size for shard in images.shards()),
        model=setting(images, "model"),
    )


def source_giving(sample: TypedSample[Origin]) -> str:
    """The source that gave a sample's image, empty where it was made."""
    return Given.decode(sample["given"], sample.key).source if "given" in sample else ""
