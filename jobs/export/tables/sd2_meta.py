"""The tables of the work that this pipeline goes back to: an image's name and its prompt, in a CSV for each origin.

They are made of a run of the preset `seed`, or of another one whose sources have the same names.
"""

from __future__ import annotations

import csv
from contextlib import ExitStack
from typing import Any

from jobs.errors import BadConfiguration
from jobs.export.command import IMAGES, Asked
from jobs.export.contents.images import content
from jobs.export.draft import Draft
from jobs.export.folder import ExportFolder, Subject
from jobs.export.making import Work, make
from jobs.export.rows import Row, Table
from jobs.export.run import summary
from jobs.generate_prompts.contract import Generated
from jobs.report.page import RunView, Summary
from jobs.runtime.commands import Progress
from jobs.shards.address import open_store

# By source, its files: one, or two for the prompts whose keys begin with 0 to 7 and with 8 to f. By which rule the
# original was cut in two is not known; this one keeps a prompt in its file, whatever else the run has.
FILES: dict[str, tuple[str, ...]] = {
    "diffusiondb": ("sd2_meta_211k_filter.csv",),
    Generated.generated.name: ("sd2_meta_540k_part1.csv", "sd2_meta_540k_part2.csv"),
    "conceptual-captions": ("sd2_meta_cc660k_part1.csv", "sd2_meta_cc660k_part2.csv"),
    "hard-gustavosta": ("sd2_meta_hard_filter.csv",),
    "hard-sd2gpt2": ("sd2_meta_hard_filter.csv",),
    "hard-sd2hardcode": ("sd2_meta_hard_filter.csv",),
    "hard-chatgpt": ("sd2_meta_hard_filter.csv",),
    "laion-coco": ("sd2_meta_laioncoco_p1.csv",),
    "multi-prompt": ("sd2_meta_pszemraj.csv",),
}
COLUMNS = ("image_name", "prompt")


def write(view: RunView, asked: Asked, show: Progress) -> Summary:
    """Write the eight files, in one pass over the images; raises NotFound before there are images.

    An image is named as in `i2p export images --format imagefolder`. Raises BadConfiguration for a prompt of a source
    that belongs to no table.
    """
    found = content(view)
    (table,) = found.tables
    subject = Subject(what=IMAGES.name, format=asked.format, vectors=False, dataset=found.dataset)
    folder = ExportFolder(open_store(asked.out), subject)
    rows = sum(shard.samples for _, shard in table.shards)
    make(folder, [Work(asked.format, rows, lambda draft: _write(table, draft))], show, force=asked.force)
    return summary(folder.finish(view.address, card=""), folder)


def _write(table: Table, draft: Draft) -> None:
    with ExitStack() as stack:
        writers: dict[str, Any] = {}
        for name in dict.fromkeys(name for names in FILES.values() for name in names):
            writers[name] = csv.writer(stack.enter_context(draft.new_text(name)), lineterminator="\n")
            writers[name].writerow(COLUMNS)
        for split, shard in table.shards:
            for row in table.read(split, shard):
                name = file_of(row)
                draft.count(name, row)
                writers[name].writerow(row.values[column] for column in COLUMNS)


def file_of(row: Row) -> str:
    """The file that a row of images belongs to; raises BadConfiguration where there is none."""
    source = row.values["source"]
    if source not in FILES:
        raise BadConfiguration(
            f"the prompt {row.key} is of the source {source!r}, which belongs to no table; a run of the preset `seed` "
            f"is required, or one whose sources have its names: {', '.join(FILES)}"
        )
    files = FILES[source]
    return files[int(row.key[0], 16) * len(files) // 16]
