"""The report's section of compare-images: pictures that are left out, and the closest of those that stay."""

from __future__ import annotations

from functools import partial

from jobs.compare_images.contract import ComparedImages
from jobs.compare_images.stage import splits_in_order
from jobs.report import formatting
from jobs.report.page import RunView, Section, StagePage, Tile
from jobs.report.picture_pairs import picture_pair
from jobs.shards.dataset import Dataset
from jobs.train.contract import Trained


def page(view: RunView) -> StagePage:
    """What the report shows of compare-images."""
    compared = view.get(ComparedImages[Dataset])
    section = partial(
        Section, id="pictures", title="Near-identical pictures", link="Near-identical", template="pictures.html.j2"
    )
    if compared is None:
        trained_before = Trained.stage in view.datasets  # a run from before there was this stage
        return StagePage(sections=() if trained_before else (section(missing=ComparedImages.stage),))
    comparison, shown = compared.comparison.value(), compared.shown.samples()
    found = [picture_pair(one.key, one.value, one["png"], one["witness.png"]) for one in shown]
    pairs = sorted(found, key=lambda pair: (-pair.cosine, pair.key))
    closest = {pair.picture for pair in comparison.closest.values()}
    total = sum(comparison.left_out.values())
    values = {
        "comparison": comparison,
        "compared": [(split, comparison.images[split]) for split in splits_in_order(list(comparison.images))],
        "left_out": [pair for pair in pairs if pair.key not in closest],
        "staying": [pair for pair in pairs if pair.key in closest],
        "total": total,
    }
    return StagePage(sections=(section(values=values),), tiles=(_tile(total),))


def _tile(left_out: int) -> Tile:
    if not left_out:
        return Tile(title="Near-identical pictures", value="None", text="No picture is in two splits.")
    text = "each near-identical to one of another split, which stays."
    return Tile(title="Pictures left out", value=formatting.count(left_out), text=text)
