"""The submission file: written as the competition wants it, and checked without mercy."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from jobs.errors import BadData
from jobs.infer.contract import Prediction
from jobs.runtime.arrays import npy_field
from jobs.shards.tar import Sample, json_field
from jobs.submission.stage import SUBMISSION, SubmissionParams
from jobs.submission.validate import ids_in, main, validate
from jobs.submission.worker import as_csv
from tests.pictures import unit_vectors
from tests.stages import dataset_of, local_run, run_stage


def predictions(ids: list[str], seed: int = 0) -> list[Sample]:
    found = []
    for id_, vector in zip(ids, unit_vectors(len(ids), seed), strict=True):
        noted = Prediction(id=id_, candidates=(), expected_cosine=0.5)
        found.append(Sample(f"key-{id_}".replace(".", "-"), {"json": noted.encode(), "npy": npy_field(vector)}))
    return found


def lines(ids: list[str]) -> list[str]:
    vectors = dict(zip(ids, unit_vectors(len(ids), seed=0), strict=True))
    return as_csv(vectors, lambda done: None).decode().splitlines(keepends=True)


def test_all_predictions_are_written_in_order_of_id_and_read_back_exactly(tmp_path: Path) -> None:
    run = local_run(tmp_path)
    shards = {"predictions-00000": predictions(["b", "v1.2"], 1), "predictions-00001": predictions(["a", 'q,"x"'], 2)}
    submission = run_stage(run, SUBMISSION, SubmissionParams(), [dataset_of(run, "infer", shards)])
    (sample,) = submission.samples("submission")
    text = sample["csv"].decode()
    assert text.startswith("imgId_eId,val\na_0,")
    assert text.count("\n") == 1 + 4 * 384
    assert ids_in(text.splitlines(keepends=True)) == ["a", "b", 'q,"x"', "v1.2"]
    values = [np.float32(line.rpartition(",")[2]) for line in text.splitlines()[1 : 1 + 384]]
    assert np.array_equal(values, unit_vectors(2, 2)[0]), "shortest text, same float32"


def test_an_image_predicted_twice_and_no_prediction_at_all_are_bad_data(tmp_path: Path) -> None:
    run = local_run(tmp_path / "twice")
    shards = {"predictions-00000": predictions(["a.png"]), "predictions-00001": predictions(["a.JPG"])}
    with pytest.raises(BadData, match=r"^a\.png and a\.JPG would both be 'a' in a submission"):
        run_stage(run, SUBMISSION, SubmissionParams(), [dataset_of(run, "infer", shards)])
    run = local_run(tmp_path / "none")
    with pytest.raises(BadData, match="holds no predictions"):
        run_stage(run, SUBMISSION, SubmissionParams(), [dataset_of(run, "infer", {"predictions-00000": []})])


def test_an_image_that_could_not_be_read_is_left_out(tmp_path: Path) -> None:
    run = local_run(tmp_path)
    bad = Sample("bad", {"json": json_field({"id": "bad", "error": "deleted before it was read"})})
    infer = dataset_of(run, "infer", {"predictions-00000": [bad, *predictions(["a"])], "predictions-00001": []})
    (sample,) = run_stage(run, SUBMISSION, SubmissionParams(), [infer]).samples("submission")
    assert ids_in(sample["csv"].decode().splitlines(keepends=True)) == ["a"]
    run = local_run(tmp_path / "all")
    infer = dataset_of(run, "infer", {"predictions-00000": [bad]})
    (sample,) = run_stage(run, SUBMISSION, SubmissionParams(), [infer]).samples("submission")
    assert sample["csv"] == b"imgId_eId,val\n"


def test_a_prediction_that_is_no_unit_vector_is_not_submitted() -> None:
    with pytest.raises(BadData, match=r"image a has length 2\.0"):
        as_csv({"a": 2 * unit_vectors(1, seed=0)[0]}, lambda done: None)


def replaced(line: int, text: str) -> list[str]:
    given = lines(["a", "b"])
    given[line - 1] = text
    return given


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (replaced(1, "imgId,val\n"), "line 1: required is the header imgId_eId,val, given is 'imgId,val'"),
        ([], "line 1: required is the header"),
        (replaced(2, "c_0,0.1\n"), "line 2: required is the row of a_0, given is that of 'c_0'"),
        (lines(["a", "b"])[:1] + lines(["b", "a"])[385:] + lines(["a", "b"])[1:385], "required is the row of a_0"),
        (lines(["a", "b"])[:-1], "ends before b_383; required are 768 rows"),
        ([*lines(["a", "b"]), "b_384,0\n"], "goes on with 'b_384' after all 2 images"),
        (replaced(5, "a_3,nan\n"), "line 5: the value of a_3 is nan"),
        (replaced(5, "a_3,inf\n"), "line 5: the value of a_3 is inf"),
        (replaced(5, "a_3,big\n"), "line 5: could not convert"),
        (replaced(5, "a_3\n"), "line 5: required are 2 columns, given are 1"),
        (replaced(5, 'a_3,"0.1\n'), "not CSV"),
        (replaced(5, "a_3,3.0\n"), "vector of image a has length 3"),
    ],
)
def test_the_validator_says_what_is_required_and_what_is_given(given: list[str], complaint: str) -> None:
    with pytest.raises(BadData, match=complaint):
        validate(given, ["a", "b"])


def test_the_command_checks_a_file_alone_and_against_the_images_of_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, like = tmp_path / "submission.csv", tmp_path / "like.csv"
    file.write_text("".join(lines(["a", "b"])))
    like.write_text("".join(lines(["a", "b", "c"])))
    assert main([str(file)]) == 0
    assert "2 images, 768 rows" in capsys.readouterr().out
    assert main([str(file), "--like", str(like)]) == BadData.exit_code
    assert "ends before c_0" in capsys.readouterr().err
    assert main([str(tmp_path / "none.csv")]) == BadData.exit_code


def test_a_sample_in_the_competitions_format_is_valid(data: Path) -> None:
    sample = data / "competition_sample" / "sample_submission.csv"
    assert main([str(sample)]) == 0
    with (data / "competition_sample" / "prompts.csv").open(newline="") as file:
        images = [row["imgId"] for row in csv.DictReader(file)]
    with sample.open(newline="") as file:
        assert ids_in(file) == images
    assert len(images) == 7
