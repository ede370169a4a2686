"""`i2p predict`: which images paths name, what is written of them, and models of runs and of folders."""

from __future__ import annotations

import argparse
import csv
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs.composing.values import Candidate
from jobs.contract.samples import DIMENSIONS
from jobs.errors import BadConfiguration, BadData, Corrupt, NotFound
from jobs.infer import model_export
from jobs.infer.contract import ModelInputs, Predicted, Prediction
from jobs.infer.model_folder import MODEL, VECTORS
from jobs.infer.models import open_model
from jobs.infer.results.page import picture_name
from jobs.infer.results.writing import write
from jobs.predict import run as predict_run
from jobs.predict.command import COMMAND
from jobs.predict.inputs import find_images
from jobs.report.page import RunView, Summary
from jobs.runtime.arrays import npy_field
from jobs.shards.dataset import Dataset, load_manifest
from jobs.shards.keys import key_of_id
from jobs.shards.local import LocalStore
from jobs.shards.store import Store
from jobs.shards.tar import Sample
from tests import pictures
from tests.pictures import unit_vectors
from tests.stages import dataset_of
from tests.unit.test_infer import folder_of, inputs

REASON = "unlike anything in training"
REFUSED = "no image that can be read, or a damaged one"


def quiet(what: str, done: int, total: int | None, part: float | None = None) -> None:
    """Shows nothing."""


def predict(*arguments: object) -> Summary:
    """What the command answers, without composing, which test_composed_predictions does."""
    parser = argparse.ArgumentParser()
    COMMAND.arguments(parser)
    return predict_run.run(parser.parse_args([*(str(one) for one in arguments), "--no-composing"]), quiet)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A store whose run `run` has a model."""
    inputs(tmp_path / "runs")
    return tmp_path / "runs"


def ids(paths: Sequence[str]) -> list[str]:
    return [folder.prefix + name for folder in find_images(paths) for name in folder.names]


# Which images


def test_of_one_folder_images_are_named_by_their_paths_in_it(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "in", "b.png", "deep/er/a.JPG", "c.heic")
    (folder / "notes.txt").write_text("no image")
    assert ids([str(folder)]) == ids([f"{folder}/"]) == ["b.png", "c.heic", "deep/er/a.JPG"]


def test_of_several_paths_images_are_named_as_they_are_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder_of(tmp_path, "in/a.png", "in/b.png", "other/a.png", "c.png", "d.dat")
    monkeypatch.chdir(tmp_path)
    assert ids(["in", "other/a.png", "c.png", "d.dat"]) == ["in/a.png", "in/b.png", "other/a.png", "c.png", "d.dat"]
    assert ids(["in/b.png"]) == ids([str(tmp_path / "in/b.png")]) == ["b.png"]
    with pytest.raises(BadData, match=r"^in/a\.png is given twice"):
        find_images(["in", "in/a.png"])


def test_what_is_not_there_and_where_no_image_is_says_what_is_required(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadConfiguration, match="nowhere is not there: an image, a folder"):
        find_images([str(tmp_path / "nowhere")])
    with pytest.raises(BadData, match=r"no images in .*empty: files that end in \.png, .*\.heic"):
        find_images([str(tmp_path / "empty")])


# What is written


def predictions(folder: Path) -> Predicted[Dataset]:
    """Three images: one predicted, one abstained, one refused; the first with a picture."""
    vectors = unit_vectors(2, seed=1)
    first = Candidate(prompt='a "fox", </script>', cosine=0.9), Candidate(prompt="a hound", cosine=0.8)
    found = {
        "a.png": Prediction(id="a.png", candidates=first, expected_cosine=0.75, interval=(0.6, 0.9)),
        "b/c.png": Prediction(id="b/c.png", candidates=first, abstained=REASON),
        "d.png": Prediction(id="d.png", error=REFUSED),
    }
    fields = {
        "a.png": {"npy": npy_field(vectors[0]), "webp": b"a picture"},
        "b/c.png": {"npy": npy_field(vectors[1])},
        "d.png": dict[str, bytes](),
    }
    samples = [Sample(key_of_id(id_), {"json": one.encode(), **fields[id_]}) for id_, one in found.items()]
    ordered = sorted(samples, key=lambda sample: sample.key)
    return Predicted(dataset_of(LocalStore(folder), "infer", {"predictions-00000": ordered}))


def test_all_files_say_the_same_of_every_image(tmp_path: Path) -> None:
    predicted, folder = predictions(tmp_path / "run"), LocalStore(tmp_path / "out")
    record = write(predicted, folder, "a", quiet)
    assert (record.images, record.predicted, record.abstained, record.refused) == (3, 1, 1, 1)
    assert record.mean_expected_cosine == 0.75
    assert record.reasons == {REASON: 1, REFUSED: 1}
    with (tmp_path / "out" / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["file", "prompt", "expected_cosine", "abstained", "reason", "candidates"]
    assert [(row["file"], row["prompt"], row["expected_cosine"], row["abstained"], row["reason"]) for row in rows] == [
        ("a.png", 'a "fox", </script>', "0.750000", "false", ""),
        ("b/c.png", "", "", "true", REASON),
        ("d.png", "", "", "false", REFUSED),
    ]
    assert [one["prompt"] for one in json.loads(rows[1]["candidates"])] == ['a "fox", </script>', "a hound"]
    lines = [json.loads(line) for line in (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()]
    assert [line["outcome"] for line in lines] == ["predicted", "abstained", "refused"]
    assert [line["abstained"] for line in lines] == [False, True, False]
    assert lines[0]["interval"] == [0.6, 0.9]
    vectors = np.load(tmp_path / "out" / "vectors.npy", allow_pickle=False)
    assert (vectors.shape, vectors.dtype) == ((3, DIMENSIONS), np.float32)
    assert np.array_equal(vectors[:2], unit_vectors(2, seed=1))
    assert np.isnan(vectors[2]).all()
    assert (tmp_path / "out" / picture_name(0)).read_bytes() == b"a picture"


def test_the_page_holds_all_rows_in_scripts_that_nothing_foreign_can_leave(tmp_path: Path) -> None:
    write(predictions(tmp_path / "run"), LocalStore(tmp_path / "out"), "</title><script>", quiet)
    page = (tmp_path / "out" / "predictions.html").read_text()
    assert page.count("<script") == 2
    assert re.findall('<script src="(.*?)"', page) == ["page/rows-00000.js"]
    script = (tmp_path / "out" / "page" / "rows-00000.js").read_text()
    first, rows = json.loads(f"[{script.removeprefix('addRows(').removesuffix(');' + chr(10))}]")
    assert first == 0
    assert [row[:3] for row in rows] == [["a.png", 0, 0.75], ["b/c.png", 1, None], ["d.png", 2, None]]
    assert [row[5] for row in rows] == [1, 0, 0]


def test_files_are_written_once_and_those_of_other_predictions_are_replaced(tmp_path: Path) -> None:
    predicted, folder = predictions(tmp_path / "run"), LocalStore(tmp_path / "out")
    write(predicted, folder, "a", quiet)
    (tmp_path / "out" / "predictions.csv").write_text("as somebody left it")
    write(predicted, folder, "a", quiet)
    assert (tmp_path / "out" / "predictions.csv").read_text() == "as somebody left it"
    folder.put("page/pictures/000/000007.webp", b"of an image that is gone")
    write(predicted, folder, "b", quiet)
    assert (tmp_path / "out" / "predictions.csv").read_text().startswith("file,prompt")
    assert [stat.name for stat in folder.list("page/")] == ["page/pictures/000/000000.webp", "page/rows-00000.js"]


# The command


def test_every_image_is_predicted_abstained_or_refused_and_none_is_fatal(tmp_path: Path, runs: Path) -> None:
    folder = folder_of(tmp_path / "in", "a.png", "deep/a.png", "b.jpg")
    (folder / "b.jpg").write_bytes(b"not an image")
    (folder / "empty.webp").write_bytes(b"")
    out = tmp_path / "out"
    answer = predict(folder, "--model", "run", "--store", runs, "--out", out, "--threads", 1)
    assert (answer.values["images"], answer.values["predicted"], answer.values["refused"]) == (4, 2, 2)
    assert re.search(r"images +4\npredicted +2 .*\nabstained +0\nrefused +2", answer.text)
    assert json.loads((out / "summary.json").read_text())["predicted"] == 2
    page = (out / "predictions.html").read_text()
    assert re.findall(r"<dt>(\w+)</dt><dd>(\d+)</dd>", page) == [
        ("Predicted", "2"),
        ("Abstained", "0"),
        ("Refused", "2"),
    ]
    assert {path.name for path in out.iterdir()} == {
        "page",
        "predictions.csv",
        "predictions.html",
        "predictions.jsonl",
        "summary.json",
        "vectors.npy",
    }
    assert len(list((out / "page" / "pictures").rglob("*.webp"))) == 2


def test_images_in_a_store_are_predicted_and_the_files_written_there(store: Store, runs: Path) -> None:
    for number, name in enumerate(("a.png", "deep/b.png")):
        store.put(f"in/{name}", pictures.picture(number, seed=number))
    out = store.at("out")
    answer = predict(f"{store.url}/in", "--model", runs / "run", "--out", out.url, "--threads", 1)
    assert answer.values["images"] == 2
    lines = out.read("predictions.jsonl").data.decode().splitlines()
    assert [json.loads(line)["file"] for line in lines] == ["a.png", "deep/b.png"]
    assert not list(out.list("unfinished/"))
    alone = predict(f"{store.url}/in/deep/b.png", f"{store.url}/in/a.png", "--model", runs / "run", "--threads", 1)
    names = {one["file"].removeprefix(f"{store.url}/") for one in alone.values["predictions"]}
    assert names == {"in/a.png", "in/deep/b.png"}


def test_without_a_folder_the_answer_is_all_there_is(
    tmp_path: Path, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = folder_of(tmp_path / "in", "a.png", "b.png")
    before = sorted(tmp_path.rglob("*"))
    answer = predict(folder, "--model", runs / "run", "--candidates", 2, "--threads", 1)
    assert [one["file"] for one in answer.values["predictions"]] == ["a.png", "b.png"]
    assert {len(one["candidates"]) for one in answer.values["predictions"]} == {2}
    assert sorted(tmp_path.rglob("*")) == before


def test_done_again_nothing_is_made_and_other_images_need_force(tmp_path: Path, runs: Path) -> None:
    folder, out = folder_of(tmp_path / "in", "a.png", "b.png"), tmp_path / "out"
    asked: list[object] = [folder, "--model", "run", "--store", runs, "--out", out, "--threads", 1]
    first = predict(*asked)
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.*")}
    assert predict(*asked).values == {**first.values}
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.*")} == times
    (folder / "c.png").write_bytes(pictures.picture(2, seed=9))
    with pytest.raises(BadConfiguration, match=r"holds predictions of other images, .* --force"):
        predict(*asked)
    assert predict(*asked, "--force").values["images"] == 3


def test_a_second_process_that_finishes_later_answers_with_what_the_first_has_written(
    tmp_path: Path, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = [folder_of(tmp_path / "in", "a.png"), "--model", runs / "run", "--out", tmp_path / "out"]

    def overtaken(*arguments: Any, **more: Any) -> Any:
        monkeypatch.undo()
        predict(*asked)
        return write(*arguments, **more)

    monkeypatch.setattr("jobs.predict.run.write", overtaken)
    answer = predict(*asked)
    assert answer.values["images"] == 1
    assert not list((tmp_path / "out").glob("*unfinished*"))


def test_a_submission_names_images_by_their_files(tmp_path: Path, runs: Path) -> None:
    folder, out = folder_of(tmp_path / "in", "x/a.png", "b.png"), tmp_path / "out"
    predict(folder, "--model", "run", "--store", runs, "--out", out, "--submission", "--threads", 1)
    lines = (out / "submission.csv").read_text().splitlines()
    assert (lines[0], lines[1][:4], lines[1 + DIMENSIONS][:4]) == ("imgId_eId,val", "a_0,", "b_0,")
    with pytest.raises(BadConfiguration, match="name a folder for it with --out"):
        predict(folder, "--model", "run", "--store", runs, "--submission")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--candidates", "0"], "--candidates: .* given 0"),
        (["--background", "red"], "--background: .* given 'red'"),
        (["--thumbnail", "-1", "--out", "out"], "--thumbnail: .* given -1"),
        (["--out", "/proc/predictions"], "--out: /proc/predictions cannot be made: .* choose another folder"),
        (["--model", "nobody"], "no trained run and no exported model in .*runs/nobody or nobody"),
    ],
)
def test_what_cannot_be_is_refused_with_what_is_required(
    tmp_path: Path, runs: Path, options: list[str], message: str
) -> None:
    folder = folder_of(tmp_path / "in", "a.png")
    with pytest.raises(BadConfiguration, match=message):
        predict(folder, "--store", runs, *(["--model", "run"] if "--model" not in options else []), *options)


# Models


def view_of(runs: Path) -> RunView:
    store = LocalStore(runs / "run")
    datasets = {stage: _dataset(store, stage) for stage in ModelInputs.stages()}
    return RunView(datasets, frozenset(datasets), store.url)


def _dataset(store: LocalStore, stage: str) -> Dataset:
    manifest = load_manifest(store.at(stage))
    assert manifest
    return Dataset(store.at(stage), manifest)


def test_an_exported_model_predicts_the_same_bytes_without_the_run(tmp_path: Path, runs: Path) -> None:
    folder, model = folder_of(tmp_path / "in", "a.png", "b/c.png"), tmp_path / "model"
    summary = model_export.write(view_of(runs), model, force=False)
    assert summary.values["prompts"] == 12
    outs = [tmp_path / "of-run", tmp_path / "of-folder"]
    predict(folder, "--model", "run", "--store", runs, "--out", outs[0], "--threads", 1)
    for path in sorted(runs.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    predict(folder, "--model", model, "--out", outs[1], "--threads", 1)
    files = [{str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*.*")} for out in outs]
    assert files[0] == files[1]
    assert {"README.md", MODEL, "network.safetensors", "confidence.json"} <= {one.name for one in model.iterdir()}
    assert "| odd | not stated | 6 |" in (model / "README.md").read_text()


def test_a_damaged_file_of_a_model_is_noticed(tmp_path: Path, runs: Path) -> None:
    model = tmp_path / "model"
    model_export.write(view_of(runs), model, force=False)
    data = bytearray((model / VECTORS).read_bytes())
    data[-1] ^= 1
    (model / VECTORS).write_bytes(data)
    with pytest.raises(Corrupt, match=f"{VECTORS} is not the file that {MODEL} names; export the model again"):
        predict(folder_of(tmp_path / "in", "a.png"), "--model", model)


def test_a_model_is_written_over_nothing_but_with_force(tmp_path: Path, runs: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.txt").write_text("mine")
    with pytest.raises(BadConfiguration, match=r"holds files \(mine.txt, …\): choose another"):
        model_export.write(view_of(runs), tmp_path / "model", force=False)
    model_export.write(view_of(runs), tmp_path / "model", force=True)
    assert open_model(str(tmp_path / "model"), "nowhere").name == "run"


def test_a_run_without_a_part_of_a_model_says_which(tmp_path: Path, runs: Path) -> None:
    view = view_of(runs)
    with pytest.raises(NotFound, match="has no dedup, cut-prompts and evaluate yet"):
        model_export.write(replace(view, datasets={"train": view.datasets["train"]}), tmp_path / "m", force=False)
    for path in sorted((runs / "run" / "evaluate").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    with pytest.raises(NotFound, match="has no evaluate yet, of which a model is made"):
        open_model("run", str(runs))
