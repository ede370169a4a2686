"""Hostile files of prompts: what each is made of, and how many of its rows are good; None where the file is bad data."""

# ruff: noqa: E501 - one line a file
from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as arrow
import pyarrow.parquet as parquet

Make = Callable[[], bytes]
Hostile = tuple[str, str, Make, int | None]  # kind, file name, its bytes, good rows

MANY = -1  # good rows: any number

_DEEP = b"[" * 200_000


def hostile_sources() -> Iterator[Hostile]:
    """All of them; every file name is another."""
    yield from _lines()
    yield from _json()
    yield from _tables()
    yield from _captions()
    yield from _compressed()
    yield from _parquets()
    yield from _diffusiondbs()
    yield from _laions()


def _lines() -> Iterator[Hostile]:
    texts = {
        "latin": (b"a cat\ncaf\xe9\na dog\n", 2),
        "nul": (b"a\0b\na dog\n", 1),
        "utf16": ("a cat\na dog\n".encode("utf-16"), MANY),
        "empty": (b"", 0),
        "ends": (b"\n\r\r\n\n", 0),
        "no-end": (b"a cat", 1),
        "bom": (b"\xef\xbb\xbfa cat\n", 1),
        "overlong": (b"\xc0\xaf\na\n", 1),
        "surrogate": (b"\xed\xa0\x80\na\n", 1),
        "long": (b"a\n" + b"x" * (17 << 20) + b"\nb\n", 2),
        "spaces": (b" " * 3_000_000 + b"\na\n", 1),
        "bidi": ("\u202egnp\u202c\n".encode(), 1),
        "escape": (b"\x1b[2J\x1b]0;x\x07\n", 1),
        "combining": (("e" + "\u0301" * 100_000 + "\n").encode(), 0),
        "binary": (bytes(range(256)) * 400, MANY),
        "utf16-unmarked": ("a cat\na dog\n".encode("utf-16-le"), 0),
        "utf16-half": ("a cat\n".encode("utf-16") + b"\x00\xd8b\0\n\0", 1),
        "utf16-odd": ("a cat\n".encode("utf-16") + b"a", 1),
        "utf32": ("a cat\n".encode("utf-32") + b"\xff" * 8, 1),
        "nuls": (b"\0" * 1_000_000, 0),
        "many-nuls": (b"\0" * (17 << 20), 0),
        "bom-inside": (b"a cat\n\xef\xbb\xbfa dog\n\xff\xfea\n", 2),
        "parquet": (b"PAR1\x15\x04", None),
        "zip": (b"PK\x03\x04" + bytes(99), None),
        "gzip": (b"\x1f\x8b" + bytes(99), None),
        "many": (b"\n" * 100_000 + b"a\n", 1),
    }
    for name, (content, good) in texts.items():
        yield "text", f"text-{name}.txt", lambda c=content: c, good
    lines: dict[str, bytes] = {
        "deep": b'{"prompt": ' + _DEEP,
        "deep-objects": b'{"a":' * 100_000,
        "not": b"{",
        "list": b"[]",
        "null": b"null",
        "number": b'{"prompt": 7}',
        "missing": b"{}",
        "nan": b'{"prompt": NaN}',
        "surrogate": b'{"prompt": "\\ud800"}',
        "nul": b'{"prompt": "\\u0000"}',
        "digits": b'{"prompt": ' + b"9" * 10_000 + b"}",
        "latin": b'{"prompt": "caf\xe9"}',
        "twice": b'{"prompt": "x", "prompt": 1}',
        "object": b'{"prompt": {}}',
        "bom": b"\xef\xbb\xbf{}",
        "exponent": b"1e999999999",
        "wide": b"[" + b"{}," * 1_000_000 + b"{}]",
        "long": b'{"prompt": "' + b"x" * (17 << 20),
        "keys": b"{" + b'"a":1,' * 300_000 + b'"b":1}',
    }
    for name, content in lines.items():
        yield (
            "jsonl",
            f"jsonl-{name}.jsonl",
            lambda c=content: b'{"prompt": "a cat"}\n' + c + b'\n{"prompt": "a dog"}\n',
            2,
        )


def _json() -> Iterator[Hostile]:
    values: dict[str, bytes] = {
        "deep": b"[" * 100_000 + b"]" * 100_000,
        "deep-objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        "digits": b"9" * 1_000_000,
        "exponent": b"1e999999999",
        "long": b'"' + b"x" * (17 << 20) + b'"',
        "wide": b"[" + b"{}," * 1_000_000 + b"{}]",
        "escape": b'"\\ud800"',
        "latin": b'"caf\xe9"',
        "nul": b'"\\u0000"',
        "raw-nul": b'"\0"',
        "word": b"nul",
        "colon": b'{"prompt" "a"}',
        "missing": b"{}",
        "none": b"",
    }
    for name, content in values.items():
        yield "json", f"json-{name}.json", lambda c=content: b'["a cat", ' + c + b', {"prompt": "a dog"}]', 2
    for name, content in {
        "unclosed": b'["a cat", "a dog"',
        "in-string": b'["a cat", "a dog',
        "open-deep": b'["a cat", ' + b"[" * 3_000_000,
        "endless": b'["a cat", "' + b"x" * (40 << 20),
        "no-array": b"7",
        "two": b'["a cat"] ["a dog"]',
        "lines": b'{"prompt": {}}\n{"prompt": {}}\n',
        "empty": b"",
        "spaces": b" " * 3_000_000,
        "nuls": b"\0" * 1_000_000,
        "utf16": '["a cat"]'.encode("utf-16-le"),
        "names": b"{1: 2}",
        "no-value": b'{"a"}',
        "bracket": b'["a cat"}',
    }.items():
        yield "json", f"json-file-{name}.json", lambda c=content: c, None
    yield "json", "json-commas.json", lambda: b'["a cat"' + b"," * 300_000 + b'"a dog"]', 2
    parts: dict[str, tuple[bytes, int | None]] = {
        "list": (b'[{"p": "a"}]', 1),
        "texts": (b'{"1.png": "a"}', 0),
        "seed": (b'{"1.png": {"p": "a", "se": [1]}, "2.png": {"p": "b", "se": 1e999}, "3.png": {"p": "c"}}', 1),
        "name": (b'{"\\ud800": {"p": "a"}, "": {"p": "b"}}', 1),
        "cut": (b'{"1.png": {"p": "a"', None),
    }
    for name, (content, good) in parts.items():
        yield "diffusiondb", f"part-{name}.json", lambda c=content: c, good


def _tables() -> Iterator[Hostile]:
    head = b"prompt,n\na cat,1\n"
    rows = {
        "quote": b'"never closed,1',
        "quote-after": b'"a" b,1',
        "fields": b"a",
        "many-fields": b"a" + b"," * 500_000,
        "blank": b"",
        "nul": b"a\0b,1",
        "latin": b"caf\xe9,1",
        "field": b"x" * (2 << 20) + b",1",
        "long": b"y" * (17 << 20) + b",1",
        "quoted-long": b'"' + b"z" * (17 << 20) + b'",1',
        "escape": b'"""""""",1,2',
        "lone": b'"',
    }
    for name, content in rows.items():
        yield "csv", f"csv-{name}.csv", lambda c=content: head + c + b"\na dog,2\n", 2
    yield "csv", "csv-quotes.csv", lambda: head + b'"never closed,1\n' * 2_000 + b"a dog,2\n", 2
    yield "csv", "csv-reopened.csv", lambda: head + b'a","open\n' * 3_000, 1
    yield (
        "csv",
        "csv-swallowed.csv",
        lambda: head + b'"open,1\n' + b"".join(b"prompt %d,1\n" % n for n in range(30_000)),
        30_001,
    )
    for name, content in {
        "none": b"",
        "other": b"text\na\n",
        "open": b'"prompt\na\n',
        "wrong": b'"prompt" x\na\n',
        "long": b"x" * (2 << 20) + b",prompt\na\n",
        "nul": b"\0\0\0\n",
        "latin": b"caf\xe9\na\n",
        "wide": b"a," * 500_000 + b"\n",
        "binary": bytes(range(256)) * 99,
        "utf16": "prompt\na\n".encode("utf-16-be"),
        "twice": b"Prompt,PROMPT\na,b\n",
        "semicolons": b"prompt;n\na;1\n",
        "endless": b"prompt," + b"x" * (40 << 20),
        "nuls": b"\0" * 1_000_000,
    }.items():
        yield "csv", f"csv-header-{name}.csv", lambda c=content: c, None
    for name, content in {
        "fields": b"a",
        "latin": b"caf\xe9\t1",
        "nul": b"\0\t1",
        "quote": b'"a\tb\tc',
        "quoted": b'"a ""b"""\t1',
        "long": b"x" * (17 << 20) + b"\t1",
    }.items():
        yield "tsv", f"tsv-{name}.tsv", lambda c=content: b"prompt\tn\na cat\t1\n" + c + b"\na dog\t2\n", 2
    yield "tsv", "tsv-header.tsv", lambda: b"x" * (17 << 20), None


def _captions() -> Iterator[Hostile]:
    rows = {
        "url": b"a\thttp://\xff\xfe",
        "no-url": b"a",
        "tabs": b"a\tb\tc",
        "latin": b"caf\xe9\thttp://x",
        "nul": b"a\0\thttp://x",
        "url-nul": b"a\thttp://\0",
        "long": b"x" * (17 << 20) + b"\thttp://x",
        "empty": b"",
        "spaces": b"a" + b" " * 2_000_000 + b"b",
    }
    for name, content in rows.items():
        yield (
            "conceptual-captions",
            f"cc-{name}.tsv",
            lambda c=content: b"a cat .\thttp://1\n" + c + b"\na dog .\thttp://2\n",
            2,
        )


def _compressed() -> Iterator[Hostile]:
    whole = gzip.compress(b"".join(b"prompt number %d\n" % number for number in range(5_000)), mtime=0)
    yield "text", "gz-bomb-line.txt.gz", lambda: _bomb(b"x"), None
    yield "text", "gz-bomb-lines.txt.gz", lambda: _bomb(b"\n"), None
    yield "jsonl", "gz-bomb.jsonl.gz", lambda: _bomb(b"["), None
    yield "csv", "gz-bomb.csv.gz", lambda: _bomb(b"x"), None
    yield "parquet", "gz-bomb.parquet.gz", lambda: _bomb(b"\0"), None
    cases = {
        "cut": whole[:-99],
        "sum": whole[:-8] + bytes(8),
        "not": b"a cat\n",
        "empty": b"",
        "flip": whole[:500] + b"\xff" * 9 + whole[509:],
        "header": b"\x1f\x8b\x08\xff" + b"\xff" * 70_000,
        "trailer": whole + b"junk",
    }
    for name, content in cases.items():
        yield "text", f"gz-{name}.txt.gz", lambda c=content: c, MANY if name == "empty" else None
    yield "text", "gz-members.txt.gz", lambda: gzip.compress(b"a cat\n", mtime=0) * 3_000, 1
    yield "text", "gz-zeros.txt.gz", lambda: gzip.compress(b"a cat\n", mtime=0) + bytes(100_000), 1


def _bomb(what: bytes) -> bytes:
    file = io.BytesIO()
    with gzip.GzipFile(fileobj=file, mode="wb", mtime=0) as inside:
        for _ in range(24):
            inside.write(what * (1 << 20))
    return file.getvalue()


def table(columns: dict[str, Any], **options: Any) -> bytes:
    """A parquet file."""
    file = io.BytesIO()
    parquet.write_table(arrow.table(columns), file, **options)
    return file.getvalue()


def _invalid(*texts: bytes) -> Any:
    return arrow.array(texts, arrow.binary()).view(arrow.string())


def _parquets() -> Iterator[Hostile]:
    good = table({"prompt": [f"prompt {number}" for number in range(999)]})
    cases: dict[str, tuple[bytes, int | None]] = {
        "invalid": (table({"prompt": _invalid(b"a", b"caf\xe9", b"c")}), 2),
        "bytes": (table({"prompt": [b"a", b"b"]}), 0),
        "lists": (table({"prompt": [["a"], []]}), 0),
        "nulls": (table({"prompt": ["a", None]}), 1),
        "other": (table({"text": ["a"]}), None),
        "twice": (good[:4] + good[8:], None),
        "cut": (good[:-20], None),
        "magic": (b"PAR1", None),
        "empty": (b"", None),
        "none": (table({"prompt": arrow.array([], arrow.string())}), 0),
        "footer": (b"PAR1" + b"\xff" * 99 + b"\xff\xff\xff\x7fPAR1", None),
        "page": (good[:60] + b"\xff" * 30 + good[90:], None),
        "rows": (
            table({"prompt": arrow.DictionaryArray.from_arrays(arrow.array([0] * 300_000, arrow.int32()), ["a"])}),
            MANY,
        ),
        "wide": (table({"prompt": ["x" * (17 << 20), "b"]}), 1),
        "bomb": (
            table(
                {"prompt": arrow.DictionaryArray.from_arrays(arrow.array([0] * 8_000, arrow.int32()), ["x" * 500_000])}
            ),
            None,
        ),
        "flip": (good[:-60] + b"\x80" * 9 + good[-51:], None),
        "groups": (table({"prompt": [f"prompt {number}" for number in range(2_000)]}, row_group_size=1), 2_000),
        "twice-named": (_twice_named(), None),
        "struct": (table({"prompt": [{"bytes": b"a", "path": "b"}, None]}), 0),
        "columns": (table({f"c{number}": [1] for number in range(3_000)} | {"prompt": ["a"]}), 1),
    }
    for name, (content, rows) in cases.items():
        yield "parquet", f"parquet-{name}.parquet", lambda c=content: c, rows


def _twice_named() -> bytes:
    file = io.BytesIO()
    columns = [arrow.array(["a"]), arrow.array(["b"])]
    parquet.write_table(arrow.Table.from_arrays(columns, names=["prompt", "prompt"]), file)
    return file.getvalue()


def _diffusiondbs() -> Iterator[Hostile]:
    fine: dict[str, Any] = {"prompt": ["a", "b"], "image_name": ["1", "2"], "prompt_nsfw": [0.1, 0.2]}
    cases: dict[str, tuple[dict[str, Any], int | None]] = {
        "name-bytes": ({"image_name": [b"1", b"\xff"]}, 0),
        "name-nan": ({"image_name": [float("nan"), float("inf")]}, 0),
        "name-number": ({"image_name": [1, None]}, 2),
        "name-list": ({"image_name": [["1"], ["2"]]}, 0),
        "name-invalid": ({"image_name": _invalid(b"1", b"\xff")}, 1),
        "score-text": ({"prompt_nsfw": ["0.1", "x"]}, 0),
        "score-nan": ({"prompt_nsfw": [float("nan"), 0.1]}, 1),
        "score-null": ({"prompt_nsfw": [None, 0.1]}, 2),
        "score-struct": ({"prompt_nsfw": [{"a": 1}, None]}, 1),
        "prompt-number": ({"prompt": [1, 2]}, 0),
    }
    for name, (columns, good) in cases.items():
        yield "diffusiondb", f"ddb-{name}.parquet", lambda c=columns: table(fine | c), good
    yield "diffusiondb", "ddb-no-score.parquet", lambda: table({"prompt": ["a"], "image_name": ["1"]}), None


def _laions() -> Iterator[Hostile]:
    fine: dict[str, Any] = {"URL": ["https://x/1", "https://x/2"], "top_caption": ["a", "b"]}
    cases: dict[str, tuple[dict[str, Any], int | None]] = {
        "url-invalid": ({"URL": _invalid(b"1", b"\xff")}, 1),
        "url-list": ({"URL": [["1"], None]}, 1),
        "caption-lists": ({"top_caption": [["a"], [None]]}, 0),
        "caption-deep": ({"top_caption": [[[["a"]]], None]}, 0),
        "caption-null": ({"top_caption": [None, "b"]}, 1),
    }
    for name, (columns, good) in cases.items():
        yield "laion-coco", f"laion-{name}.parquet", lambda c=columns: table(fine | c), good
    yield "laion-coco", "laion-no-url.parquet", lambda: table({"top_caption": ["a"]}), None
