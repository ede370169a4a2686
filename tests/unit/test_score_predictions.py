"""Files of predictions by other systems: what is read of each form, and what is wrong with those that are not so."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest

from jobs.errors import BadConfiguration, BadData, I2PError
from jobs.score.matching import matched
from jobs.score.pairs import Pair
from jobs.score.prediction_files import Prediction, read_predictions

ROWS = [("a/1.png", "a red fox"), ("a/2.png", 'with "quotes", and a comma'), ("3", "")]


def table(path: Path, rows: Sequence[Sequence[object]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",").writerows(rows)
    return path


def lines(path: Path, values: Sequence[object]) -> Path:
    path.write_text("".join(f"{json.dumps(value)}\n" for value in values))
    return path


def vectors(count: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((count, 384)).astype(np.float32)


def is_equal(found: np.ndarray | None, expected: np.ndarray) -> bool:
    return found is not None and np.array_equal(found, expected)


def submission(path: Path, ids: Sequence[str], found: np.ndarray) -> Path:
    rows = [
        (f"{id_}_{number}", float(value))
        for id_, one in zip(ids, found, strict=True)
        for number, value in enumerate(one)
    ]
    return table(path, [("imgId_eId", "val"), *rows])


def texts(predictions: Sequence[Prediction]) -> list[tuple[str, str | None]]:
    return [(one.name, one.prompt) for one in predictions]


@pytest.mark.parametrize("name", ["p.csv", "p.tsv", "p.jsonl", "p.parquet"])
@pytest.mark.parametrize("columns", [("file", "prompt"), ("id", "prompt"), ("File_Name", "Text")])
def test_text_is_read_of_every_format(tmp_path: Path, name: str, columns: tuple[str, str]) -> None:
    path = tmp_path / name
    if path.suffix == ".jsonl":
        lines(path, [dict(zip(columns, row, strict=True)) for row in ROWS])
    elif path.suffix == ".parquet":
        parquet.write_table(arrow.Table.from_pylist([dict(zip(columns, row, strict=True)) for row in ROWS]), path)
    else:
        table(path, [columns, *ROWS])
    assert texts(read_predictions(str(path))) == [(name, prompt or None) for name, prompt in ROWS]


def test_expected_cosines_and_abstentions_are_read(tmp_path: Path) -> None:
    rows = [
        ("1", "a", "0.5", ""),
        ("2", "b", "", "true"),
        ("3", "c", "-0.1", "unlike the training images"),
        ("4", "d", "", "False"),
    ]
    path = table(tmp_path / "p.csv", [("id", "prompt", "expected_cosine", "abstained"), *rows])
    found = read_predictions(str(path))
    assert [one.expected_cosine for one in found] == [0.5, None, -0.1, None]
    assert [one.abstained for one in found] == [None, "abstained", "unlike the training images", None]


def test_candidates_stand_for_a_prompt(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "p.jsonl",
        [{"id": "1", "candidates": [{"prompt": "a", "cosine": 1}]}, {"id": "2", "candidates": ["b"]}, {"id": "3"}],
    )
    assert texts(read_predictions(str(path))) == [("1", "a"), ("2", "b"), ("3", None)]


def test_a_submission_is_read_in_any_order(tmp_path: Path) -> None:
    found = vectors(2)
    path = submission(tmp_path / "s.csv", ["x_y", "z"], found)
    header, *rows = path.read_text().splitlines()
    path.write_text("\n".join([header, *reversed(rows)]))
    read = {one.name: one.vector for one in read_predictions(str(path))}
    assert list(read) == ["z", "x_y"]
    assert is_equal(read["x_y"], found[0])


@pytest.mark.parametrize("beside", ["vectors.jsonl", "predictions.jsonl"])
def test_vectors_have_their_names_beside_them(tmp_path: Path, beside: str) -> None:
    np.save(tmp_path / "vectors.npy", vectors(2))
    lines(tmp_path / beside, [{"id": "1", "prompt": "a"}, {"id": "2", "error": "damaged"}, {"id": "3", "prompt": "c"}])
    for address in (tmp_path / "vectors.npy", *([tmp_path] if beside == "predictions.jsonl" else [])):
        found = read_predictions(str(address))
        assert [one.name for one in found if one.vector is not None] == ["1", "3"]
        assert is_equal(found[2].vector, vectors(2)[1])


def test_vectors_may_be_in_the_lines(tmp_path: Path) -> None:
    path = lines(tmp_path / "p.jsonl", [{"id": "1", "vector": vectors(1)[0].tolist()}])
    (one,) = read_predictions(str(path))
    assert is_equal(one.vector, vectors(1)[0])


@pytest.mark.parametrize(
    ("name", "text", "error", "reason"),
    [
        ("gone.csv", None, BadConfiguration, "there is no file"),
        ("p.txt", "a", BadConfiguration, "ends in .csv, .tsv, .jsonl, .parquet or .npy is required"),
        ("p.csv", "image name,prompt\n1,a\n", BadData, "row 1 has no name of an image; a column `file` or `id`"),
        ("p.csv", "id,prompt\n1\n", BadData, "row 1 has 1 fields, its header has 2"),
        ("p.csv", "id,prompt,expected_cosine\n1,a,2\n", BadData, "a number from -1 to 1, given '2'"),
        ("p.csv", 'id,prompt\n1,"a\n', BadData, "is not readable"),
        ("p.csv", b"id,prompt\n1,\xff\n", BadData, "is not readable.*UTF-8"),
        ("p.jsonl", "{\n", BadData, "line 1 is not JSON"),
        ("p.jsonl", "[1]\n", BadData, "line 1 is no JSON object"),
        ("p.jsonl", '{"id": "1", "prompt": 3}\n', BadData, "a prompt is text, given is int"),
        ("p.jsonl", '{"id": "1", "vector": [1, 2]}\n', BadData, "384 finite numbers are required"),
        ("p.jsonl", '{"id": "1", "vector": ["a"]}\n', BadData, "none of 384 numbers"),
        ("p.parquet", "no parquet", BadData, "is not readable"),
        ("p.npy", "no array", BadConfiguration, "names of the images for the rows"),
        ("s.csv", "imgId_eId,val\nx_0,1\n", BadData, "image x lacks 383 of 384 rows, first x_1"),
        ("s.csv", "imgId_eId,val\nx_0,1\nx_0,1\n", BadData, "x_0 stands there twice"),
        ("s.csv", "imgId_eId,val\nx_384,1\n", BadData, "`ID_0,VALUE` to `ID_383,VALUE` is required"),
        ("s.csv", "imgId_eId,val\nx_0,inf\n", BadData, "a finite number is required, given 'inf'"),
    ],
)
def test_what_is_not_as_it_should_be_is_named(
    tmp_path: Path, name: str, text: str | bytes | None, error: type[I2PError], reason: str
) -> None:
    if text is not None:
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(error, match=reason):
        read_predictions(str(tmp_path / name))


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (vectors(3), "has 3 rows and .* 2: a vector for each"),
        (vectors(2)[:, :10], r"of shape \(n, 384\)"),
        (np.full((2, 384), np.inf, np.float32), "384 finite numbers"),
        (np.array([[object()] * 384] * 2), "no array of numbers"),
    ],
)
def test_an_array_that_does_not_fit_is_named(tmp_path: Path, array: np.ndarray, reason: str) -> None:
    np.save(tmp_path / "v.npy", array, allow_pickle=True)
    lines(tmp_path / "v.jsonl", [{"id": "1", "prompt": "a"}, {"id": "2", "prompt": "b"}])
    with pytest.raises(BadData, match=reason):
        read_predictions(str(tmp_path / "v.npy"))


# ---- which prediction is of which pair ------------------------------------------------------------------------------


def pairs(*images: str) -> list[Pair]:
    return [Pair((0, 0, number), image, "a prompt", "") for number, image in enumerate(images)]


def predictions(*names: str) -> list[Prediction]:
    return [Prediction(name=name, row=number, prompt=name) for number, name in enumerate(names, 1)]


@pytest.mark.parametrize("name", ["b/1.png", "./b/1.png", "b/1", "1.png", "1"])
def test_images_are_known_by_more_or_less_of_their_names(name: str) -> None:
    found = matched(pairs("b/1.png", "b/2.png"), predictions(name, "other"), "p")
    assert [one and one.name for one in found.of_pair] == [name, None]
    assert found.foreign == ["other"]


def test_a_whole_name_comes_before_a_short_one() -> None:
    found = matched(pairs("1.png", "b/1.png"), predictions("1.png"), "p")
    assert [one and one.name for one in found.of_pair] == ["1.png", None]


def test_a_prediction_is_of_all_prompts_of_its_image() -> None:
    found = matched(pairs("1.png", "1.png"), predictions("1"), "p")
    assert [one and one.name for one in found.of_pair] == ["1", "1"]


def test_a_name_that_could_be_of_two_images_is_refused() -> None:
    with pytest.raises(BadData, match=r"row 1: '1' could be a/1.png and b/1.png; name images with their folders"):
        matched(pairs("a/1.png", "b/1.png"), predictions("1"), "p")


def test_an_image_that_is_predicted_twice_is_refused() -> None:
    with pytest.raises(BadData, match="predicted a second time, first in row 1"):
        matched(pairs("a/1.png"), predictions("1", "a/1.png"), "p")
