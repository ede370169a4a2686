"""The report's section of screen-images."""

from __future__ import annotations

from functools import partial

from jobs.report.page import RunView, Section, StagePage
from jobs.screen_images.contract import ScreenedImages
from jobs.shards.dataset import Dataset


def page(view: RunView) -> StagePage:
    """What the report shows of screen-images."""
    section = partial(Section, id="screened", title="Screened", link="Screened", template="screened.html.j2")
    screened = view.get(ScreenedImages[Dataset])
    if screened is None:
        return StagePage(sections=(section(missing=ScreenedImages.stage),))
    kept = sum(counts.kept for counts in screened.stats.values())
    return StagePage(sections=(section(values={"kept": kept}),))
