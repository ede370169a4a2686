"""Every source is read as it is published; a row that cannot be read is named, or skipped and counted."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest

from jobs.collect.contract import CollectCounts, Collected
from jobs.collect.sources.base import File
from jobs.collect.sources.kinds.conceptual_captions import join_tokens
from jobs.collect.sources.kinds.text import Text
from jobs.collect.sources.rows import AnyRow
from jobs.collect.stage import COLLECT, CollectParams, units
from jobs.contract.declaration import Inputs
from jobs.errors import BadConfiguration, BadData, StalePlan
from jobs.shards.dataset import Dataset
from jobs.shards.keys import key_of
from tests.samples import json_of
from tests.stages import local_run, run_stage


def collect(tmp_path: Path, *sources: dict[str, Any], **params: Any) -> Dataset:
    return run_stage(local_run(tmp_path), COLLECT, CollectParams.model_validate({"sources": sources, **params}))


def prompts(dataset: Dataset) -> set[str]:
    return {sample.text() for sample in dataset.samples()}


def counts(dataset: Dataset) -> dict[str, CollectCounts]:
    """What became of the rows of each unit: every one is kept, or counted under one reason why it is not."""
    found = {outcome.unit: CollectCounts.model_validate(dict(outcome.stats)) for outcome in dataset.manifest.outcomes}
    for unit, one in found.items():
        assert one.rows == one.kept + sum(one.by_reason().values()), unit
    assert sum(one.kept for one in found.values()) == sum(1 for _ in Collected(dataset).prompts.samples())
    return found


def stats(dataset: Dataset) -> dict[str, Any]:
    """The counts of a single unit, as they are stored."""
    counts(dataset)
    (outcome,) = dataset.manifest.outcomes
    return dict(outcome.stats)


def test_text_has_a_prompt_a_line_and_repeats_and_empty_lines_are_dropped_and_counted(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("\ufeffa cat\r\n\n a   dog \na cat\n".encode())
    dataset = collect(tmp_path, {"kind": "text", "name": "a", "path": str(tmp_path / "a.txt")})
    assert prompts(dataset) == {"a cat", "a dog"}
    (outcome,) = dataset.manifest.outcomes
    assert outcome.stats == {"rows": 4, "kept": 2, "repeated": 1, "too_short": 1, "too_long": 0, "unreadable": 0}


def test_every_sample_says_where_it_came_from(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('id,prompt\n1,"a ""big"" cat,\nin two lines"\n2,dog\n')
    dataset = collect(tmp_path, {"kind": "csv", "name": "a", "path": str(tmp_path / "a.csv"), "licence": "MIT"})
    by_text = {sample.text(): sample for sample in dataset.samples()}
    cat = by_text['a "big" cat, in two lines']
    assert cat.key == key_of(cat.text())
    assert json_of(cat) == {"source": "a", "file": "a.csv", "row": 3, "licence": "MIT"}
    assert json_of(by_text["dog"])["row"] == 4


def test_tsv_takes_quotation_marks_as_they_are_and_gz_is_decompressed(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "a.tsv.gz", "wt") as file:
        file.write('prompt\tkind\n"a cat\treal\n')
    assert prompts(collect(tmp_path, {"kind": "tsv", "name": "a", "path": str(tmp_path / "a.tsv.gz")})) == {'"a cat'}


def test_jsonl_reads_the_named_member(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"file_name": "1.png", "text": "a cat"}\n\n{"text": "a dog"}\n')
    source = {"kind": "jsonl", "name": "a", "path": str(tmp_path / "a.jsonl"), "column": "text"}
    assert prompts(collect(tmp_path, source)) == {"a cat", "a dog"}


def test_parquet_and_diffusiondb(tmp_path: Path) -> None:
    table = arrow.table(
        {
            "prompt": ["a cat", "a dog", "a fish"],
            "image_name": ["1", "2", "3"],
            "prompt_nsfw": arrow.array([0.1, 0.9, 0.2], arrow.float32()),
        }
    )
    parquet.write_table(table, tmp_path / "a.parquet")
    plain = {"kind": "parquet", "name": "a", "path": str(tmp_path / "a.parquet")}
    assert prompts(collect(tmp_path / "1", plain)) == {"a cat", "a dog", "a fish"}
    safe = {"kind": "diffusiondb", "name": "a", "path": str(tmp_path / "a.parquet"), "max_prompt_nsfw": 0.5}
    dataset = collect(tmp_path / "2", safe)
    assert prompts(dataset) == {"a cat", "a fish"}
    assert {json_of(sample)["image"] for sample in dataset.samples()} == {"1", "3"}


def test_conceptual_captions_are_joined_as_a_person_would_write_them(tmp_path: Path) -> None:
    assert join_tokens("an angler fishes , on a snowy day .") == "an angler fishes, on a snowy day."
    assert join_tokens("the dog does n't see ( or hear ) it 's here") == "the dog doesn't see (or hear) it's here"
    (tmp_path / "a.tsv").write_text("a cat .\thttp://x/1.jpg\n")
    dataset = collect(tmp_path, {"kind": "conceptual-captions", "name": "cc", "path": str(tmp_path / "a.tsv")})
    (sample,) = dataset.samples()
    assert (sample.text(), json_of(sample)["url"]) == ("a cat.", "http://x/1.jpg")


def test_published_files_are_read_whole(tmp_path: Path, data: Path) -> None:
    (captions,) = (data / "sources/conceptual_captions").glob("*.tsv")
    published: list[dict[str, Any]] = [
        {"kind": "conceptual-captions", "name": "cc", "path": str(captions.with_name("*.tsv"))},
        {"kind": "diffusiondb", "name": "ddb", "path": str(data / "sources/diffusiondb/metadata_excerpt.parquet")},
        {"kind": "tsv", "name": "licensed", "path": str(data / "prompts/licensed_prompts.tsv.gz"), "limit": 50},
        {"kind": "parquet", "name": "laion", "path": str(data / "sources/laion400m/*.parquet"), "column": "TEXT"},
    ]
    dataset = collect(tmp_path, *published)
    found = counts(dataset)
    rows = {unit: one.rows for unit, one in found.items()}
    assert rows == {"cc": captions.read_bytes().count(b"\n"), "ddb": 3, "licensed": 50, "laion": 10_000}
    assert all(one.unreadable == 0 for one in found.values())
    by_key = {sample.key: sample for sample in dataset.samples()}
    angler = json_of(by_key[key_of("an angler fishes river on a snowy day.")])
    assert angler["row"] == 2
    assert angler["url"].endswith("/winter-fly-fishing.jpg")
    sculpture = json_of(by_key[key_of("a small liquid sculpture, corvette, viscous, reflective, digital art")])
    assert sculpture["image"] == "0c46f719-1679-4c64-9ba9-f181e0eae811.png"


def test_several_files_are_several_units_in_order(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / f"{name}.txt").write_text(f"{name} cat\n")
    params = CollectParams.model_validate(
        {"sources": [{"kind": "text", "name": "many", "path": str(tmp_path / "*.txt")}]}
    )
    assert [(unit.name, list(unit.reads)) for unit in units(params, Inputs(()))] == [
        ("many-0000", ["a.txt"]),
        ("many-0001", ["b.txt"]),
    ]


BAD: dict[str, tuple[str, bytes, dict[str, Any], str]] = {
    "text": ("text", b"a cat\n\xff\xfe dog\n", {}, "row 2 of a.x cannot be read: it is not valid UTF-8"),
    "csv": ("csv", b"prompt,n\na cat,1\na dog\n", {}, "row 3 of a.x cannot be read: it has 1 fields, the header has 2"),
    "quote": ("csv", b'prompt\n"a" cat\n', {}, "row 2 of a.x cannot be read"),
    "jsonl": ("jsonl", b'{"prompt": "a"}\n{"prompt": \n', {}, "row 2 of a.x cannot be read: it is not JSON"),
    "number": ("jsonl", b'{"prompt": 7}\n', {}, "row 1 of a.x cannot be read: its prompt is not text but int"),
    "deep": ("jsonl", b'{"prompt": ' + b"[" * 200_000 + b"\n", {}, "row 1 of a.x cannot be read: it is not JSON"),
    "surrogate": ("jsonl", b'{"prompt": "\\ud800"}\n', {}, "row 1 of a.x cannot be read: it is not valid UTF-8"),
    "url": ("conceptual-captions", b"a\thttp://\xff\n", {}, "row 1 of a.x cannot be read: its url is not valid UTF-8"),
    "line": (
        "text",
        b"a\n" + b"x" * 100 + b"\n",
        {"limits": {"line_characters": 50}},
        "row 2 of a.x cannot be read: it",
    ),
    "captions": ("conceptual-captions", b"a\thttp://x\nb\n", {}, "row 2 of a.x cannot be read: it is not CAPTION"),
}


@pytest.mark.parametrize("case", BAD)
def test_an_unreadable_row_is_named_and_can_be_skipped(tmp_path: Path, case: str) -> None:
    kind, content, more, noted = BAD[case]
    (tmp_path / "a.x").write_bytes(content)
    source = {"kind": kind, "name": "a", "path": str(tmp_path / "a.x"), **more}
    with pytest.raises(BadData) as error:
        collect(tmp_path / "1", source)
    assert noted in str(error.value)
    assert "on_bad_row: skip" in str(error.value)
    dataset = collect(tmp_path / "2", {**source, "on_bad_row": "skip"})
    assert dataset.manifest.outcomes[0].stats["unreadable"] == 1


def test_an_unterminated_quote_costs_its_own_row_and_no_others(tmp_path: Path) -> None:
    good = [f"{number},prompt {number}" for number in range(20_000)]
    lines = ["id,prompt", *good[:5_000], '5000,"never closed', *good[5_000:], '7,"nor this']
    (tmp_path / "a.csv").write_text("\n".join(lines))
    source = {"kind": "csv", "name": "a", "path": str(tmp_path / "a.csv"), "on_bad_row": "skip"}
    dataset = collect(tmp_path / "1", source, prompts_per_shard=50_000)
    assert stats(dataset)["unreadable"] == 2
    assert {sample.text(): json_of(sample)["row"] for sample in dataset.samples()} == {
        f"prompt {number}": number + (2 if number < 5_000 else 3) for number in range(20_000)
    }
    with pytest.raises(BadData, match=r"row 5002 of a\.csv cannot be read"):
        collect(tmp_path / "2", {**source, "on_bad_row": "fail"})


def test_rows_are_not_read_again_without_end_and_each_line_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.collect.sources.delimited._READ_AGAIN", 100_000)
    lines = 20_000  # of each of which the quoted field goes on to the end of the file
    (tmp_path / "a.csv").write_text("prompt,n\n" + 'a","open\n' * lines)
    source = {"kind": "csv", "name": "a", "path": str(tmp_path / "a.csv"), "on_bad_row": "skip"}
    assert stats(collect(tmp_path, source)) == {
        "rows": lines,
        "unreadable": lines,
        "kept": 0,
        "repeated": 0,
        "too_short": 0,
        "too_long": 0,
    }


@pytest.mark.parametrize("header", [b"x" * (1 << 21) + b",prompt\na\n", b'"prompt" x\na\n', b'"prompt\na\n'])
def test_a_csv_without_a_header_that_can_be_read_is_bad_data(tmp_path: Path, header: bytes) -> None:
    (tmp_path / "a.csv").write_bytes(header)
    with pytest.raises(BadData, match=r"a\.csv has no header of csv: "):
        collect(tmp_path, {"kind": "csv", "name": "a", "path": str(tmp_path / "a.csv"), "on_bad_row": "skip"})


def test_a_line_that_is_too_long_costs_no_memory_and_a_file_that_expands_too_much_is_bad_data(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "a.txt.gz", "wb", compresslevel=1) as file:
        file.write(b"a cat\n")
        for _ in range(300):
            file.write(b"x" * (1 << 20))
        file.write(b"\na dog\n")
    source = {"kind": "text", "name": "a", "path": str(tmp_path / "a.txt.gz"), "on_bad_row": "skip"}
    with pytest.raises(BadData, match=r"a\.txt\.gz expands to .* over 50 times"):
        collect(tmp_path / "1", {**source, "limits": {"expansion": 50}})
    allowed = collect(tmp_path / "2", {**source, "limits": {"expansion": 2_000}})
    assert prompts(allowed) == {"a cat", "a dog"}
    assert (stats(allowed)["rows"], stats(allowed)["unreadable"]) == (3, 1)


def test_a_value_of_parquet_that_is_not_utf8_costs_its_own_row(tmp_path: Path) -> None:
    texts = [b"prompt %d" % number for number in range(20_000)]
    texts[9_000] = b"caf\xe9"
    column = arrow.array(texts, arrow.binary()).view(arrow.string())
    parquet.write_table(arrow.table({"prompt": column}), tmp_path / "a.parquet")
    source = {"kind": "parquet", "name": "a", "path": str(tmp_path / "a.parquet"), "on_bad_row": "skip"}
    found = stats(collect(tmp_path / "1", source))
    assert (found["kept"], found["unreadable"]) == (19_999, 1)
    with pytest.raises(BadData, match=r"row 9001 of a\.parquet cannot be read: its prompt is not valid UTF-8"):
        collect(tmp_path / "2", {**source, "on_bad_row": "fail"})


ODD: dict[str, tuple[dict[str, list[Any]], str]] = {
    "name": ({"image_name": [b"1", b"2", b"3"]}, "row 1 of .*: its image is not text but bytes"),
    "no name": ({"image_name": [float("nan"), 2.0, 3.0]}, "row 1 of .*: its image is nan"),
    "score": ({"prompt_nsfw": ["0.1", "0.2", "0.3"]}, "row 1 of .*: its prompt_nsfw is not a number but str"),
    "prompt": ({"prompt": [[1], [2], [3]]}, "row 1 of .*: its prompt is not text but list"),
}


@pytest.mark.parametrize("case", ODD)
def test_odd_types_in_diffusiondb_are_bad_rows(tmp_path: Path, case: str) -> None:
    columns, noted = ODD[case]
    table = {"prompt": ["a", "b", "c"], "image_name": ["1", "2", "3"], "prompt_nsfw": [0.1, 0.2, 0.3], **columns}
    parquet.write_table(arrow.table(table), tmp_path / "a.parquet")
    source = {"kind": "diffusiondb", "name": "a", "path": str(tmp_path / "a.parquet")}
    with pytest.raises(BadData, match=noted):
        collect(tmp_path / "1", source)
    found = stats(collect(tmp_path / "2", {**source, "on_bad_row": "skip"}))
    assert found["unreadable"] == (1 if case == "no name" else 3)


def test_rows_that_the_filter_leaves_out_are_counted_and_the_limit_is_of_the_others(tmp_path: Path) -> None:
    table = {"prompt": ["a", "b", "c", "d"], "image_name": ["1"] * 4, "prompt_nsfw": [0.9, float("nan"), 0.1, 0.1]}
    parquet.write_table(arrow.table(table), tmp_path / "a.parquet")
    source = {"kind": "diffusiondb", "name": "a", "path": str(tmp_path / "a.parquet"), "max_prompt_nsfw": 0.5}
    found = collect(tmp_path, {**source, "limit": 1})
    assert prompts(found) == {"c"}
    assert (stats(found)["rows"], stats(found)["left_out"]) == (3, 2)


def test_a_parquet_file_that_takes_too_much_or_claims_too_many_rows_is_bad_data(tmp_path: Path) -> None:
    parquet.write_table(arrow.table({"prompt": ["x" * 100_000] * 4_000}), tmp_path / "a.parquet")
    source = {"kind": "parquet", "name": "a", "path": str(tmp_path / "a.parquet"), "on_bad_row": "skip"}
    with pytest.raises(BadData, match=r"a\.parquet is not readable as parquet .* took more than 64 MiB to decode"):
        collect(tmp_path / "1", {**source, "limits": {"memory_mib": 64}})
    with pytest.raises(BadData, match=r"it has 4,000 rows, more than `limits\.rows`"):
        collect(tmp_path / "2", {**source, "limits": {"rows": 3_999}})
    assert stats(collect(tmp_path / "3", source))["too_long"] == 4_000


def test_limits_show_in_a_fingerprint_only_where_they_are_changed(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a cat")

    def settings(**more: Any) -> Any:
        source = {"kind": "text", "name": "a", "path": str(tmp_path / "a.txt"), **more}
        (unit,) = units(CollectParams.model_validate({"sources": [source]}), Inputs(()))
        return unit.settings["source"]

    assert settings() == {"kind": "text", "name": "a", "licence": None, "limit": None, "on_bad_row": "fail"}
    assert settings(limits={"rows": 9})["limits"] == {"rows": 9}


def test_a_caption_of_a_million_spaces_takes_no_time(tmp_path: Path) -> None:
    assert join_tokens("a" + " " * 1_000_000 + "cat .") == "a cat."


def test_a_missing_file_or_column_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match="there is no file"):
        collect(tmp_path, {"kind": "text", "name": "a", "path": str(tmp_path / "none.txt")})
    (tmp_path / "a.csv").write_text("text\na cat\n")
    with pytest.raises(BadData, match=r"a.csv has no column 'prompt', only \['text'\]; set `column`"):
        collect(tmp_path, {"kind": "csv", "name": "a", "path": str(tmp_path / "a.csv")})
    (tmp_path / "a.parquet").write_bytes(b"not parquet")
    with pytest.raises(BadData, match="not readable as parquet"):
        collect(tmp_path, {"kind": "parquet", "name": "a", "path": str(tmp_path / "a.parquet")})


def test_a_cut_gzip_file_is_bad_data(tmp_path: Path) -> None:
    whole = gzip.compress(b"".join(b"prompt number %d\n" % number for number in range(1000)))
    (tmp_path / "a.txt.gz").write_bytes(whole[:-100])
    with pytest.raises(BadData, match="not a whole gzip file"):
        collect(tmp_path, {"kind": "text", "name": "a", "path": str(tmp_path / "a.txt.gz")})


def test_a_file_that_changes_while_it_is_read_is_not_committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    path.write_text("a cat\na dog\n")
    rows = Text.rows

    def changing(source: Text, file: File) -> Iterator[AnyRow]:
        yield from rows(source, file)
        path.write_text("a cat\na fish\n")

    monkeypatch.setattr(Text, "rows", changing)
    with pytest.raises(StalePlan, match=r"a.txt changed while it was read"):
        collect(tmp_path, {"kind": "text", "name": "a", "path": str(path)})
    assert not list(local_run(tmp_path).list("collect/commits/"))


def test_the_folder_and_the_times_of_a_file_do_not_shape_a_unit_but_its_content_does(tmp_path: Path) -> None:
    def fingerprint(folder: str, text: str) -> str:
        (tmp_path / folder).mkdir(exist_ok=True)
        path = tmp_path / folder / "a.txt"
        path.write_text(text)
        params = CollectParams.model_validate({"sources": [{"kind": "text", "name": "a", "path": str(path)}]})
        (unit,) = units(params, Inputs(()))
        return COLLECT.fingerprint(unit)

    assert fingerprint("one", "a cat") == fingerprint("two", "a cat") == fingerprint("one", "a cat")
    assert fingerprint("one", "a dog") != fingerprint("two", "a cat")


def test_shards_have_the_size_asked_for_and_the_grammar_is_a_source(tmp_path: Path) -> None:
    dataset = collect(tmp_path, {"kind": "grammar", "name": "g", "num_prompts": 50}, prompts_per_shard=20)
    sizes = [shard.samples for shard in dataset.shards()]
    assert sizes[:2] == [20, 20]
    assert sum(sizes) == dataset.manifest.outcomes[0].stats["kept"]
    assert json.dumps(dataset.manifest.outcomes[0].settings)
