"""Inference: from a split or from files, with candidates and the cosine to expect, one bad file spoiling one unit."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from jobs.errors import BadData, StalePlan
from jobs.infer.contract import InferInputs, Predicted, Prediction
from jobs.infer.files import NOT_READ, digest_of_files, escaped, find_images, refused_names, versions_of
from jobs.infer.section import prediction_facts
from jobs.infer.stage import INFER, InferParams, files_by_unit
from jobs.regressor.confidence import REASONS
from jobs.regressor.feature_statistics import FeatureStatistics
from jobs.regressor.model import Regressor
from jobs.regressor.values import Architecture, Confidence, Limit
from jobs.runtime.arrays import from_npy
from jobs.runtime.task import Task
from jobs.shards.dataset import Committed, Dataset, Writer
from jobs.shards.keys import key_of_id
from jobs.shards.local import LocalStore
from jobs.shards.store import Body, ObjectStat, Store
from jobs.shards.tar import Sample, json_field, read_tar, write_tar
from jobs.submission.stage import SUBMISSION, SubmissionParams
from tests import pictures
from tests.networks import to_sample
from tests.samples import json_of
from tests.stages import dataset_of, local_run, run_stage
from tests.vocabularies import cut

SHARDS = {
    "train-00000": range(12),
    "val-00000": range(20, 24),
    "test-00000": range(30, 36),
    "test-00001": range(36, 40),
}


def confidence(*limits: Limit) -> Sample:
    """As evaluate leaves it: from a closest cosine of -1 to 1 the expected one is from 0 to 0.8."""
    noted = Confidence(
        images=20,
        feature_images=12,
        error_rate=0.02,
        promised_error_rate=0.02,
        signal_limits=limits,
        closest_cosine_weight=1,
        log_feature_distance_weight=0,
        trust=[-1, 1],
        expected_cosine=[0, 0.8],
        residuals=(-0.1, 0.3),
        coverage=0.9,
    )
    statistics = FeatureStatistics(np.zeros(64, np.float32), np.eye(64, dtype=np.float32))
    return Sample("confidence", {"json": noted.encode(), "safetensors": statistics.encode()})


def inputs(folder: Path, *limits: Limit) -> tuple[Store, list[Dataset]]:
    run = local_run(folder)
    half = (0.5, 0.5, 0.5)
    torch.manual_seed(0)
    regressor = Regressor(Architecture(model=pictures.TINY, image_size=32, head="linear", mean=half, std=half))
    network = dataset_of(run, "train", {"model": [to_sample(regressor.architecture, regressor.state_dict())]})
    evaluated = dataset_of(run, "evaluate", {"confidence": [confidence(*limits)]})
    known = pictures.prompts(run, {"train-00000": range(7), "train-00001": range(7, 12)})
    fragments = cut(run, [sample.text() for sample in known.samples()])
    return run, [pictures.images(run, SHARDS), network, known, evaluated, fragments]


def folder_of(folder: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(pictures.picture(number % 4, seed=number))
    return folder


def params(**changes: Any) -> InferParams:
    return InferParams(**{"batch_size": 4, "num_candidates": 3, "compose": False, **changes})


def test_every_image_of_a_split_gets_vector_candidates_and_expected_cosine(tmp_path: Path) -> None:
    run, datasets = inputs(tmp_path)
    predictions = run_stage(run, INFER, params(), datasets, completions=2)
    assert [shard.name for shard in predictions.shards()] == ["predictions-00000", "predictions-00001"]
    found = {sample.key: sample for sample in predictions.samples()}
    assert set(found) == {pictures.sample(number).key for number in range(30, 40)}
    known = {sample.text(): from_npy(sample["npy"]) for sample in datasets[2].samples()}
    for key, sample in found.items():
        noted, vector = json_of(sample), from_npy(sample["npy"])
        assert noted["id"] == key
        assert vector.shape == (384,)
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)
        cosines = sorted(((float(vector @ one), prompt) for prompt, one in known.items()), reverse=True)[:3]
        assert [candidate["prompt"] for candidate in noted["candidates"]] == [prompt for _, prompt in cosines]
        assert [candidate["cosine"] for candidate in noted["candidates"]] == pytest.approx(
            [cosine for cosine, _ in cosines], abs=1e-5
        )
        expected = 0.4 * (1 + cosines[0][0])
        assert noted["expected_cosine"] == pytest.approx(expected, abs=1e-5)
        assert noted["interval"] == pytest.approx([expected - 0.1, min(expected + 0.3, 1)], abs=1e-5)
        assert "abstained" not in noted


def test_of_an_image_unlike_all_that_was_measured_nothing_is_expected_and_the_vector_stays(tmp_path: Path) -> None:
    run, datasets = inputs(tmp_path, Limit(signal="detail", beyond="below", value=3))
    folder = folder_of(tmp_path / "files", "a.png", "b.png")
    (folder / "b.png").write_bytes(blank(32, 32))
    predictions = run_stage(run, INFER, params(images=str(folder)), datasets)
    samples = {sample.key: sample for sample in predictions.samples()}
    assert "expected_cosine" in json_of(samples["a%2Epng"])
    noted = json_of(samples["b%2Epng"])
    assert set(noted) == {"id", "candidates", "abstained"}
    assert noted["abstained"] == REASONS["detail", "below"]
    assert len(noted["candidates"]) == 3
    assert np.linalg.norm(from_npy(samples["b%2Epng"]["npy"])) == pytest.approx(1, abs=1e-6)
    (outcome,) = predictions.manifest.outcomes
    assert outcome.stats == {"images": 2, "bad_images": 0, "abstained": 1}
    facts = prediction_facts(Predicted(predictions))
    assert (facts.images, facts.abstained, len(facts.expected)) == (2, 1, 1)
    assert [one.abstained for one in facts.examples] == [None, noted["abstained"]]
    (submission,) = run_stage(run, SUBMISSION, SubmissionParams(), [predictions]).samples("submission")
    assert submission["csv"].count(b"\n") == 1 + 2 * 384


@pytest.mark.parametrize(
    "members", [{}, {"expected_cosine": 0.4, "abstained": "x"}, {"abstained": "x", "error": "y"}, {"interval": (0, 1)}]
)
def test_a_prediction_has_exactly_one_outcome(members: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="exactly one of"):
        Prediction(id="a", **members)


def test_files_are_predicted_in_units_that_are_the_same_wherever_the_folder_is(tmp_path: Path) -> None:
    run, datasets = inputs(tmp_path)
    names = ("b.png", "a.PNG", "deep/er/c.png", "d.png", "e.png")
    here, there = folder_of(tmp_path / "here", *names), folder_of(tmp_path / "elsewhere", *names)
    (here / "notes.txt").write_text("no image")

    def units(folder: Path) -> list[str]:
        asked = params(images=str(folder), images_per_shard=2)
        return [INFER.fingerprint(unit) for unit in INFER.units_of(asked, datasets)]

    assert units(here) == units(there)
    assert len(units(here)) == 3
    predictions = run_stage(run, INFER, params(images=str(here), images_per_shard=2), datasets)
    assert [shard.samples for shard in predictions.shards()] == [2, 2, 1]
    assert sorted(json_of(sample)["id"] for sample in predictions.samples()) == sorted(names)
    (here / "d.png").write_bytes((here / "b.png").read_bytes())
    assert [one == other for one, other in zip(units(here), units(there), strict=True)] == [True, False, True]


def test_an_id_is_the_path_below_the_folder_and_is_kept_in_the_json(tmp_path: Path) -> None:
    run, datasets = inputs(tmp_path)
    long = "x" * 120
    names = ("v1.final.png", f"{long}.png", "Überraschung 1.png", "plain.png", "plain.jpg", "in/plain.png")
    predictions = run_stage(run, INFER, params(images=str(folder_of(tmp_path / "files", *names))), datasets)
    ids = {sample.key: json_of(sample)["id"] for sample in predictions.samples()}
    assert sorted(ids.values()) == sorted(names)
    assert ids == {key_of_id(id_): id_ for id_ in sorted(names, key=key_of_id)}
    assert list(ids) == sorted(ids)


def test_names_that_are_no_keys_or_pretend_to_be_anothers_key_hold_nothing_up(tmp_path: Path) -> None:
    run, datasets = inputs(tmp_path)
    taken, hashed = key_of_id("a.b.png"), hashlib.sha256(b"a.b").hexdigest()[:24]
    names = ["good.png", "__x.png", "a.b.png", f"{taken}.png", f"{hashed}.png", "good.jpg", "in/good.png", "..png"]
    folder = folder_of(tmp_path / "files", *names)
    for odd in (b"line\nbreak.png", b"latin-\xfc.png"):
        (folder / os.fsdecode(odd)).write_bytes(pictures.picture(0, seed=0))
    predictions = run_stage(run, INFER, params(images=str(folder), bad_images="record"), datasets)
    noted = {json_of(sample)["id"]: json_of(sample).get("error") for sample in predictions.samples()}
    assert {id_: error for id_, error in noted.items() if error} == {
        "./line\\nbreak.png": "its name has control characters, is not UTF-8, or is too long",
        "./latin-\\udcfc.png": "its name has control characters, is not UTF-8, or is too long",
    }
    assert {id_ for id_, error in noted.items() if not error} == set(names)
    assert {sample.key for sample in predictions.samples()} >= {"good%2Epng", "in%2Fgood%2Epng", f"{hashed}%2Epng"}
    (outcome,) = predictions.manifest.outcomes
    assert outcome.stats == {"images": 8, "bad_images": 2, "abstained": 0}


NAMES = st.lists(st.text(st.characters(), min_size=1, max_size=90).filter(lambda name: "\0" not in name), max_size=12)


@given(NAMES)
def test_whatever_files_are_called_each_gets_a_key_of_its_own_that_a_shard_can_hold(names: list[str]) -> None:
    files = sorted({name + ".png" for name in names} | {key_of_id(f"{name}.png") + ".png" for name in names})
    refused = refused_names(files)
    ids = [escaped(name) if name in refused else name for name in files]
    assert len(set(ids)) == len(files)
    samples = [Sample(key_of_id(id_), {"json": json_field({"id": id_}), "npy": b""}) for id_ in ids]
    shard = io.BytesIO()
    write_tar(sorted(samples, key=lambda sample: sample.key), shard)
    assert sorted(json_of(sample)["id"] for sample in read_tar(shard.getvalue())) == sorted(ids)
    digest_of_files({name: NOT_READ if name in refused else "1" for name in files})


def test_no_images_and_no_such_split_are_bad_data(tmp_path: Path) -> None:
    _, datasets = inputs(tmp_path)
    with pytest.raises(BadData, match="has no files ending in"):
        INFER.units_of(params(images=str(tmp_path / "nowhere")), datasets)
    with pytest.raises(BadData, match=r"no split 'holdout', only \['test', 'train', 'val'\]"):
        INFER.units_of(params(images="split:holdout"), datasets)


@pytest.mark.parametrize("data", [b"not an image at all", None], ids=["text", "cut short"])
def test_a_bad_file_is_named_and_spoils_its_own_unit_only(tmp_path: Path, data: bytes | None) -> None:
    run, datasets = inputs(tmp_path)
    folder = folder_of(tmp_path / "files", *(f"{number}.png" for number in range(6)))
    whole = (folder / "2.png").read_bytes()
    (folder / "2.png").write_bytes(whole[: len(whole) // 2] if data is None else data)
    asked = params(images=str(folder), images_per_shard=2)
    with pytest.raises(BadData, match=r"files/2\.png cannot be decoded"):
        run_stage(run, INFER, asked, datasets)
    committed = Committed.of(run.at("infer"))
    units = INFER.units_of(asked, datasets)
    done = [committed.record(unit.name, INFER.fingerprint(unit)) is not None for unit in units]
    assert done == [True, False, True]


def test_a_file_that_changes_while_it_is_read_is_never_committed_as_the_planned_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, datasets = inputs(tmp_path)
    folder = folder_of(tmp_path / "files", "a.png", "b.png")
    asked = params(images=str(folder))
    read = LocalStore.read

    def late(self: LocalStore, name: str) -> Body:
        if name == "b.png":
            (folder / "b.png").write_bytes(pictures.picture(3, seed=99))
        return read(self, name)

    monkeypatch.setattr(LocalStore, "read", late)
    task: Task[InferInputs, Predicted[Writer]] = Task(
        INFER, asked, InferInputs(datasets), run.at("infer"), 0, 1, attempt="test"
    )
    from jobs.infer import worker

    with pytest.raises(StalePlan, match="changed while they were read"):
        worker.run(task, asked)
    assert not list(run.at("infer").list("commits/"))


def test_the_same_images_give_the_same_bytes_whatever_else_the_task_does(tmp_path: Path) -> None:
    run, datasets = inputs(tmp_path / "a")
    one = run_stage(run, INFER, params(), datasets)
    run, datasets = inputs(tmp_path / "b")
    split = run_stage(run, INFER, params(), datasets, completions=3)
    assert [shard.sha256 for shard in one.shards()] == [shard.sha256 for shard in split.shards()]


def test_images_as_the_competition_has_them_are_read(tmp_path: Path, data: Path) -> None:
    run, datasets = inputs(tmp_path)
    folder = tmp_path / "images"
    shutil.copytree(data / "competition_sample" / "images", folder)
    predictions = run_stage(run, INFER, params(images=str(folder)), datasets)
    ids = [json_of(sample)["id"] for sample in predictions.samples()]
    with (data / "competition_sample" / "prompts.csv").open(newline="") as file:
        assert ids == [f"{row['imgId']}.png" for row in csv.DictReader(file)]
    assert len(ids) == 7
    assert not any("error" in json_of(sample) for sample in predictions.samples())


def listed(folder: Path, *names: str) -> str:
    (folder / "batch.json").write_text(json.dumps({"names": names}))
    return str(folder / "batch.json")


def test_a_batch_reads_exactly_the_files_it_lists_and_equals_a_folder_of_these(tmp_path: Path) -> None:
    run, datasets = inputs(tmp_path)
    folder = folder_of(tmp_path / "all", "a.png", "b.png", "c.png", "d.png")
    few = shutil.copytree(folder, tmp_path / "few")
    for name in ("a.png", "c.png"):
        (few / name).unlink()
    some = params(images=str(folder), files=listed(tmp_path, "d.png", "b.png"))
    units = INFER.units_of(some, datasets)
    assert units == INFER.units_of(params(images=str(few)), datasets), "what is read shows in reads, nothing else does"
    predictions = run_stage(run, INFER, some, datasets)
    assert [json_of(sample)["id"] for sample in predictions.samples()] == ["b.png", "d.png"]


def test_names_that_are_not_there_are_reported_and_no_list_is_bad_data(tmp_path: Path) -> None:
    folder = str(folder_of(tmp_path / "all", "a.png"))
    _, datasets = inputs(tmp_path / "inputs")
    many = listed(tmp_path, "z.png", "a.png", "x.png", "w.png", "v.png")
    with pytest.raises(BadData, match=r"files: 4 of 5 names \(v\.png, w\.png, x\.png, …\) are not below "):
        INFER.units_of(params(images=folder, files=many), datasets)
    with pytest.raises(BadData, match=r"files: 1 of 2 names \(notes\.txt\) do not end in \.png, "):
        files_by_unit(params(images=folder, files=listed(tmp_path, "a.png", "notes.txt")))
    (tmp_path / "wrong.json").write_text('{"names": "a.png"}')
    for wrong in ("wrong.json", "all/a.png", "nowhere.json"):
        with pytest.raises(BadData, match="files: "):
            files_by_unit(params(images=folder, files=str(tmp_path / wrong)))


# Files that cannot be predicted


DAMAGED = "no image that can be read, or a damaged one"
TOO_LARGE = "an image of more than 67,108,864 pixels"
GONE = "deleted before it was read"


def blank(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("1", (width, height)).save(file, "PNG")
    return file.getvalue()


def with_bad_ones(folder: Path) -> Path:
    """Of six files, 1 is no image, 2 is cut short, 3 and 4 are too large; 5 is named, but not there."""
    folder_of(folder, *(f"{number}.png" for number in range(5)))
    (folder / "1.png").write_bytes(b"not an image at all")
    (folder / "2.png").write_bytes((folder / "2.png").read_bytes()[:60])
    (folder / "3.png").write_bytes(blank(8_193, 8_192))
    (folder / "4.png").write_bytes(blank(20_000, 20_000))  # PIL itself refuses this one
    return folder


def recording(folder: Path, *names: str, **changes: Any) -> InferParams:
    asked = listed(folder.parent, *(names or [f"{number}.png" for number in range(6)]))
    return params(images=str(folder), files=asked, bad_images="record", **changes)


@pytest.mark.parametrize("batch_size", [1, 4])
def test_what_cannot_be_predicted_is_recorded_in_the_same_words_everywhere(
    tmp_path: Path, batch_size: int, capsys: pytest.CaptureFixture[str]
) -> None:
    shards = []
    for name in ("here", "elsewhere"):
        run, datasets = inputs(tmp_path / name)
        asked = recording(with_bad_ones(tmp_path / name / "files"), batch_size=batch_size)
        predictions = run_stage(run, INFER, asked, datasets)
        shards.append([(shard.name, shard.sha256) for shard in predictions.shards()])
    assert shards[0] == shards[1]
    first, *others = predictions.samples()
    assert (first.key, "npy" in first.fields, "candidates" in json_of(first)) == ("0%2Epng", True, True)
    assert [(sample.key, sorted(sample.fields)) for sample in others] == [
        (f"{number}%2Epng", ["json"]) for number in range(1, 6)
    ]
    assert [json_of(sample) for sample in others] == [
        {"id": f"{number}.png", "error": error}
        for number, error in enumerate([DAMAGED, DAMAGED, TOO_LARGE, TOO_LARGE, GONE], 1)
    ]
    (outcome,) = predictions.manifest.outcomes
    assert outcome.stats == {"images": 1, "bad_images": 5, "abstained": 0}
    facts = prediction_facts(Predicted(predictions))
    assert (facts.images, [one.id for one in facts.examples], len(facts.expected)) == (1, ["0.png"], 1)
    assert "elsewhere/files/4.png: 20000 x 20000; at most 67,108,864 pixels" in capsys.readouterr().err


def test_a_batch_of_bad_files_only_is_done_and_its_submission_is_a_header(tmp_path: Path) -> None:
    run, datasets = inputs(tmp_path)
    asked = recording(with_bad_ones(tmp_path / "files"), *(f"{number}.png" for number in range(1, 6)))
    predictions = run_stage(run, INFER, asked, datasets)
    assert [shard.samples for shard in predictions.shards()] == [5]
    (submission,) = run_stage(run, SUBMISSION, SubmissionParams(), [predictions]).samples("submission")
    assert submission["csv"] == b"imgId_eId,val\n"


def test_a_whole_batch_is_the_same_unit_for_unit_whether_bad_files_were_to_fail_or_not(tmp_path: Path) -> None:
    _, datasets = inputs(tmp_path)
    (unit,) = INFER.units_of(params(images=str(folder_of(tmp_path / "files", "a.png"))), datasets)
    assert unit.settings == {
        "device": "cpu",
        "threads": 1,
        "batch_size": 4,
        "precision": "fp32",
        "images": "files",
        "num_candidates": 3,
        "compose": False,
        "thumbnail": 256,
    }, "another setting would make anew what was predicted before there was a choice"
    (recorded,) = INFER.units_of(recording(tmp_path / "files", "a.png"), datasets)
    assert recorded.settings == {**unit.settings, "bad_images": "record"}
    assert recorded.reads == unit.reads


@pytest.mark.parametrize("returns", [True, False], ids=["that returns", "that goes"])
def test_a_file_between_plan_and_reading_makes_the_plan_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, returns: bool
) -> None:
    run, datasets = inputs(tmp_path)
    folder = folder_of(tmp_path / "files", "a.png", "b.png")
    asked, late = recording(folder, "a.png", "b.png"), folder / "b.png"
    content = late.read_bytes()
    if returns:
        late.unlink()
    read = LocalStore.read

    def changing(self: LocalStore, name: str) -> Body:
        if name == "b.png":
            late.write_bytes(content) if returns else late.unlink(missing_ok=True)
        return read(self, name)

    monkeypatch.setattr(LocalStore, "read", changing)
    task: Task[InferInputs, Predicted[Writer]] = Task(
        INFER, asked, InferInputs(datasets), run.at("infer"), 0, 1, attempt="test"
    )
    from jobs.infer import worker

    with pytest.raises(StalePlan, match="changed while they were read"):
        worker.run(task, asked)
    predictions = run_stage(run, INFER, asked, datasets)
    assert ["npy" in sample.fields for sample in predictions.samples()] == [True, returns]


def test_where_nothing_is_left_at_all_nothing_is_recorded(tmp_path: Path) -> None:
    _, datasets = inputs(tmp_path / "inputs")
    (tmp_path / "files").mkdir()
    asked = recording(tmp_path / "files", "a.png", "b.png")
    with pytest.raises(
        BadData, match=r"2 of 2 names \(a\.png, b\.png\) are not below .*; nothing else is there either"
    ):
        INFER.units_of(asked, datasets)
    folder_of(tmp_path / "files", "later.png")
    assert len(INFER.units_of(asked, datasets)) == 1


class Listing(LocalStore):
    """A folder whose listings tell versions, as a bucket's do."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.listed: list[str] = []
        self.asked: list[str] = []

    def list(self, prefix: str) -> Iterator[ObjectStat]:
        for stat in super().list(prefix):
            self.listed.append(stat.name)
            yield ObjectStat(stat.name, stat.size, f"version of {stat.name}")

    def version(self, name: str) -> str:
        self.asked.append(name)
        super().version(name)
        return f"version of {name}"


def test_named_files_are_found_without_a_listing(tmp_path: Path) -> None:
    store = Listing(folder_of(tmp_path, "a.png", "b.png"))
    assert find_images(store, ["b.png", "gone.png"]) == ["b.png", "gone.png"]
    assert versions_of(store, ["b.png", "gone.png"]) == {"b.png": "version of b.png", "gone.png": None}
    assert (store.listed, store.asked) == ([], ["b.png"])


def test_the_versions_of_many_files_come_from_one_listing_unless_they_are_scattered(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(2_000):
        (tmp_path / f"in/{number:04}.png").touch()
    names = [f"in/{number:04}.png" for number in range(300, 450)]
    expected = {name: f"version of {name}" for name in names}
    together = Listing(tmp_path)
    assert versions_of(together, [*names, "in/0301b.png"]) == {**expected, "in/0301b.png": None}
    assert together.asked == []
    assert len(together.listed) < 500
    names = ["in/0000.png", *(f"in/{number:04}.png" for number in range(1_850, 2_000))]
    scattered = Listing(tmp_path)
    assert set(versions_of(scattered, names).values()) == {f"version of {name}" for name in names}
    assert len(scattered.listed) == 1_510
    assert len(scattered.asked) == 150
