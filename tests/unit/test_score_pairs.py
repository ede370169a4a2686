"""Pairs in every layout are recognised by looking; what cannot be read is named, and fails nothing."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest
from PIL import Image, PngImagePlugin

from jobs.errors import BadConfiguration, I2PError
from jobs.score.completing import Asked, pair_kinds
from jobs.score.layouts import layout_of
from jobs.score.pairs import ReadPairs, images_of, read_pairs
from tests.unit.test_pair_sources import picture, table, write

NAMES = ["1", "2", "3"]
IMAGES = {f"{name}.png": picture(int(name)) for name in NAMES}
PROMPTS = {name: f"cat number {name}" for name in NAMES}


def silent(what: str, done: int, total: int | None, part: float | None = None) -> None:
    """Shows nothing."""


def read(path: Path | str, **asked: str) -> tuple[str, ReadPairs]:
    layout = layout_of(str(path), Asked(**asked))
    return layout.kind, read_pairs(layout.sources, 2, silent)


def tar(names: list[str]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name in names:
            for ending, data in (
                ("png", IMAGES[f"{name}.png"]),
                ("json", json.dumps({"prompt": PROMPTS[name]}).encode()),
            ):
                member = tarfile.TarInfo(f"{name}.{ending}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return file.getvalue()


def imagefolder(folder: Path, column: str = "text") -> Path:
    rows = [{"file_name": f"{name}.png", column: PROMPTS[name]} for name in NAMES]
    return write(folder, {**IMAGES, "metadata.jsonl": "".join(f"{json.dumps(row)}\n" for row in rows).encode()})


def sidecar(folder: Path) -> Path:
    return write(folder, {**IMAGES, **{f"{name}.txt": prompt.encode() for name, prompt in PROMPTS.items()}})


def csv_pairs(folder: Path) -> Path:
    return write(
        folder,
        {
            **{f"images/{name}": data for name, data in IMAGES.items()},
            "prompts.csv": table([("imgId", "prompt"), *PROMPTS.items()]),
            "other.csv": table([("imgId_eId", "val"), ("1_0", "0.5")]),
        },
    )


def webdataset(folder: Path) -> Path:
    return write(folder, {"train/00000.tar": tar(NAMES[:2]), "train/00001.tar": tar(NAMES[2:])})


def as_parquet(folder: Path) -> Path:
    folder.mkdir()
    rows = [{"caption": PROMPTS[name], "image": {"bytes": IMAGES[f"{name}.png"], "path": None}} for name in NAMES]
    parquet.write_table(arrow.Table.from_pylist(rows), folder / "train-00000-of-00001.parquet")
    return folder


def png_parameters(folder: Path) -> Path:
    files = {}
    for name, prompt in PROMPTS.items():
        info, file = PngImagePlugin.PngInfo(), io.BytesIO()
        info.add_text("parameters", f"{prompt}\nSteps: 20, Sampler: Euler a")
        Image.open(io.BytesIO(IMAGES[f"{name}.png"])).save(file, "PNG", pnginfo=info)
        files[f"{name}.png"] = file.getvalue()
    return write(folder, files)


LAYOUTS: dict[str, Callable[[Path], Path]] = {
    "imagefolder": imagefolder,
    "sidecar": sidecar,
    "csv-pairs": csv_pairs,
    "webdataset": webdataset,
    "parquet": as_parquet,
    "png-parameters": png_parameters,
}


@pytest.mark.parametrize("kind", LAYOUTS)
def test_every_layout_is_recognised_and_read(tmp_path: Path, kind: str) -> None:
    found, pairs = read(LAYOUTS[kind](tmp_path / "pairs"))
    assert found == kind
    assert [pair.prompt for pair in pairs.pairs] == list(PROMPTS.values())
    assert pairs.unreadable == []
    assert len({pair.image for pair in pairs.pairs}) == 3
    wanted = {pair.where for pair in pairs.pairs[1:]}
    shown = dict(images_of(pairs, wanted))
    assert set(shown) == wanted
    assert [Image.open(io.BytesIO(data)).size for data in shown.values()] == [(12, 10)] * 2


@pytest.mark.parametrize("kind", LAYOUTS)
def test_a_layout_may_be_named(tmp_path: Path, kind: str) -> None:
    path = str(LAYOUTS[kind](tmp_path / "pairs"))
    files = {"csv-pairs": "/prompts.csv", "webdataset": "/train/*.tar", "parquet": "/*.parquet"}
    found, pairs = read(path + files.get(kind, ""), kind=kind)
    assert (found, len(pairs.pairs)) == (kind, 3)


def test_files_are_recognised_by_their_ending(tmp_path: Path) -> None:
    assert read(csv_pairs(tmp_path / "a") / "prompts.csv")[0] == "csv-pairs"
    assert read(webdataset(tmp_path / "b") / "train/00000.tar")[0] == "webdataset"
    assert read(as_parquet(tmp_path / "c") / "train-00000-of-00001.parquet")[0] == "parquet"


def test_the_columns_of_a_table_may_be_said(tmp_path: Path) -> None:
    files = {"t/words.csv": table([("nr", "what"), ("1", "a cat"), ("2", "a dog")]), "p/x1.png": IMAGES["1.png"]}
    write(tmp_path, files)
    kind, pairs = read(tmp_path / "t/words.csv", column="what", image="x{nr}.png", images=str(tmp_path / "p"))
    assert kind == "csv-pairs"
    assert [(pair.image, pair.prompt) for pair in pairs.pairs] == [("x1.png", "a cat")]
    assert [one.reason for one in pairs.unreadable] == ["its image is not there"]


def test_what_cannot_be_read_is_named_and_left_out(tmp_path: Path) -> None:
    folder = imagefolder(tmp_path)
    rows = [
        {"file_name": "gone.png", "text": "a"},
        {"file_name": "bad.png", "text": "b"},
        {"file_name": "1.png", "text": " "},
    ]
    rows += [{"file_name": "../1.png", "text": "c"}]
    with (folder / "metadata.jsonl").open("a") as file:
        file.write("".join(f"{json.dumps(row)}\n" for row in rows) + '{"file_name": "1.png"}\nno json\n')
    (folder / "bad.png").write_bytes(IMAGES["1.png"][:40])
    _, pairs = read(folder)
    assert len(pairs.pairs) == 3
    found = {one.what: one.reason for one in pairs.unreadable}
    assert len(found) == 6
    assert found["row 4 of metadata.jsonl (gone.png)"] == "its image is not there"
    assert "damaged" in found["row 5 of metadata.jsonl (bad.png)"]
    assert found["row 6 of metadata.jsonl (1.png)"] == "its prompt is empty"
    assert "named as no file can be" in found["row 7 of metadata.jsonl (../1.png)"]
    assert "not an object with a member 'text'" in found["row 8 of metadata.jsonl"]
    assert "row 9 of metadata.jsonl" in found


def test_images_in_several_folders_keep_their_names_apart(tmp_path: Path) -> None:
    imagefolder(tmp_path / "a")
    imagefolder(tmp_path / "b")
    _, pairs = read(tmp_path)
    assert [pair.image for pair in pairs.pairs] == [f"{folder}/{name}.png" for folder in "ab" for name in NAMES]
    assert [pair.source for pair in pairs.pairs] == ["a"] * 3 + ["b"] * 3


def test_samples_of_several_tars_keep_their_names_apart(tmp_path: Path) -> None:
    write(tmp_path, {"x/0.tar": tar(NAMES), "y/0.tar": tar(NAMES)})
    _, pairs = read(tmp_path)
    assert [pair.image for pair in pairs.pairs] == [f"{folder}/{name}" for folder in "xy" for name in NAMES]
    assert {pair.source for pair in pairs.pairs} == {"x", "y"}


def test_a_column_names_the_source_of_a_pair(tmp_path: Path) -> None:
    rows = [("file", "prompt", "source"), ("1.png", "a", "forum"), ("2.png", "b", "mail"), ("3.png", "c", "")]
    write(tmp_path, {**IMAGES, "t.csv": table(rows)})
    _, pairs = read(tmp_path)
    assert [pair.source for pair in pairs.pairs] == ["forum", "mail", ""]


@pytest.mark.parametrize(
    ("files", "asked", "reason"),
    [
        ({}, {}, "there is nothing at"),
        ({"a.doc": b""}, {}, "no pairs are recognised in .* which holds a.doc; required are"),
        (IMAGES, {}, "no pairs are recognised"),
        (IMAGES, {"kind": "text"}, "--kind: one of chatgpt-images, csv-pairs, .* is required, given 'text'"),
        (IMAGES, {"kind": "imagefolder"}, "there is no metadata"),
        ({**IMAGES, "1.txt": b"a"}, {"kind": "sidecar", "column": "c"}, "kind sidecar have no setting column"),
        (
            {**IMAGES, "a.csv": table([("id", "prompt"), ("1", "x")]), "b.csv": table([("id", "prompt"), ("2", "x")])},
            {},
            r"several tables of pairs \(a.csv, b.csv\)",
        ),
    ],
)
def test_what_is_no_layout_is_an_error_that_says_what_to_do(
    tmp_path: Path, files: dict[str, bytes], asked: dict[str, str], reason: str
) -> None:
    with pytest.raises(I2PError, match=reason):
        read(write(tmp_path, files), **asked)


def test_a_table_whose_images_are_not_found_says_how_to_name_them(tmp_path: Path) -> None:
    write(tmp_path, {"t.csv": table([("id", "prompt"), ("1", "a")])})
    with pytest.raises(BadConfiguration, match=r"--image 'pictures/\{id\}\.png'"):
        read(tmp_path / "t.csv")


def test_all_kinds_of_sources_that_give_images_are_known() -> None:
    assert {*LAYOUTS, "sd2gpt2", "sd2hardcode", "chatgpt-images", "gustavosta-sd2"} == set(pair_kinds())
