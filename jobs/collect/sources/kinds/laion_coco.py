"""LAION-COCO as published: parquet of web images with their alternative text and captions that BLIP wrote."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from jobs.collect.sources.base import File, FileSource
from jobs.collect.sources.parquet_reading import Values, numbered_rows
from jobs.collect.sources.rows import AnyRow, Unfit, row_of
from jobs.collect.sources.scores import ScoreFilter, refused


class LaionCoco(FileSource):
    """The parquet files of laion/laion-coco. A filter that is set also leaves out rows that have no such score."""

    kind: Literal["laion-coco"]
    licence: str | None = "CC-BY-4.0 (unconfirmed)"

    caption: Literal["top_caption", "TEXT", "all_captions"] = "top_caption"
    """The column of the prompt. `TEXT` is the web page's own text; of `all_captions` it is the one of the highest of
    `all_similarities`, the first of equal ones."""

    min_similarity: float | None = Field(default=None, ge=-1, le=1)
    """Leave out images and texts whose `similarity` is less; counted as `min_similarity`."""

    max_watermark: float | None = Field(default=None, ge=0, le=1)
    """Leave out images whose `pwatermark`, the probability of a watermark, is more; counted as `max_watermark`."""

    max_unsafe: float | None = Field(default=None, ge=0, le=1)
    """Leave out images whose `punsafe`, the probability that they are unsafe, is more; counted as `max_unsafe`."""

    def rows(self, file: File) -> Iterator[AnyRow]:
        captions = [self.caption, *(["all_similarities"] if self.caption == "all_captions" else [])]
        filters = list(self._filters())
        columns = ["URL", *captions, *(one.column for one in filters)]
        for number, values in numbered_rows(self, file, columns):
            prompt = _most_similar(values) if self.caption == "all_captions" else values[self.caption]
            yield refused(filters, number, values) or row_of(number, prompt, url=values["URL"])

    def _filters(self) -> Iterator[ScoreFilter]:
        if self.min_similarity is not None:
            yield ScoreFilter("similarity", "min_similarity", least=self.min_similarity)
        if self.max_watermark is not None:
            yield ScoreFilter("pwatermark", "max_watermark", most=self.max_watermark)
        if self.max_unsafe is not None:
            yield ScoreFilter("punsafe", "max_unsafe", most=self.max_unsafe)


def _most_similar(values: Values) -> Any:
    captions, similarities = values["all_captions"], values["all_similarities"]
    if not isinstance(captions, list) or not isinstance(similarities, list):
        return Unfit("is not one of a list of captions with their similarities")
    if len(captions) != len(similarities):
        return Unfit(f"is one of {len(captions)} captions, of which {len(similarities)} have a similarity")
    known = [number for number, score in enumerate(similarities) if isinstance(score, float) and not math.isnan(score)]
    if not known:
        return Unfit("is one of captions of which none has a similarity")
    return captions[max(known, key=lambda number: similarities[number])]
