"""A prompt or an image is followed through forged runs: in a bounded number of requests, also from given images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch  # noqa: F401, which stages import: these are not quick tests

from jobs.collect.contract import CollectedOrigin
from jobs.collect.stage import COLLECT, CollectParams
from jobs.compare_images.contract import ComparedImages, Match, ShardSignatures, Staying, reads_of_left_out
from jobs.contract.samples import TRAIN, Origin
from jobs.dedup.contract import Certificate, Verdict
from jobs.dedup.stage import DEDUP, DedupParams
from jobs.errors import NotFound
from jobs.evaluate.contract import Score
from jobs.generate_images.contract import GeneratedImages
from jobs.generate_images.stage import GENERATE_IMAGES, GenerateImagesParams
from jobs.infer.contract import Prediction
from jobs.report.page import RunView
from jobs.runtime.arrays import npy_field
from jobs.shards.dataset import Dataset, publish_manifest
from jobs.shards.digests import sha256
from jobs.shards.keys import key_of, key_of_id, split_of
from jobs.shards.local import LocalStore
from jobs.shards.records import Manifest
from jobs.shards.store import Store
from jobs.shards.tar import Sample
from jobs.submission.stage import SUBMISSION, SubmissionParams
from pipeline.report.lineage import trace
from pipeline.report.stage_facts import published
from tests.pictures import picture, unit_vectors
from tests.stages import dataset_of, local_run, run_stage

HELD_OUT = {"val": 0.05, "test": 0.05}
PER_SHARD = 1_000  # kept prompts
COLLECTED_PER_SHARD = 10_000
TRAINING = {"seed": 3, "epochs": 2, "batch_size": 64, "window_shards": 8}
MANIFESTS = 10  # a request for each stage's
FURTHER = 10  # for a kept prompt or a predicted image, whatever the size of the run


class CountingStore(LocalStore):
    """A folder that notes every request but writes."""

    requests: ClassVar[list[str]] = []

    def at(self, path: str) -> CountingStore:
        return CountingStore(self.root / path)

    def __getattribute__(self, name: str) -> Any:
        if name in ("read", "read_part", "open", "stat", "version", "holds", "list", "folders"):
            CountingStore.requests.append(name)
        return super().__getattribute__(name)


def view_of(run: Store, *made: str) -> RunView:
    return RunView(published(run), frozenset(made), run.url)


def parts_of(run: Store, question: str) -> Mapping[str, Any]:
    found: dict[str, Any] = dict(trace(view_of(run), question).parts)
    return found


def noted(dataset: Dataset, settings: Mapping[str, Any], reads: Mapping[str, str] | None = None) -> None:
    """Publish a forged dataset as if its units had had these settings, and had read this."""
    outcomes = tuple(replace(one, settings=settings, reads=reads or {}) for one in dataset.manifest.outcomes)
    publish_manifest(dataset.store, Manifest(dataset.name, outcomes))


def in_shards(group: str, samples: Sequence[Sample], size: int) -> dict[str, list[Sample]]:
    ordered = sorted(samples, key=lambda sample: sample.key)
    return {
        f"{group}-{number:05d}": ordered[start : start + size]
        for number, start in enumerate(range(0, len(ordered), size))
    }


def certificate(prompts: int) -> Sample:
    value = Certificate(
        threshold=0.8,
        order="as they come",
        prompts=prompts,
        kept=prompts,
        dropped=0,
        kept_keys_sha256="0" * 64,
        held_out=HELD_OUT,
        splits={},
    )
    return Sample("certificate", {"json": value.encode()})


# 100,000 prompts

PROMPTS = [f"prompt {number}" for number in range(100_000)]
DROPPED = PROMPTS[::10]
KEPT = {key_of(prompt): prompt for number, prompt in enumerate(PROMPTS) if number % 10}


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> CountingStore:
    """A run of 100,000 prompts, of which 90,000 were kept, with tiny images and vectors."""
    run = CountingStore(tmp_path_factory.mktemp("large") / "run")
    origins = {
        prompt: CollectedOrigin(source="lines", row=row, licence=None, file="a.txt")
        for row, prompt in enumerate(PROMPTS, 1)
    }
    collected = [Sample(key_of(one), {"txt": one.encode(), "json": origins[one].encode()}) for one in PROMPTS]
    shards = {
        f"lines-{number:05d}": collected[start : start + COLLECTED_PER_SHARD]
        for number, start in enumerate(range(0, len(collected), COLLECTED_PER_SHARD))
    }
    noted(dataset_of(run, "collect", shards), {"source": {"name": "lines"}}, {"a.txt": "the version of a.txt"})
    by_split: dict[str, list[Sample]] = {"train": [], "val": [], "test": []}
    for key, prompt in KEPT.items():
        fields = {"txt": prompt.encode(), "json": origins[prompt].encode()}
        by_split[split_of(key, HELD_OUT)].append(Sample(key, fields))
    kept = {
        name: one for split, samples in by_split.items() for name, one in in_shards(split, samples, PER_SHARD).items()
    }
    dropped = [
        _dropped(prompt, f"lines-{number // 1000:05d}", origins[prompt]) for number, prompt in enumerate(DROPPED)
    ]
    by_embedded = {f"dropped-{number:05d}": dropped[1000 * number : 1000 * (number + 1)] for number in range(10)}
    dataset_of(run, "dedup", {**kept, **by_embedded, "certificate": [certificate(len(PROMPTS))]})
    with_images = {name: [one.adding(png=one.key.encode()) for one in samples] for name, samples in kept.items()}
    images = GeneratedImages(dataset_of(run, "generate-images", with_images))
    signatures = {name: [_signatures(name, samples)] for name, samples in kept.items()}
    left_out = kept["train-00000"][7].key
    match = Match(split="train", shard="train-00000", witness="w", witness_split="val", cosine=0.99)
    matches = {"train.left_out-00000": [Sample(left_out, {"json": match.encode()})]}
    compared = ComparedImages(dataset_of(run, "compare-images", {**signatures, **matches}))
    reads = {**images.splits[TRAIN].reads(), **reads_of_left_out(compared, TRAIN)}
    noted(dataset_of(run, "train", {"model": [Sample("model", {"json": b"{}", "safetensors": b""})]}), TRAINING, reads)
    score = Score(cosine=0.5, constant=0.4, nearest_neighbour=0.3, closest_cosine=0.2, cosine_to_train=0.1)
    scores = [Sample(one.key, {"json": score.encode()}) for one in by_split["val"]]
    dataset_of(run, "evaluate", in_shards("scores", scores, 10_000))
    predictions = [
        Sample(one.key, {"json": Prediction(id=one.key, expected_cosine=0.4).encode(), "npy": b"v"})
        for one in by_split["test"]
    ]
    noted(dataset_of(run, "infer", in_shards("predictions", predictions, PER_SHARD)), {"images": "split:test"})
    dataset_of(run, "submission", {"submission": [Sample("submission", {"csv": b"not read"})]})
    dataset_of(run, "embed", {})
    dataset_of(run, "generate-prompts", {})
    return run


def _dropped(prompt: str, embedded: str, origin: Origin) -> Sample:
    verdict = Verdict(**origin.model_dump(exclude_unset=True), witness=key_of(PROMPTS[1]), cosine=0.9)
    return Sample(f"{key_of(prompt)}-{embedded}", {"txt": prompt.encode(), "json": verdict.encode()})


def _signatures(name: str, samples: Sequence[Sample]) -> Sample:
    keys = "\n".join(sample.key for sample in samples).encode()
    return Sample(name, {"json": ShardSignatures(images=len(samples)).encode(), "keys": keys, "npy": b"v"})


def followed(run: CountingStore, question: str) -> tuple[Mapping[str, Any], int]:
    """What is said of it, and after how many requests."""
    CountingStore.requests.clear()
    return parts_of(run, question), len(CountingStore.requests)


def of_split(split: str) -> str:
    return next(key for key in KEPT if split_of(key, HELD_OUT) == split)


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_held_out_prompt_takes_a_constant_number_of_requests(large: CountingStore, split: str) -> None:
    key = of_split(split)
    found, requests = followed(large, key)
    assert found["collect"]["row"] == PROMPTS.index(KEPT[key]) + 1
    assert found["collect"]["version"] == "the version of a.txt"
    assert (found["dedup"]["verdict"], found["dedup"]["split"]) == ("kept", split)
    assert found["generate-images"]["sha256"] == sha256(key.encode())
    assert "evaluate" in found if split == "val" else "submission" in found
    assert requests <= MANIFESTS + FURTHER


def test_the_steps_of_a_training_image_take_a_request_for_each_shard_that_it_was_mixed_with(
    large: CountingStore,
) -> None:
    found, requests = followed(large, of_split("train"))
    assert [one["epoch"] for one in found["train"]["steps"]] == [1, 2]
    assert requests <= MANIFESTS + FURTHER + TRAINING["epochs"] * TRAINING["window_shards"]


def test_a_dropped_or_unknown_prompt_takes_a_request_for_each_shard_that_may_hold_it(large: CountingStore) -> None:
    dropped_shards = collected_shards = 10
    found, requests = followed(large, DROPPED[-1])
    assert (found["dedup"]["verdict"], found["collect"]["row"]) == ("dropped", 99_991)
    assert found["dedup"]["witness_prompt"] == PROMPTS[1]
    assert requests <= MANIFESTS + FURTHER + dropped_shards
    with pytest.raises(NotFound, match="is not known in"):
        followed(large, "f" * 24)
    assert len(CountingStore.requests) <= MANIFESTS + FURTHER + 2 * (dropped_shards + collected_shards)


def test_an_image_that_is_left_out_was_not_learned_from(large: CountingStore) -> None:
    compared = ComparedImages(published(large)["compare-images"])
    (left_out,) = compared.left_out.samples()
    found, _ = followed(large, left_out.key)
    assert found["compare-images"]["witness"] == "w"
    assert found["train"]["learned_from_it"] == "no, it is left out"
    assert (
        left_out.key in Staying(GeneratedImages(published(large)["generate-images"]).splits[TRAIN], compared).left_out
    )


def test_a_network_of_other_images_says_so(large: CountingStore, monkeypatch: pytest.MonkeyPatch) -> None:
    view = view_of(large)
    trained = view.datasets["train"]
    others = replace(trained.manifest.outcomes[0], reads={"generate-images/train": "0" * 64})
    datasets = {**view.datasets, "train": Dataset(trained.store, Manifest("train", (others,)))}
    found = trace(replace(view, datasets=datasets), of_split("train")).parts["train"]
    assert found and found["learned_from_it"].startswith("not known")


# Given images


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> tuple[LocalStore, Path]:
    """A run with images of a folder, and that folder."""
    folder = tmp_path_factory.mktemp("pairs")
    for number in range(4):
        (folder / f"{number}.png").write_bytes(picture(number, seed=number))
        (folder / f"{number}.txt").write_text(f"picture {number}")
    run = local_run(tmp_path_factory.mktemp("given"))
    source = {"kind": "sidecar", "name": "mine", "path": f"{folder}/", "licence": "CC0-1.0"}
    collected = run_stage(run, COLLECT, CollectParams.model_validate({"sources": [source]}))
    vectors = unit_vectors(4, seed=5)
    (shard,) = (one for one in collected.shards() if not one.group.endswith(".images"))
    embedded = [one.adding(npy=npy_field(vector)) for one, vector in zip(collected.read(shard), vectors, strict=True)]
    filtered = run_stage(run, DEDUP, DedupParams(), [dataset_of(run, "embed", {"mine-00000": embedded})])
    params = GenerateImagesParams(model="drawing", revision=None, stored_size=16)
    run_stage(run, GENERATE_IMAGES, params, [filtered, collected])
    return run, folder


def test_a_given_image_is_traced_to_its_file_and_row_by_its_bytes(
    pairs: tuple[LocalStore, Path], tmp_path: Path
) -> None:
    run, folder = pairs
    renamed = tmp_path / "any name.png"
    renamed.write_bytes((folder / "2.png").read_bytes())
    found = trace(view_of(run), str(renamed))
    assert found.subject.prompt == "picture 2"
    collected, image = found.parts["collect"], found.parts["generate-images"]
    assert collected and image
    assert (collected["source"], collected["row"], collected["licence"]) == ("mine", 3, "CC0-1.0")
    (given,) = collected["given"]
    assert (given["name"], given["sha256"]) == ("2.png", sha256(renamed.read_bytes()))
    assert (image["image"], image["given"]["source"], image["given"]["name"]) == ("given by a source", "mine", "2.png")
    assert image["file"] == "its bytes are those that a source gave"


@pytest.mark.parametrize(("by", "excluded"), [("source", {"sources": ["b"]}), ("key", {"keys": "keys.txt"})])
def test_an_excluded_prompt_says_by_what(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str, excluded: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("keys.txt").write_text(key_of("one of b"))
    Path("a.txt").write_text("one of a\n")
    Path("b.txt").write_text("one of b\n")
    run = local_run(tmp_path)
    sources = [{"kind": "text", "name": name, "path": f"{tmp_path}/{name}.txt"} for name in ("a", "b")]
    collected = run_stage(run, COLLECT, CollectParams.model_validate({"sources": sources}))
    vectors = dict(zip("ab", unit_vectors(2, seed=5), strict=True))
    embedded = {
        shard.name: [one.adding(npy=npy_field(vectors[shard.group])) for one in collected.read(shard)]
        for shard in collected.shards()
    }
    inputs = [dataset_of(run, "embed", embedded)]
    run_stage(run, DEDUP, DedupParams.model_validate({"exclude": excluded}), inputs)
    assert parts_of(run, "one of a")["dedup"]["verdict"] == "kept"
    assert parts_of(run, "one of b")["dedup"]["verdict"] == f"excluded by its {by}"
    dataset_of(run, "embed", {name: samples for name, samples in embedded.items() if name.startswith("b")})
    assert "changed since" in parts_of(run, "one of b")["dedup"]["verdict"]


def test_an_image_that_nothing_knows_says_what_was_tried(pairs: tuple[LocalStore, Path], tmp_path: Path) -> None:
    path = tmp_path / "other.png"
    path.write_bytes(picture(0, seed=99))
    with pytest.raises(NotFound, match=r"'other' .* none of these: one that a source gave.*; one .* names it"):
        trace(view_of(pairs[0]), str(path))


# Predicted files


def test_the_lines_of_a_predicted_file_are_its_own(store: Store, tmp_path: Path) -> None:
    shards = [["b.png", "in/sha256-like.png"], ["a.png", "in/v1.2.png"], ["a-b.png", "z.png", "broken.png"]]
    samples = {f"predictions-{number:05d}": [predicted(one) for one in ids] for number, ids in enumerate(shards)}
    inferred = dataset_of(store, "infer", samples)
    noted(inferred, {"images": "files"})
    (written,) = run_stage(store, SUBMISSION, SubmissionParams(), [inferred]).samples()
    lines = written["csv"].decode().splitlines()
    for id_ in ("a", "b", "a-b", "v1.2", "sha256-like", "z"):
        file = tmp_path / ("in" if id_ in ("sha256-like", "v1.2") else "") / f"{id_}.png"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"the file that was predicted")
        for question in (id_, f"{id_}_17", str(file), str(file.relative_to(tmp_path))):
            found = parts_of(store, question)["submission"]
            assert lines[found["first_line"] - 1].startswith(f"{id_}_0,")
            assert lines[found["last_line"] - 1].startswith(f"{id_}_383,")
        assert lines[parts_of(store, f"{id_}_17")["submission"]["line_asked_for"] - 1].startswith(f"{id_}_17,")
    assert parts_of(store, "broken.png")["infer"]["error"] == "no image"
    assert parts_of(store, "broken.png")["submission"]["first_line"] is None


def predicted(id_: str) -> Sample:
    if id_ == "broken.png":
        return Sample(key_of_id(id_), {"json": Prediction(id=id_, error="no image").encode()})
    vector = npy_field(unit_vectors(1, seed=len(id_))[0])
    return Sample(key_of_id(id_), {"json": Prediction(id=id_, expected_cosine=0.5).encode(), "npy": vector})
