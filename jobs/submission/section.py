"""The report's tile of submission: where the file is, or will be."""

from __future__ import annotations

from jobs.contract.samples import DIMENSIONS
from jobs.report import formatting
from jobs.report.page import RunView, StagePage, Tile
from jobs.shards.dataset import Dataset
from jobs.submission.contract import Submitted

_TITLE = "Submission"


def page(view: RunView) -> StagePage:
    """What the report shows of submission."""
    return StagePage(tiles=(_tile(view),))


def _tile(view: RunView) -> Tile:
    name = Submitted.submission.export
    address = view.export(Submitted.stage, name)
    if address is None:
        return Tile(title=_TITLE, value="None", text="This run makes no submission.")
    submitted = view.get(Submitted[Dataset])
    if submitted is None:
        return Tile(title=_TITLE, value="Not done", text="It will be", code=address)
    rows = submitted.submission.content().count(b"\n") - 1  # the header
    images, lines = formatting.plural(rows // DIMENSIONS, "image"), formatting.plural(rows, "row")
    return Tile(title=_TITLE, value=name, text=f"{images}, {lines}, checked.", href=name, code=address)
