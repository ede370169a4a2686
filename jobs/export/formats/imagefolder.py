"""Images as files of their own: a folder for each split, and in it one for each shard, with its rows in a JSONL."""

from __future__ import annotations

from jobs.export.draft import Draft
from jobs.export.format import Format
from jobs.export.formats.jsonl import line
from jobs.export.rows import Part, image_folder

_ROWS = "metadata.jsonl"  # as Hugging Face's imagefolder wants it, which looks for `file_name` in it


def write(part: Part, draft: Draft) -> None:
    """Write the images of a shard, and their rows."""
    (shard,) = part.shards
    folder = image_folder(part.split, shard)
    with draft.new_text(f"{folder}/{_ROWS}") as file:
        for row in draft.counted(f"{folder}/{_ROWS}", part.rows()):
            image_name = row.values["image_name"]
            draft.new(image_name).write(row.the_image.data)
            file.write(line(row, vectors=part.table.has_vectors, file_name=image_name.removeprefix(f"{folder}/")))


FORMAT = Format(write=write, pattern="{split}/**", part_bytes=0, images=True, only_images=True)
