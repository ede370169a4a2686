"""Pairs of pictures that are shown, in the report of this stage and in that of evaluate."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.compare_images.contract import ComparedImages
from jobs.report.pictures import is_small, png_uri
from jobs.shards.dataset import Dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class PicturePair:
    """Two pictures of different splits, with their prompts and the cosine of their signatures."""

    key: str
    cosine: float
    uris: tuple[str, str]  # of the picture, and of the one of an earlier split
    splits: tuple[str, str]
    prompts: tuple[str, str]
    small: bool


def shown_pairs(compared: ComparedImages[Dataset]) -> list[PicturePair]:
    """The pairs that were stored to be looked at, the closest first."""
    found = [
        PicturePair(
            key=sample.key,
            cosine=sample.value.cosine,
            uris=(png_uri(sample["png"]), png_uri(sample["witness.png"])),
            splits=(sample.value.split, sample.value.witness_split),
            prompts=(sample.value.prompt, sample.value.witness_prompt),
            small=is_small(sample),
        )
        for sample in compared.shown.samples()
    ]
    return sorted(found, key=lambda pair: (-pair.cosine, pair.key))
