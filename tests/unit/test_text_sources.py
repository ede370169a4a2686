"""Text files as they are published and as spreadsheets, pandas and people write them; errors that say what is meant."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from jobs.collect.sources import json_values
from jobs.collect.sources.json_values import NotJson, values_in
from jobs.collect.sources.kinds.csv import Csv
from jobs.collect.sources.rows import Unfit
from jobs.collect.stage import CollectParams, units
from jobs.contract.declaration import Inputs
from jobs.errors import BadConfiguration, BadData
from tests.samples import json_of
from tests.unit.test_collect import collect, counts, prompts, stats


def read(folder: Path, content: bytes | str, kind: str = "csv", name: str = "a.x", **source: Any) -> Any:
    """The dataset of one file with this content."""
    folder.mkdir(exist_ok=True, parents=True)
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return collect(folder, {"kind": kind, "name": "a", "path": str(folder / name), **source})


def refusal(folder: Path, content: bytes | str, kind: str = "csv", **source: Any) -> str:
    """The error of a file that is bad data."""
    with pytest.raises(BadData) as error:
        read(folder, content, kind, **source)
    return str(error.value)


# ---- encodings ----------------------------------------------------------------------------------------------------

TABLE = "id,prompt\n1,a café in Köln\n2,a “dog”\n"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_mark_at_the_beginning_says_the_encoding(tmp_path: Path, encoding: str) -> None:
    assert prompts(read(tmp_path, TABLE.encode(encoding))) == {"a café in Köln", "a “dog”"}


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16-le", "utf-16-be", "gb18030", "UTF_8"])
@pytest.mark.parametrize("kind", ["csv", "text", "jsonl", "json", "conceptual-captions"])
def test_every_text_kind_reads_the_encoding_that_is_named(tmp_path: Path, kind: str, encoding: str) -> None:
    content = {
        "csv": "prompt\na café\n",
        "text": "a café\n",
        "jsonl": '{"prompt": "a café"}\n',
        "json": '[{"prompt": "a café"}]',
        "conceptual-captions": "a café\thttp://x\n",
    }[kind]
    assert prompts(read(tmp_path, content.encode(encoding), kind, encoding=encoding)) == {"a café"}


def test_an_encoding_has_one_name_and_an_unknown_one_is_refused_with_what_was_meant() -> None:
    source = {"kind": "csv", "name": "a", "path": "a.csv"}
    assert Csv.model_validate({**source, "encoding": "latin-1"}) == Csv.model_validate({**source, "encoding": "L1"})
    for given_, meant in {
        "utf-61": "did you mean 'utf",
        "latin-l": "did you mean 'latin",
        "base64": "'base64' is none that",
    }.items():
        with pytest.raises(ValidationError, match=f"encoding: .*{meant}"):
            Csv.model_validate({**source, "encoding": given_})
    with pytest.raises(ValidationError, match="'idna' is none that files of text are written in"):
        Csv.model_validate({**source, "encoding": "idna"})


def test_text_in_another_encoding_is_not_skipped_but_named(tmp_path: Path) -> None:
    western = refusal(tmp_path / "1", TABLE.encode("cp1252"))
    assert "row 2 of a.x cannot be read: it is not valid UTF-8; of all 2 rows, 2 cannot" in western
    assert "probably cp1252: set `encoding: cp1252`" in western
    assert "skip" not in western
    header = refusal(tmp_path / "2", TABLE.encode("utf-16-le"))
    assert "probably utf-16-le: set `encoding: utf-16-le`" in header
    line = refusal(tmp_path / "3", "a cat on a mat\n".encode("utf-16-be"), "text")
    assert "probably utf-16-be: set `encoding: utf-16-be`" in line
    cyrillic = refusal(tmp_path / "4", "красная лиса в снегу\n".encode("cp1251"), "text")
    assert "cp1252" not in cyrillic
    damaged = refusal(tmp_path / "5", "a café\n".encode() * 9 + b"caf\xe9\n", "text")
    assert "on_bad_row: skip" in damaged
    assert "cp1252" not in damaged
    for kind in ("json", "jsonl"):
        assert "encoding" in refusal(tmp_path / kind, '[{"prompt": "a cat"}]'.encode("utf-16-le"), kind)


def test_half_a_character_of_utf16_costs_its_row(tmp_path: Path) -> None:
    content = "a cat\n".encode("utf-16") + b"\x00\xd8" + "b\na dog\n".encode("utf-16-le")
    found = read(tmp_path, content, "text", on_bad_row="skip")
    assert (prompts(found), stats(found)["unreadable"]) == ({"a cat", "a dog"}, 1)


# ---- delimiters, quoting, headers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_another_delimiter_can_be_given_and_is_named_where_it_is_missing(tmp_path: Path, delimiter: str) -> None:
    content = f'id{delimiter}prompt\n1{delimiter}"a cat, {delimiter}sitting"\n'
    assert prompts(read(tmp_path / "1", content, delimiter=delimiter)) == {
        f"a cat, {delimiter}sitting".replace("\t", "")
    }
    written = delimiter.replace("\t", "\\t")
    assert f'set `kind: csv` and `delimiter: "{written}"`' in refusal(tmp_path / "2", content)


def test_a_delimiter_is_one_character_that_can_be_one() -> None:
    for wrong in ("", ";;", '"', "\n"):
        with pytest.raises(ValidationError, match="delimiter"):
            Csv.model_validate({"kind": "csv", "name": "a", "path": "a", "delimiter": wrong})


def test_tsv_as_pandas_writes_it_is_read_and_never_stored_with_its_quotation_marks(tmp_path: Path) -> None:
    content = 'prompt\tn\n"a fox, with ""quotes"""\t1\n"a\nb"\t2\nplain\t3\n'
    found = read(tmp_path / "1", content, "tsv", quoting="standard")
    assert prompts(found) == {'a fox, with "quotes"', "a b", "plain"}
    said = refusal(tmp_path / "2", content, "tsv")
    assert "row 2 of a.x cannot be read: it is written with quotation marks around" in said
    assert "set `quoting: standard`" in said
    assert "set `quoting: standard`" in refusal(tmp_path / "3", '"prompt"\t"n"\n"a cat"\t"1"\n', "tsv")
    assert prompts(read(tmp_path / "4", 'prompt\n"a cat\n"b"\n5" disk"\n', "tsv")) == {'"a cat', '"b"', '5" disk"'}


def test_a_file_without_a_header_is_read_by_the_number_of_a_column(tmp_path: Path) -> None:
    found = read(tmp_path / "1", "\n1,a cat\n2,a dog\n3\n", header=False, column=2, on_bad_row="skip")
    assert prompts(found) == {"a cat", "a dog"}
    assert (stats(found)["rows"], stats(found)["unreadable"]) == (3, 1)
    assert "a.x has 2 columns, there is no column 3" in refusal(tmp_path / "2", "1,a\n", header=False, column=3)
    assert prompts(read(tmp_path / "3", "a cat\t1\n", "tsv", header=False, column=1)) == {"a cat"}
    for wrong in ({"header": False}, {"column": 1}, {"header": False, "column": "1"}):
        with pytest.raises(ValidationError, match="column: of a file with"):
            Csv.model_validate({"kind": "csv", "name": "a", "path": "a", **wrong})


def test_blank_lines_are_no_rows(tmp_path: Path) -> None:
    found = read(tmp_path, "\r\n\r\nprompt,n\r\n\r\na cat,1\r\n\r\n\r\na dog,2\r\n\r\n")
    assert (stats(found)["rows"], stats(found)["kept"]) == (2, 2)
    assert sorted(json_of(sample)["row"] for sample in found.samples()) == [5, 8]


def test_a_columns_name_counts_in_any_case_unless_two_have_it(tmp_path: Path) -> None:
    assert prompts(read(tmp_path / "1", "ID, Prompt \n1,a cat\n")) == {"a cat"}
    assert prompts(read(tmp_path / "2", "PROMPT,prompt\nA,a\n")) == {"a"}
    assert "several columns 'prompt': it has ['Prompt', 'PROMPT']" in refusal(tmp_path / "3", "Prompt,PROMPT\na,b\n")


@pytest.mark.parametrize(
    ("header", "column", "meant"),
    [
        ("id,text", "prompt", "text"),
        ("url,Top_Caption", "prompt", "Top_Caption"),
        ("id,promt", "prompt", "promt"),
        ("text,caption", "captoin", "caption"),
    ],
)
def test_a_column_that_is_missing_gets_the_likely_one(tmp_path: Path, header: str, column: str, meant: str) -> None:
    assert f"probably `column: {meant}`" in refusal(tmp_path, f"{header}\n1,a\n", column=column)


def test_errors_fit_what_the_file_is(tmp_path: Path) -> None:
    parquet.write_table(arrow.table({"prompt": ["a"]}), tmp_path / "b.csv")
    assert "b.csv is no text but parquet: set `kind: parquet`" in refusal(
        tmp_path / "1", (tmp_path / "b.csv").read_bytes(), name="b.csv"
    )
    assert "no text but a zip file, as spreadsheets are: save it as CSV" in refusal(
        tmp_path / "2", b"PK\3\4" + bytes(99)
    )
    assert "compressed with gzip: let its name end in .gz" in refusal(tmp_path / "3", b"\x1f\x8b\x08\0")
    assert "a.x is empty; a line with the names of its columns is required" in refusal(tmp_path / "4", "\n\n")
    assert "set `header: false` and `column: 1`" in refusal(tmp_path / "5", "a red fox\na cat\n")
    assert "set `kind: json`" in refusal(tmp_path / "6", '[\n {"prompt": "a"}\n]\n', "jsonl")
    assert "set `kind: jsonl`" not in refusal(tmp_path / "7", '[{"prompt": "a"}', "json")
    assert "is it JSON lines, for which `kind: jsonl` is?" in refusal(
        tmp_path / "8", '{"p": {}}\n{"p": {}}', "json", on_bad_row="skip"
    )
    with pytest.raises(BadConfiguration, match=r"that is a folder: name the files in it, as in `path: .*/\*\.csv`"):
        collect(tmp_path, {"kind": "csv", "name": "a", "path": str(tmp_path)})
    with pytest.raises(BadConfiguration, match=r"that is a folder"):
        collect(tmp_path, {"kind": "csv", "name": "a", "path": f"{tmp_path}/"})


def test_an_error_says_how_many_rows_are_bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = "prompt,n\n" + "a,1\n" * 5 + "b\n" + "c,1\n" * 3 + "d\ne\n"
    assert "row 7 of a.x cannot be read: it has 1 fields, the header has 2; of all 11 rows, 3 cannot" in refusal(
        tmp_path / "1", content
    )
    assert "of all 7 rows, 1 cannot" in refusal(tmp_path / "2", content, limit=7)
    assert "of the first 9 rows, 1 cannot" in refusal(tmp_path / "3", content, limits={"rows": 9})
    monkeypatch.setattr("jobs.collect.bad_rows._ROWS_COUNTED", 4)
    assert "of the first 10 rows, 2 cannot" in refusal(tmp_path / "4", content)


def test_what_has_its_default_is_no_part_of_a_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "a.x").write_text("prompt\na\n")

    def settings_of(kind: str, **more: Any) -> Any:
        source = {"kind": kind, "name": "a", "path": str(tmp_path / "a.x"), **more}
        (unit,) = units(CollectParams.model_validate({"sources": [source]}), Inputs(()))
        return unit.settings["source"]

    common = {"name": "a", "licence": None, "limit": None, "on_bad_row": "fail"}
    assert settings_of("csv") == {**common, "kind": "csv", "column": "prompt"}
    assert settings_of("tsv", encoding="UTF8") == {**common, "kind": "tsv", "column": "prompt"}
    changed = settings_of("csv", encoding="latin-1", delimiter=";", header=False, column=1)
    assert changed == {
        **common, "kind": "csv", "encoding": "iso8859-1", "delimiter": ";", "header": False, "column": 1
    }  # fmt: skip


# ---- JSON ---------------------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


class Blocks:
    """A text that is read in small blocks, as if it were a large one."""

    def __init__(self, text: str, size: int) -> None:
        self.text, self.size = text, size

    def read(self, _: int) -> str:
        block, self.text = self.text[: self.size], self.text[self.size :]
        return block


def values(text: str, size: int = 7, most: int = 1_000) -> list[Any]:
    return [value for _, value in values_in(Blocks(text, size), most)]  # type: ignore[arg-type]


@settings(deadline=None)
@given(given_=st.lists(JSON, max_size=5), size=st.integers(1, 40), indent=st.none() | st.just(2), ascii_=st.booleans())
def test_values_are_those_of_the_whole_wherever_it_is_cut(given_: Any, size: int, indent: Any, ascii_: bool) -> None:
    text = json.dumps(given_, indent=indent, ensure_ascii=ascii_)
    assert values(text, size, 10**6) == given_
    members = {f'k"{number}': value for number, value in enumerate(given_)}
    text = json.dumps(members, indent=indent, ensure_ascii=ascii_)
    assert dict(values_in(Blocks(text, size), 10**6)) == members  # type: ignore[arg-type]


@settings(deadline=None)
@given(
    given_=st.lists(JSON, min_size=2, max_size=4),
    size=st.integers(1, 40),
    bad=st.sampled_from(["{1}", "[1 2]", "nul", '{"a" "b"}']),
)
def test_a_value_that_is_not_json_costs_itself_only(given_: Any, size: int, bad: str) -> None:
    first, *rest = map(json.dumps, given_)
    found = values(f"[{', '.join([first, bad, *rest])}]", size, 10**6)
    assert isinstance(found.pop(1), Unfit)
    assert found == given_


@pytest.mark.parametrize(
    "text", ["", " ", "7", '"a"', "[", "[1", '["a', "[1,", '{"a"', '{"a":', "{1: 2}", "[1 2]", "[1]]", "[]{}"]
)
def test_what_is_no_whole_array_or_object_is_refused(text: str) -> None:
    for size in (1, 3, 99):
        with pytest.raises(NotJson):
            values(text, size)


def test_too_long_deep_and_large_values_are_left_out(tmp_path: Path) -> None:
    deep, digits, long = "[" * 100_000 + "]" * 100_000, "9" * 1_000_000, json.dumps("x" * 2_000_000)
    for bad in (deep, digits, long):
        found = read(
            tmp_path / "1",
            f'["a cat", {bad}, "a dog",]',
            "json",
            on_bad_row="skip",
            limits={"line_characters": 1_500_000},
        )
        assert (prompts(found), stats(found)["unreadable"]) == ({"a cat", "a dog"}, 1)


def test_memory_does_not_grow_with_a_json_file(tmp_path: Path) -> None:
    def peak(number: int) -> int:
        with (tmp_path / "a.json").open("w+") as file:
            file.write("[" + ",\n".join(json.dumps({"text": f"a picture of number {n}"}) for n in range(number)) + "]")
            file.seek(0)
            tracemalloc.start()
            assert sum(1 for _ in values_in(file, 1 << 20)) == number
            try:
                return tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

    small, large = peak(20_000), peak(100_000)
    assert large < 1.5 * small < 40 * json_values._BLOCK


def test_a_json_array_and_an_object_of_objects_are_read_by_the_named_member(tmp_path: Path) -> None:
    array = '[\n    {"text": "a cat ", "image": "000044-0048"},\n    "a dog",\n    {"image": "1"},\n    7\n]'
    found = read(tmp_path / "1", array, "json", column="text", on_bad_row="skip")
    assert prompts(found) == {"a cat", "a dog"}
    assert stats(found)["unreadable"] == 2
    assert {json_of(sample)["row"] for sample in found.samples()} == {1, 2}
    named = '{"1.png": {"text": "a cat"}, "2.png": "a dog"}'
    assert prompts(read(tmp_path / "2", named, "json", column="text")) == {"a cat", "a dog"}


# ---- named kinds --------------------------------------------------------------------------------------------------

PART = """{
  "f3501e05-aef7-4225-a9e9-f516527408ac.png": {
    "p": "geodesic landscape, john chamberlain, christopher balaskas, tadao ando, 4 k, ",
    "se": 38753269,
    "c": 12.0,
    "st": 50,
    "sa": "k_lms"
  },
  "34e3ff29-9ba3-4d4b-9a4b-a66e5f4c5b3a.png": {"p": "a cat", "se": 1, "c": 7.0, "st": 30, "sa": "ddim"},
}"""


def test_a_part_of_diffusiondb_keeps_what_made_the_image(tmp_path: Path) -> None:
    found = read(tmp_path / "1", PART, "diffusiondb", name="part-000001.json")
    by_image = {json_of(sample)["image"]: json_of(sample) for sample in found.samples()}
    assert by_image["f3501e05-aef7-4225-a9e9-f516527408ac.png"] == {
        "source": "a", "licence": "CC0-1.0", "file": "part-000001.json", "row": 1,
        "image": "f3501e05-aef7-4225-a9e9-f516527408ac.png", "seed": 38753269, "cfg": 12.0, "steps": 50,
        "sampler": "k_lms",
    }  # fmt: skip
    assert prompts(found) == {"geodesic landscape, john chamberlain, christopher balaskas, tadao ando, 4 k,", "a cat"}
    with pytest.raises(BadConfiguration, match=r"part-000001\.json has no scores for `max_prompt_nsfw`"):
        read(tmp_path / "2", PART, "diffusiondb", name="part-000001.json", max_prompt_nsfw=0.5)
    odd = '{"1.png": {"p": "a"}, "2.png": {"p": "b", "se": []}, "3.png": "c", "\\ud800": {"p": "d"}}'
    found = read(tmp_path / "3", odd, "diffusiondb", name="part.json", on_bad_row="skip")
    assert (prompts(found), stats(found)["unreadable"]) == ({"a"}, 3)


def test_conceptual_captions_are_the_same_from_both_published_forms(tmp_path: Path) -> None:
    rows = [("a cat .", "http://x/1.jpg"), ("a very typical bus station", "http://x/2.jpg")]
    table = {"image_url": [url for _, url in rows], "caption": [caption for caption, _ in rows]}
    parquet.write_table(arrow.table(table), tmp_path / "0000.parquet")
    tsv = read(
        tmp_path / "1", "".join(f"{c}\t{u}\n" for c, u in rows), "conceptual-captions", name="Train_GCC-training.tsv"
    )
    source = {"kind": "conceptual-captions", "name": "a", "path": str(tmp_path / "*.parquet")}
    both = [
        {sample.text(): json_of(sample)["url"] for sample in dataset.samples()}
        for dataset in (tsv, collect(tmp_path / "2", source))
    ]
    assert both[0] == both[1] == {"a cat.": "http://x/1.jpg", "a very typical bus station": "http://x/2.jpg"}


def test_multi_prompt_keeps_the_name_of_the_data_set_from_csv_and_parquet(tmp_path: Path) -> None:
    csv = 'text,src_dataset\n"a cat, 4k",succinctly/midjourney-prompts\na dog,Gustavosta/Stable-Diffusion-Prompts\n'
    table = {
        "text": ["a cat, 4k", "a dog"],
        "src_dataset": ["succinctly/midjourney-prompts", "Gustavosta/Stable-Diffusion-Prompts"],
    }
    parquet.write_table(arrow.table(table), tmp_path / "train.parquet")
    found = read(tmp_path / "1", csv, "text2image-multi-prompt", name="train.csv")
    source = {"kind": "text2image-multi-prompt", "name": "a", "path": str(tmp_path / "train.parquet")}
    for dataset in (found, collect(tmp_path / "2", source)):
        by_text = {sample.text(): json_of(sample) for sample in dataset.samples()}
        assert by_text["a cat, 4k"]["dataset"] == "succinctly/midjourney-prompts"
        assert by_text["a dog"]["licence"] == "Apache-2.0"
    assert "no column 'src_dataset'" in refusal(tmp_path / "3", "text\na\n", "text2image-multi-prompt", name="a.csv")


def test_published_text_files_are_read_whole(tmp_path: Path, data: Path) -> None:
    licensed = data / "prompts/licensed_prompts.tsv.gz"
    rows = {"licensed": gzip.decompress(licensed.read_bytes()).count(b"\n") - 1}
    sources: list[dict[str, Any]] = [
        {
            "kind": "tsv",
            "name": "licensed",
            "path": str(licensed),
            "quoting": "standard",
        }
    ]
    if (refl := data / "sources/imagereward/refl_data.json").is_file():  # only where ../shared is
        sources.append({"kind": "json", "name": "refl", "path": str(refl), "column": "text"})
        part = (data / "sources/diffusiondb/part-000001_excerpt.json.txt").read_text()
        (tmp_path / "part-000001.json").write_text(part)
        sources.append({"kind": "diffusiondb", "name": "part", "path": str(tmp_path / "part-*.json")})
        rows |= {"refl": 10_000, "part": 1}
    dataset = collect(tmp_path, *sources)
    found = counts(dataset)
    assert {unit: one.rows for unit, one in found.items()} == rows
    assert all(one.unreadable == 0 for one in found.values())
