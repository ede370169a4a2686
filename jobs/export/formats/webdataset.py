"""Tars, as the webdataset library reads them: `txt`, `json` with the row, the image, `npy` with the vector."""

from __future__ import annotations

from collections.abc import Iterator

from jobs.export.draft import Draft
from jobs.export.format import Format
from jobs.export.rows import Part
from jobs.shards.tar import Sample, json_field, write_tar


def write(part: Part, draft: Draft) -> None:
    """Write one tar."""
    name = f"{part.name}.tar"

    def samples() -> Iterator[Sample]:
        for row in draft.counted(name, part.rows()):
            fields = {"txt": row.values["prompt"].encode(), "json": json_field(row.values)}
            if part.table.images:
                fields[row.the_image.field] = row.the_image.data
            if part.table.has_vectors and row.vector is not None:
                fields["npy"] = row.vector
            yield Sample(row.key, fields)

    write_tar(samples(), draft.new(name))


# One shard in each, because only inside of a shard are all keys in ascending order.
FORMAT = Format(write=write, part_bytes=0, images=True)
