"""Files of prompts are read for one column and copied without some rows, which come out as they went in."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.dedup.tool.tables.formats import Format, common_format, format_of
from jobs.dedup.tool.tables.reading import copy_rows, open_tables, prompts
from jobs.errors import BadConfiguration, BadData

FOLDER_IS_SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])

PIECES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n\x85"), max_size=12)
FIELDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


def read(*paths: Path, column: str | None = None) -> list[str]:
    """The prompts of all files, one after the other."""
    return [prompt for table in open_tables(paths, common_format(paths), column) for prompt in prompts(table)]


def copied(paths: Sequence[Path], keep: Sequence[Sequence[bool]], column: str | None = None) -> bytes:
    """What is written of the files' rows that are to be kept."""
    out = io.BytesIO()
    copy_rows(open_tables(paths, common_format(paths), column), keep, out)
    return out.getvalue()


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


# ---- what is kept is as it was ------------------------------------------------------------------------------------


@FOLDER_IS_SHARED
@given(st.lists(st.tuples(PIECES, st.sampled_from(["\n", "\r\n", "\r"]), st.booleans())), PIECES, st.booleans())
def test_lines_of_text_are_kept_byte_for_byte(
    tmp_path: Path, lines: list[tuple[str, str, bool]], last: str, mark: bool
) -> None:
    lines = [(text + ("x" if end == "\r" else ""), end, keep) for text, end, keep in lines]
    lines = [(f"-{text}", end, keep) for text, end, keep in lines]  # else "\r" and "\n" of two lines were one end
    rows = [(f"{text}{end}", keep) for text, end, keep in lines] + ([(last, True)] if last else [])
    start = "\ufeff" if mark else ""
    path = written(tmp_path / "a.txt", (start + "".join(text for text, _ in rows)).encode())
    assert read(path) == [text for text, _ in rows]
    kept = start + "".join(text for text, keep in rows if keep)
    assert copied([path], [[keep for _, keep in rows]]) == kept.encode()


@FOLDER_IS_SHARED
@given(
    st.lists(st.tuples(FIELDS, FIELDS, st.booleans()), max_size=8),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
def test_rows_of_csv_are_kept_with_their_line_breaks_quotes_and_ends(
    tmp_path: Path, rows: list[tuple[str, str, bool]], quoting: Any, end: str, mark: bool
) -> None:
    def table(chosen: Sequence[tuple[str, str, bool]]) -> bytes:
        file = io.StringIO(newline="")
        csv.writer(file, quoting=quoting, lineterminator=end).writerows([("id", "prompt"), *(r[:2] for r in chosen)])
        return (("\ufeff" if mark else "") + file.getvalue()).encode()

    if quoting == csv.QUOTE_MINIMAL:  # which leaves a lone "\r" as it is, and so ends the row there
        rows = [(name.replace("\r", ""), prompt.replace("\r", ""), keep) for name, prompt, keep in rows]
    rows = [("1" + name, prompt, keep) for name, prompt, keep in rows]
    path = written(tmp_path / "a.csv", table(rows))
    assert read(path) == [prompt for _, prompt, _ in rows]
    assert copied([path], [[keep for *_, keep in rows]]) == table([row for row in rows if row[2]])


@FOLDER_IS_SHARED
@given(st.lists(st.tuples(FIELDS, st.booleans(), st.booleans()), min_size=1, max_size=8))
def test_lines_of_json_are_kept_byte_for_byte(tmp_path: Path, rows: list[tuple[str, bool, bool]]) -> None:
    lines = [
        f' {{"n": {"1.0e0" if escaped else "1"}, "prompt": {json.dumps(text, ensure_ascii=escaped)}}} \n'
        for text, escaped, _ in rows
    ]
    path = written(tmp_path / "a.jsonl", "".join(lines).encode())
    assert read(path) == [text for text, *_ in rows]
    assert (
        copied([path], [[keep for *_, keep in rows]])
        == "".join(line for line, (*_, keep) in zip(lines, rows, strict=True) if keep).encode()
    )


def test_bytes_of_other_columns_need_not_be_utf8(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tsv", b"prompt\tname\na cat\tcaf\xe9\na dog\tx\n")
    assert read(path) == ["a cat", "a dog"]
    assert copied([path], [[True, False]]) == b"prompt\tname\na cat\tcaf\xe9\n"


def test_tsv_takes_quotation_marks_as_they_are(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tsv", b'prompt\tkind\n"a cat\treal\na "dog"\treal\n')
    assert read(path) == ['"a cat', 'a "dog"']


def test_empty_lines_are_rows_of_text_and_of_nothing_else(tmp_path: Path) -> None:
    assert read(written(tmp_path / "a.txt", b"a\n\nb\n")) == ["a\n", "\n", "b\n"]
    table = written(tmp_path / "a.csv", b"prompt,n\na,1\n\nb,2\n\n")
    assert read(table) == ["a", "b"]
    assert copied([table], [[True, True]]) == b"prompt,n\na,1\nb,2\n"
    lines = written(tmp_path / "a.jsonl", b'\n{"prompt": "a"}\n\n{"prompt": null}\n')
    assert read(lines) == ["a", ""]
    assert copied([lines], [[True, False]]) == b'{"prompt": "a"}\n'


def test_several_files_have_one_header_and_a_line_end_where_one_was_missing(tmp_path: Path) -> None:
    one = written(tmp_path / "1.csv", b"\xef\xbb\xbfprompt,n\r\na,1\r\nb,2")
    two = written(tmp_path / "2.csv", b"prompt,n\nc,3\nd,4\n")
    assert read(one, two) == ["a", "b", "c", "d"]
    assert copied([one, two], [[True, True], [False, True]]) == b"\xef\xbb\xbfprompt,n\r\na,1\r\nb,2\r\nd,4\n"


def test_compressed_files_are_read_and_written_compressed_the_same_each_time(tmp_path: Path) -> None:
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"a cat\na dog\n"))
    assert read(tmp_path / "a.txt.gz") == ["a cat\n", "a dog\n"]
    found = format_of(tmp_path / "a.txt.gz")
    assert found.kept == "kept.txt.gz"
    files = [io.BytesIO(), io.BytesIO()]
    for file in files:
        with found.writing(file) as out:
            out.write(b"a cat\n")
    assert gzip.decompress(files[0].getvalue()) == b"a cat\n"
    assert files[0].getvalue() == files[1].getvalue()


# ---- parquet ------------------------------------------------------------------------------------------------------

ROWS = 50
TABLE = arrow.table(
    {
        "id": arrow.array(range(ROWS), arrow.uint16()),
        "caption": [None if number == 3 else f"prompt {number}" for number in range(ROWS)],
        "tags": arrow.array([["a"] * (number % 3) for number in range(ROWS)], arrow.list_(arrow.large_string())),
        "at": arrow.array(range(ROWS), arrow.timestamp("ms", tz="UTC")),
        "kind": arrow.array(["x", "y"] * (ROWS // 2)).dictionary_encode(),
        "image": arrow.array(
            [{"bytes": bytes([number]), "path": "p"} for number in range(ROWS)],
            arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())]),
        ),
    }
).replace_schema_metadata({"huggingface": '{"info": {}}'})


@pytest.mark.parametrize(("codec", "compliant"), [("snappy", True), ("zstd", False), ("NONE", True)])
def test_rows_of_parquet_keep_schema_types_metadata_and_compression(tmp_path: Path, codec: str, compliant: Any) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(TABLE, path, row_group_size=16, compression=codec, use_compliant_nested_type=compliant)
    assert read(path) == ["" if number == 3 else f"prompt {number}" for number in range(ROWS)]
    keep = [number % 5 == 0 and not 16 <= number < 32 for number in range(ROWS)]
    found = parquet.ParquetFile(io.BytesIO(copied([path], [keep])))
    original = parquet.ParquetFile(path)
    assert found.schema_arrow.equals(original.schema_arrow, check_metadata=True)
    assert found.schema.equals(original.schema)
    assert found.read().to_pylist() == [row for row, kept in zip(TABLE.to_pylist(), keep, strict=True) if kept]
    assert found.metadata.num_row_groups == 2  # of four, two have no row left
    assert found.metadata.row_group(0).column(0).compression == original.metadata.row_group(0).column(0).compression


def test_several_parquet_files_become_one_and_must_have_equal_columns(tmp_path: Path) -> None:
    one, two, other = tmp_path / "1.parquet", tmp_path / "2.parquet", tmp_path / "3.parquet"
    parquet.write_table(TABLE.slice(0, 20), one)
    parquet.write_table(TABLE.slice(20), two)
    out = copied([one, two], [[True] * 20, [True] * (ROWS - 20)])
    assert parquet.read_table(io.BytesIO(out)).equals(TABLE.unify_dictionaries())
    parquet.write_table(TABLE.set_column(0, "id", arrow.array(range(ROWS), arrow.int64())), other)
    with pytest.raises(BadConfiguration, match=r"3.parquet has not the columns and types of .*1.parquet"):
        read(one, other)


def test_of_parquet_nothing_may_be_kept(tmp_path: Path) -> None:
    parquet.write_table(TABLE, tmp_path / "a.parquet")
    found = parquet.read_table(io.BytesIO(copied([tmp_path / "a.parquet"], [[False] * ROWS])))
    assert (found.num_rows, found.schema) == (0, TABLE.schema)


def test_what_is_no_parquet_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"a.parquet is not readable as parquet"):
        read(written(tmp_path / "a.parquet", b"PAR1 and no more"))
    parquet.write_table(TABLE, tmp_path / "b.parquet")
    with pytest.raises(BadConfiguration, match=r"no column 'prompt', only 'id', 'caption', 'tags'"):
        read(tmp_path / "b.parquet", column="prompt")
    with pytest.raises(BadData, match=r"row 1 is not text but int; 50 of 50 rows cannot be read"):
        read(tmp_path / "b.parquet", column="id")


# ---- columns ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "column", "position"),
    [
        ("id,caption,text,prompt", None, 3),
        ("id,caption,text", None, 2),
        ("id,caption", None, 1),
        ("id,caption", "id", 0),
        ("title", None, 0),
        ("a b,c", "a b", 0),
    ],
)
def test_the_column_is_the_one_named_or_a_usual_one_or_the_only_one(
    tmp_path: Path, header: str, column: str, position: int
) -> None:
    fields = [str(number) for number in range(header.count(",") + 1)]
    path = written(tmp_path / "a.csv", f"{header}\n{','.join(fields)}\n".encode())
    assert read(path, column=column) == [fields[position]]


def test_a_number_is_a_column_of_a_file_without_header(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tsv", b"a cat .\thttp://x/1\na dog .\thttp://x/2\n")
    assert read(path, column="1") == ["a cat .", "a dog ."]
    assert copied([path], [[False, True]], column="1") == b"a dog .\thttp://x/2\n"
    with pytest.raises(BadConfiguration, match="has 2 columns, there is no column 3"):
        read(path, column="3")
    with pytest.raises(BadConfiguration, match="if the first line is no header, give its number, like --column 1"):
        read(path)


def test_a_column_of_jsonl_may_be_a_number(tmp_path: Path) -> None:
    assert read(written(tmp_path / "a.jsonl", b'{"1": "a cat", "prompt": "b"}\n'), column="1") == ["a cat"]


# ---- errors -------------------------------------------------------------------------------------------------------

ERRORS: dict[str, tuple[str, bytes, str]] = {
    "semicolons": ("a.csv", b"prompt;stars\na;1\n", "separated by semicolons and not by commas"),
    "tabs in a csv": ("a.csv", b"prompt\tstars\na\t1\n", "separated by tabs"),
    "commas in a tsv": ("a.tsv", b"prompt,stars\na,1\n", "separated by commas and not by tabs"),
    "no header": ("a.csv", b"a cat on a mat\na dog\n", "looks like a row and not like a header; give --column 1"),
    "other columns": ("a.csv", b"x,y\n1,2\n", "no column prompt, text or caption, only 'x', 'y'; name the prompts'"),
    "nothing": ("a.csv", b"", "a.csv is empty; a header is required"),
    "utf-16": ("a.csv", "prompt\na\n".encode("utf-16"), "in UTF-16, required is UTF-8.*iconv -f UTF-16 -t UTF-8 a.csv"),
    "utf-16 unmarked": ("a.txt", "a cat\n".encode("utf-16-le"), "probably in UTF-16"),
    "latin-1": ("a.csv", b"prompt\na\ncaf\xe9\n", "row 2 .1 of 2 rows. is not UTF-8.*iconv -f WINDOWS-1252"),
    "latin-1 text": ("a.txt", b"caf\xe9\n", "row 1 .* is not UTF-8"),
    "nul": ("a.txt", b"a long enough line\0\n", "row 1 holds a NUL character"),
    "too many fields": ("a.csv", b"prompt\na\na, b\n", "row 2 has 2 fields, the header has 1; in a CSV"),
    "many rows": (
        "a.csv",
        b"prompt,n\na\nb\nc,3\n",
        "row 1 has 1 fields.*2 of 3 rows cannot be read, this is the first",
    ),
    "an open quote": (
        "a.csv",
        b'prompt,n\na,1\n"b,2\nc,3\n',
        "begins on line 3 cannot be read.*quotation mark missing",
    ),
    "no json": ("a.jsonl", b'{"prompt": "a"}\n{"prompt"\n', "row 2 is not JSON"),
    "no object": ("a.jsonl", b'["a"]\n', "an object a line; the first is none"),
    "no member": ("a.jsonl", b'{"prompt": "a"}\n{"text": "b"}\n', "row 2 is no object with a member 'prompt'"),
    "a number": ("a.jsonl", b'{"prompt": 7}\n', "row 1 is not text but int"),
    "gzip": ("a.txt", gzip.compress(b"a"), "compressed with gzip: let its name end in .gz"),
    "no gzip": ("a.txt.gz", b"a cat\n", "not a whole gzip file"),
    "a spreadsheet": ("a.csv", b"PK\x03\x04....", "a zip file, as spreadsheets are: save it as CSV"),
    "parquet": ("a.csv", b"PAR1....", "is parquet: let its name end in .parquet"),
}


@pytest.mark.parametrize(("name", "content", "reason"), ERRORS.values(), ids=ERRORS)
def test_an_error_says_what_is_wrong_and_what_to_do(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    with pytest.raises((BadData, BadConfiguration), match=reason):
        read(written(tmp_path / name, content))


def test_text_has_no_columns(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match="it has no columns to choose from"):
        read(written(tmp_path / "a.txt", b"a\n"), column="prompt")


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["a.xlsx"], "a name is required that says the format, .txt, .csv, .tsv, .jsonl"),
        (["a.parquet.gz"], "parquet is compressed inside: gunzip it"),
        (["a.csv", "a.tsv"], "files of one format are required"),
    ],
)
def test_the_names_say_one_format(names: list[str], reason: str) -> None:
    with pytest.raises(BadConfiguration, match=reason):
        common_format([Path(name) for name in names])


def test_the_kept_file_is_compressed_where_all_files_are() -> None:
    assert common_format([Path("a.csv.gz"), Path("B.CSV.GZ")]) == Format(".csv", gzip=True)
    assert common_format([Path("a.csv.gz"), Path("b.csv")]) == Format(".csv")
    assert format_of(Path("a.ndjson")).kept == "kept.jsonl"


def test_files_of_other_columns_are_refused_but_json_lines_may_differ(tmp_path: Path) -> None:
    tables = [written(tmp_path / "1.csv", b"prompt,n\na,1\n"), written(tmp_path / "2.csv", b"prompt\na\n")]
    with pytest.raises(BadConfiguration, match=r"has the columns \['prompt', 'n'\], .*2.csv has \['prompt'\]"):
        read(*tables)
    lines = [
        written(tmp_path / "1.jsonl", b'{"text": "a", "n": 1}\n'),
        written(tmp_path / "2.jsonl", b'{"text": "b"}\n'),
    ]
    assert read(*lines) == ["a", "b"]


@pytest.mark.parametrize("shorter", [True, False])
@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_a_file_that_changed_since_it_was_read_is_noticed(tmp_path: Path, name: str, shorter: bool) -> None:
    path = tmp_path / name

    def make(rows: list[str]) -> None:
        if name.endswith("parquet"):
            parquet.write_table(arrow.table({"prompt": rows}), path)
        else:
            path.write_text("\n".join(["prompt", *rows, ""]))

    make(["a", "b", "c"])
    tables = open_tables([path], format_of(path), None)
    assert list(prompts(tables[0])) == ["a", "b", "c"]
    make(["a"] if shorter else ["a", "b", "c", "d"])
    with pytest.raises(BadData, match="changed while it was filtered"):
        copy_rows(tables, [[True, True, True]], io.BytesIO())
