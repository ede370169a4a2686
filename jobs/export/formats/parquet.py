"""Parquet with the types that Hugging Face's `datasets` and pandas read by themselves; images are its Image feature."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as arrow
import pyarrow.parquet as parquet

from jobs.export.draft import Draft
from jobs.export.format import Format
from jobs.export.rows import VECTOR, Column, Part, Row, Table

_IMAGE = "image"
_IMAGE_TYPE = arrow.struct({"bytes": arrow.binary(), "path": arrow.string()})
_GROUP_ROWS = 1000
_GROUP_BYTES = 8 << 20  # of images in a row group, which readers load as a whole


def write(part: Part, draft: Draft) -> None:
    """Write one file."""
    name = f"{part.name}.parquet"
    schema = _schema(part.table)
    texts = [column.name for column in part.table.columns if column.dtype == "string" and not column.many]
    single = [column.name for column in part.table.columns if not column.many]
    with parquet.ParquetWriter(
        draft.new(name),
        schema,
        compression=dict.fromkeys(single, "zstd"),  # images are compressed already, vectors cannot be
        use_dictionary=texts,
        write_statistics=single,
    ) as writer:
        for rows in _groups(draft.counted(name, part.rows())):
            writer.write_table(arrow.Table.from_arrays([_array(rows, field) for field in schema], schema=schema))


def _schema(table: Table) -> arrow.Schema:
    fields = [arrow.field(column.name, _type(column)) for column in table.columns]
    features = {column.name: _feature(column) for column in table.columns}
    if table.images:
        fields.append(arrow.field(_IMAGE, _IMAGE_TYPE))
        features[_IMAGE] = {"_type": "Image"}
    return arrow.schema(fields, {"huggingface": json.dumps({"info": {"features": features}})})


def _type(column: Column) -> arrow.DataType:
    one = arrow.type_for_alias(column.dtype)
    return arrow.list_(one) if column.many else one


def _feature(column: Column) -> dict[str, Any]:
    one: dict[str, Any] = {"dtype": column.dtype, "_type": "Value"}
    return {"feature": one, "_type": "List"} if column.many else one


def _groups(rows: Iterable[Row]) -> Iterator[list[Row]]:
    group: list[Row] = []
    size = 0
    for row in rows:
        group.append(row)
        size += len(row.image.data) if row.image else 0
        if len(group) == _GROUP_ROWS or size >= _GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _array(rows: Sequence[Row], field: arrow.Field) -> arrow.Array:
    if field.name == _IMAGE:
        images = [{"bytes": row.the_image.data, "path": f"{row.key}.{row.the_image.field}"} for row in rows]
        return arrow.array(images, _IMAGE_TYPE)
    if field.name == VECTOR.name:
        return _vectors([row.vector for row in rows])
    return arrow.array([row.values[field.name] for row in rows], field.type)


def _vectors(found: Sequence[bytes | None]) -> arrow.Array:
    import numpy as np

    from jobs.runtime.arrays import from_npy

    vectors = [None if vector is None else from_npy(vector) for vector in found]
    there = [vector for vector in vectors if vector is not None]
    ends = np.cumsum([0 if vector is None else len(vector) for vector in vectors])
    starts = [None if vector is None else int(end) - len(vector) for vector, end in zip(vectors, ends, strict=True)]
    numbers = np.concatenate(there) if there else np.empty(0, np.float32)
    return arrow.ListArray.from_arrays(arrow.array([*starts, int(ends[-1])], arrow.int32()), numbers)


FORMAT = Format(write=write, images=True)
