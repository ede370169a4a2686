"""Sources in parquet, through the process that decodes them: each value as it stands there, each filter by its name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest
from pydantic import TypeAdapter, ValidationError

from jobs.collect.sources import AnySource
from jobs.collect.sources.base import FileSource
from jobs.collect.sources.parquet_reading import numbered_rows
from jobs.collect.sources.rows import AnyRow, BadRow, ImageFile, LeftOut, Row, Unfit
from jobs.collect.stage import CollectParams, units
from jobs.contract.declaration import Inputs
from jobs.errors import BadData
from jobs.runtime.sandbox import pool
from jobs.runtime.sandbox.pool import Child, Died

SOURCES: TypeAdapter[AnySource] = TypeAdapter(AnySource)


def source(kind: str, path: Path, **more: Any) -> FileSource:
    made = SOURCES.validate_python({"kind": kind, "name": "a", "path": str(path), **more})
    assert isinstance(made, FileSource)
    return made


def rows(source: FileSource, processes: int = 1) -> list[AnyRow]:
    (file,) = source.files()
    return list(source.rows(replace(file, processes=processes)))


def written(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    parquet.write_table(arrow.table(columns), path, **options)
    return path


# ---- values ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (arrow.array(["é", None, "", "a" * 9], arrow.large_string()), ["é", None, "", "a" * 9]),
        (arrow.array(["b", None, "a", "b"]).dictionary_encode(), ["b", None, "a", "b"]),
        (arrow.array([1, None, -3, 2**62]), [1, None, -3, 2**62]),
        (arrow.array([1, None, 3, 2**64 - 1], arrow.uint64()), [1, None, 3, 2**64 - 1]),
        (arrow.array([0.5, None, 2.0, 7.0], arrow.float32()), [0.5, None, 2.0, 7.0]),
        (arrow.array([True, None, False, True]), [True, None, False, True]),
        (arrow.array([["a", "é"], None, [], [None]]), [["a", "é"], None, [], [None]]),
        (arrow.array([[0.5], None, [], [1.0, None]]), [[0.5], None, [], [1.0, None]]),
        (arrow.nulls(4), [None] * 4),
    ],
)
def test_a_value_comes_as_it_stands_in_the_file(tmp_path: Path, column: Any, expected: list[Any]) -> None:
    one = source("parquet", written(tmp_path / "a.parquet", {"x": column}))
    (file,) = one.files()
    found = [values["x"] for _, values in numbered_rows(one, file, ["x"])]
    assert (found, [type(value) for value in found]) == (expected, [type(value) for value in expected])


def test_odd_values_are_each_a_reason_of_their_own(tmp_path: Path) -> None:
    invalid = arrow.array([b"a", b"caf\xe9", b"\xed\xa0\x80", b"a" * 99], arrow.binary()).view(arrow.string())
    table = {
        "text": invalid,
        "items": arrow.array([["a"], ["a" * 99], None, []]),
        "struct": [{"a": 1}, None, None, None],
        "bytes": [b"a", None, None, None],
        "time": arrow.array([2**62, None, None, None], arrow.timestamp("us")),
    }
    one = source("parquet", written(tmp_path / "a.parquet", table), limits={"line_characters": 50})
    (file,) = one.files()
    found = [values for _, values in numbered_rows(one, file, list(table))]
    assert [row["text"] for row in found] == [
        "a",
        Unfit("is not valid UTF-8"),
        Unfit("is not valid UTF-8"),
        Unfit("has more than 50 characters"),
    ]
    assert [row["items"] for row in found] == [["a"], [Unfit("has more than 50 characters")], None, []]
    assert [row["struct"] for row in found] == [Unfit("is not text but dict"), None, None, None]
    assert found[0]["bytes"] == Unfit("is not text but bytes")
    assert str(found[0]["time"].reason).startswith("cannot be read: ")


def test_rows_are_the_same_whatever_the_row_groups_and_processes_are(tmp_path: Path) -> None:
    prompts = [None if number % 7 == 0 else f"é {number}" for number in range(60_000)]
    for size in (700, 20_000, 60_000):
        path = written(tmp_path / f"{size}.parquet", {"prompt": prompts, "n": range(60_000)}, row_group_size=size)
        for processes in (1, 3):
            one = source("parquet", path, keep=["n"])
            found = [row.prompt if isinstance(row, Row) else None for row in rows(one, processes)]
            assert found == prompts, (size, processes)


def test_a_row_group_larger_than_the_memory_is_read_page_by_page(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    images = [bytes([number]) * (1 << 20) for number in range(250)]
    written(path, {"prompt": ["a"] * 250, "image": images}, compression=None, use_dictionary=False, write_batch_size=2)
    assert parquet.ParquetFile(path).num_row_groups == 1
    one = source("parquet", path, image="image", limits={"memory_mib": 200})
    assert [row.image for row in rows(one) if isinstance(row, Row)] == images


def test_parts_after_one_that_cannot_be_decoded_cost_the_file_but_not_the_rows_before(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    texts = [f"prompt {number}" for number in range(60_000)]
    written(path, {"prompt": texts}, row_group_size=20_000, compression=None, use_dictionary=False)
    start = parquet.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    data = bytearray(path.read_bytes())
    data[start : start + 40] = b"\xff" * 40
    path.write_bytes(data)
    for processes in (1, 2):
        one = source("parquet", path)
        (file,) = one.files()
        found = []
        with pytest.raises(BadData, match=r"a\.parquet is not readable as parquet after row 20000"):
            for row in one.rows(replace(file, processes=processes)):
                assert isinstance(row, Row)
                found.append(row.prompt)
        assert found == texts[:20_000]


def test_rows_that_were_reported_are_not_repeated_when_the_process_dies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"prompt {number}" for number in range(50_000)]
    path = written(tmp_path / "a.parquet", {"prompt": texts}, row_group_size=20_000)
    left = [4]  # answers until one process dies
    answer = Child.answer

    def dying(child: Any, most: int) -> Any:
        left[0] -= 1
        if left[0] == 0:
            child.close()
            raise Died("ended with -9")
        return answer(child, most)

    monkeypatch.setattr(pool.Child, "answer", dying)
    found = rows(source("parquet", path), processes=2)
    assert left[0] < 0
    assert [(row.number, row.prompt) for row in found if isinstance(row, Row)] == list(enumerate(texts, 1))


# ---- kind parquet ---------------------------------------------------------------------------------------------------


def test_columns_are_found_in_any_case_and_kept_under_the_name_that_was_given(tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet", {"Prompt": ["a"], "SRC_dataset": ["x"], "n": [3], "N": [4]})
    assert rows(source("parquet", path, keep=["src_dataset", "n"])) == [Row(1, "a", {"src_dataset": "x", "n": 3})]
    twice = written(tmp_path / "b.parquet", {"Prompt": ["a"], "PROMPT": ["b"]})
    with pytest.raises(BadData, match=r"b\.parquet has several columns 'prompt': it has \['Prompt', 'PROMPT'\]"):
        rows(source("parquet", twice))


@pytest.mark.parametrize(
    ("columns", "wanted", "likely"),
    [
        (["url", "TEXT"], "prompt", "TEXT"),
        (["url", "promt"], "prompt", "promt"),
    ],
)
def test_a_column_that_is_missing_is_an_error_with_those_there_are_and_the_likely_one(
    tmp_path: Path, columns: Sequence[str], wanted: str, likely: str
) -> None:
    path = written(tmp_path / "a.parquet", {name: ["a"] for name in columns})
    with pytest.raises(BadData) as error:
        rows(source("parquet", path, column=wanted))
    assert f"has no column '{wanted}', only {columns}" in str(error.value)
    assert f"probably `column: {likely}`" in str(error.value)


@pytest.mark.parametrize(
    ("kind", "options", "advice"),
    [
        ("parquet", {"image": "picture", "column": "caption"}, "set `image` to one of these"),
        ("laion-coco", {}, "files of kind laion-coco are read as published"),
    ],
)
def test_advice_fits_the_kind(tmp_path: Path, kind: str, options: dict[str, str], advice: str) -> None:
    path = written(tmp_path / "a.parquet", {"caption": ["a cat"]})
    with pytest.raises(BadData, match=advice):
        rows(source(kind, path, **options))


def test_names_that_say_where_a_prompt_came_from_cannot_be_kept() -> None:
    with pytest.raises(ValidationError, match=r"\['licence', 'row'\] cannot be kept"):
        source("parquet", Path("a"), keep=["row", "licence", "x"])


def test_a_kept_value_that_is_no_text_or_number_costs_its_row(tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet", {"prompt": ["a", "b", "c"], "x": [float("nan"), 1.0, None]})
    first, *others = rows(source("parquet", path, keep=["x"]))
    assert first == BadRow(1, "its x is nan")
    assert others == [Row(2, "b", {"x": 1.0}), Row(3, "c", {"x": None})]


def test_images_are_bytes_of_a_column_or_of_hugging_face_s_struct_or_files_beside_it(tmp_path: Path) -> None:
    kind = arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])
    images = [
        {"bytes": b"\x89PNG", "path": "1.png"},
        {"bytes": None, "path": "images/2.png"},
        {"bytes": None, "path": None},
        None,
        {"bytes": None, "path": "../../etc/passwd"},
        {"bytes": b"x" * 1001, "path": "1.png"},
    ]
    path = written(tmp_path / "a.parquet", {"prompt": list("abcdef"), "image": arrow.array(images, kind)})
    *good, away, large = rows(source("parquet", path, image="image", limits={"image_bytes": 1000}))
    assert [row.image for row in good if isinstance(row, Row)][::2] == [b"\x89PNG", None]
    named, none = (row.image for row in good[1::2] if isinstance(row, Row))
    assert (isinstance(named, ImageFile) and named.name, none) == ("images/2.png", None)
    assert isinstance(away, BadRow)
    assert "its image is in no file beside this one" in away.reason
    assert large == BadRow(6, "its image has more than 1,000 bytes")
    plain = written(tmp_path / "b.parquet", {"prompt": ["a", "b"], "image": [b"\xff\xd8", None], "n": [1, 2]})
    assert rows(source("parquet", plain, image="image")) == [Row(1, "a", image=b"\xff\xd8"), Row(2, "b")]
    assert rows(source("parquet", plain, image="n"))[0] == BadRow(1, "its image is not bytes but int")


# ---- LAION-COCO and DiffusionDB -------------------------------------------------------------------------------------

LAION: dict[str, Any] = {
    "URL": [f"https://x/{number}.jpg" for number in range(5)],
    "TEXT": ["sale!", None, "c", "d", "e"],
    "top_caption": ["a cat", "a dog", "a fish", "a fox", "an owl"],
    "all_captions": [["a cat", "cats"], ["a dog"], [], None, ["x", "y", "z"]],
    "all_similarities": [[0.1, 0.3], [float("nan")], [], None, [0.2, float("nan"), 0.2]],
    "WIDTH": [640] * 5,
    "HEIGHT": [480] * 5,
    "similarity": [0.3, 0.2, None, float("nan"), 0.4],
    "hash": [1, 2, 3, 4, 5],
    "pwatermark": [0.9, 0.1, 0.1, 0.1, None],
    "punsafe": [0.0, 0.9, 0.0, 0.0, 0.0],
}


def test_laion_coco_has_its_top_caption_or_that_of_another_column(tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet", LAION)
    assert rows(source("laion-coco", path))[0] == Row(1, "a cat", {"url": "https://x/0.jpg"})
    text = rows(source("laion-coco", path, caption="TEXT"))
    assert [row.prompt for row in text if isinstance(row, Row)] == ["sale!", "c", "d", "e"]
    assert text[1] == BadRow(2, "its prompt is not text but NoneType")
    similar = rows(source("laion-coco", path, caption="all_captions"))
    assert [row.prompt for row in similar if isinstance(row, Row)] == ["cats", "x"]
    assert [row.reason for row in similar if isinstance(row, BadRow)] == [
        "its prompt is one of captions of which none has a similarity",
        "its prompt is one of captions of which none has a similarity",
        "its prompt is not one of a list of captions with their similarities",
    ]


def test_laion_coco_s_filters_leave_out_what_has_no_score_and_count_each_under_its_name(tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet", LAION)

    def left_out(**filters: float) -> list[tuple[int, str]]:
        return [(row.number, row.reason) for row in rows(source("laion-coco", path, **filters)) if type(row) is LeftOut]

    assert left_out() == []
    assert left_out(min_similarity=0.3) == [(number, "min_similarity") for number in (2, 3, 4)]
    assert left_out(max_watermark=0.5) == [(1, "max_watermark"), (5, "max_watermark")]
    assert left_out(max_unsafe=0.5, max_watermark=0.5) == [
        (1, "max_watermark"),
        (2, "max_unsafe"),
        (5, "max_watermark"),
    ]
    odd = written(tmp_path / "b.parquet", LAION | {"punsafe": ["0.1"] * 5})
    assert rows(source("laion-coco", odd, max_unsafe=1))[0] == BadRow(1, "its punsafe is not a number but str")


DIFFUSIONDB: dict[str, Any] = {
    "image_name": ["1.png", "2.png", "3.png", "4.png"],
    "prompt": ["a", "b", "c", "d"],
    "seed": arrow.array([1, 2, 3, 2**32 - 1], arrow.uint32()),
    "step": arrow.array([50] * 4, arrow.uint16()),
    "cfg": arrow.array([7.0] * 4, arrow.float32()),
    "sampler": arrow.array([8] * 4, arrow.uint8()),
    "width": arrow.array([512] * 4, arrow.uint16()),
    "height": arrow.array([704] * 4, arrow.uint16()),
    "image_nsfw": arrow.array([2.0, 0.1, float("nan"), None], arrow.float32()),
    "prompt_nsfw": arrow.array([0.1, 0.1, 0.1, 0.1], arrow.float32()),
}


def test_diffusiondb_leaves_out_blurred_images_and_keeps_how_the_others_were_made(tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet", DIFFUSIONDB)
    assert rows(source("diffusiondb", path))[3] == Row(4, "d", {"image": "4.png"})
    keep = ["seed", "steps", "cfg", "sampler", "width", "height"]
    blurred, good, no_number, no_score = rows(source("diffusiondb", path, max_image_nsfw=1, keep=keep))
    assert blurred == LeftOut(1, "max_image_nsfw")
    made = {"image": "2.png", "seed": 2, "steps": 50, "cfg": 7.0, "sampler": 8, "width": 512, "height": 704}
    assert good == Row(2, "b", made)
    assert no_number == LeftOut(3, "max_image_nsfw")
    assert isinstance(no_score, Row)


# ---- fingerprints ---------------------------------------------------------------------------------------------------


def test_what_came_later_shows_in_a_fingerprint_only_where_it_is_set_and_threads_never(tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet", DIFFUSIONDB)

    def settings(kind: str, threads: int = 1, **more: Any) -> Any:
        params = {"sources": [{"kind": kind, "name": "a", "path": str(path), **more}], "threads": threads}
        (unit,) = units(CollectParams.model_validate(params), Inputs(()))
        return unit.settings

    common = {"prompts_per_shard": 10_000, "min_words": 1, "max_characters": 2_000}
    every = {"name": "a", "licence": None, "limit": None, "on_bad_row": "fail"}
    assert settings("parquet", threads=4) == common | {"source": {**every, "kind": "parquet", "column": "prompt"}}
    assert settings("parquet", keep=["seed"])["source"]["keep"] == ["seed"]
    before = {**every, "kind": "diffusiondb", "licence": "CC0-1.0", "max_prompt_nsfw": 1.0}
    assert settings("diffusiondb")["source"] == before
    assert settings("diffusiondb", max_image_nsfw=1)["source"] == before | {"max_image_nsfw": 1.0}
