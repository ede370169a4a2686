"""generate-prompts writes each shard from its unit alone, and keeps what is a prompt of what was written."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from jobs.errors import BadConfiguration
from jobs.generate_prompts import language_model, worker
from jobs.generate_prompts.contract import Generated, GeneratedOrigin
from jobs.generate_prompts.stage import GENERATE_PROMPTS, GeneratePromptsParams
from jobs.generate_prompts.tidy import tidy
from jobs.runtime import log
from jobs.runtime.stopping import Stopped
from jobs.shards.dataset import Dataset, Writer
from jobs.shards.keys import key_of, normalise
from jobs.shards.local import LocalStore
from jobs.shards.tar import Sample, json_field
from jobs.synthetic import grammar
from tests import tiny
from tests.samples import json_of
from tests.stages import dataset_of, local_run, run_stage


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny.language_model(tmp_path_factory.mktemp("models") / "gpt2"))


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    tried = tiny.refuse_connections(monkeypatch)
    yield
    assert not tried


def params_of(model: str, **changes: Any) -> GeneratePromptsParams:
    small = {"num_prompts": 20, "prompts_per_shard": 8, "max_new_tokens": 12, "batch_size": 3}
    return GeneratePromptsParams(model=model, revision=None, **{**small, **changes})


def collected(tmp_path: Path, **shards: list[str]) -> Dataset:
    return dataset_of(
        local_run(tmp_path / "input"),
        "collect",
        {
            name.replace("_", "-"): [
                Sample(key_of(prompt), {"txt": prompt.encode(), "json": json_field({"source": "x"})})
                for prompt in prompts
            ]
            for name, prompts in shards.items()
        },
    )


def digests(dataset: Dataset) -> dict[str, str]:
    return {shard.name: shard.sha256 for shard in dataset.shards()}


def written(tmp_path: Path, params: GeneratePromptsParams, *inputs: Dataset, completions: int = 1) -> Dataset:
    inputs = inputs or (collected(tmp_path),)
    return run_stage(local_run(tmp_path), GENERATE_PROMPTS, params, inputs, completions=completions)


def test_a_shard_is_the_same_made_alone_or_after_others(tmp_path: Path, model: str) -> None:
    together = written(tmp_path / "one", params_of(model))
    torch.manual_seed(99)  # whatever else the process draws
    alone = written(tmp_path / "three", params_of(model), completions=3)
    assert digests(together).keys() == {"generated-00000", "generated-00001", "generated-00002"}
    assert alone.manifest.digest == together.manifest.digest


def test_a_killed_worker_goes_on_to_the_same_dataset(
    tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Counter[str]()

    def stop_in_the_second_shard(*_: Any) -> None:
        calls["progress"] += 1
        if calls["progress"] == 13:
            raise Stopped("asked to stop")

    with monkeypatch.context() as patch:
        patch.setattr(log, "progress", stop_in_the_second_shard)
        with pytest.raises(Stopped):
            written(tmp_path / "killed", params_of(model))
    resumed = written(tmp_path / "killed", params_of(model))
    assert resumed.manifest.digest == written(tmp_path / "whole", params_of(model)).manifest.digest


def test_writing_leaves_the_random_state_of_torch_alone(model: str) -> None:
    loaded = language_model.load(params_of(model))
    before = torch.random.get_rng_state()
    list(language_model.write(loaded, shard=0, beginnings=[""] * 4))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_another_seed_shard_or_batch_gives_other_prompts(tmp_path: Path, model: str) -> None:
    one = written(tmp_path / "one", params_of(model, num_prompts=16, prompts_per_shard=8, batch_size=4))
    two = written(tmp_path / "two", params_of(model, num_prompts=16, prompts_per_shard=8, batch_size=4, seed=1))
    prompts = [sample.text() for dataset in (one, two) for sample in dataset.samples()]
    assert len(prompts) == 32
    assert len(set(prompts)) == 32


def test_samples_hold_the_normalised_prompt_and_what_wrote_it(tmp_path: Path, model: str) -> None:
    dataset = written(tmp_path, params_of(model, seed=7))
    rows = []
    for shard in dataset.shards():
        samples = list(dataset.read(shard))
        assert [sample.key for sample in samples] == sorted(sample.key for sample in samples)
        for sample in samples:
            noted = json_of(sample)
            assert sample.key == key_of(sample.text())
            assert sample.text() == normalise(sample.text()) == tidy(sample.text())
            assert (noted["source"], noted["model"], noted["revision"], noted["seed"]) == ("generated", model, None, 7)
            rows.append((noted["shard"], noted["row"]))
    assert sorted(rows) == [(number // 8, number % 8 + 1) for number in range(20)]
    assert [dict(outcome.stats) for outcome in dataset.manifest.outcomes] == [
        {"wanted": wanted, "kept": wanted, "empty": 0, "repeated": 0} for wanted in (8, 8, 4)
    ]


def test_empty_and_repeated_prompts_are_dropped_and_counted(tmp_path: Path) -> None:
    texts = ["a fox", ", a  fox\n", "", " ,. ", "an owl"]
    counts: Counter[str] = Counter(wanted=5, kept=0, empty=0, repeated=0)
    origins = [
        GeneratedOrigin(source="generated", row=row, model="grammar", revision=None, seed=0, shard=0)
        for row in range(1, 6)
    ]
    output = Generated(Writer(LocalStore(tmp_path)))
    samples = list(worker.kept(texts, origins, output, counts))
    assert [(sample.text(), json_of(sample)["row"]) for sample in samples] == [("a fox", 1), ("an owl", 5)]
    assert counts == {"wanted": 5, "kept": 2, "empty": 2, "repeated": 1}


def test_a_shard_without_any_prompt_is_committed_as_no_shard(
    tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "writer", lambda _params: lambda _shard, beginnings: ["..."] * len(beginnings))
    dataset = written(tmp_path, params_of(model, num_prompts=5))
    assert dataset.shards() == ()
    assert dataset.manifest.outcomes[0].stats == {"wanted": 5, "kept": 0, "empty": 5, "repeated": 0}


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        (", portrait of a fox", "portrait of a fox"),
        (".  - a fox", "a fox"),
        (" a fox\n\nin  the snow ", "a fox in the snow"),
        ("a fox, by greg rutkowski,", "a fox, by greg rutkowski"),
        ("a fox (", "a fox"),
        ("a fox in the snow!", "a fox in the snow!"),
        ("(masterpiece), a fox (red)", "(masterpiece), a fox (red)"),
        ('"the fox" -, ', '"the fox"'),
        ("#fox @home", "#fox @home"),
        ("a fo\x00x\ufffd", "a fox"),
        ("cafe\u0301", "caf\u00e9"),
        ("🦊 on the moon", "🦊 on the moon"),
        ("), ;:", ""),
        ("", ""),
    ],
)
def test_what_a_model_leaves_around_a_prompt_is_trimmed(text: str, prompt: str) -> None:
    assert tidy(text) == prompt


def test_growing_the_number_of_prompts_leaves_full_shards_as_they_are(tmp_path: Path) -> None:
    def fingerprints(**changes: Any) -> dict[str, str]:
        units = GENERATE_PROMPTS.units_of(params_of("grammar", **changes), (collected(tmp_path),))
        return {unit.name: GENERATE_PROMPTS.fingerprint(unit) for unit in units}

    small, large = fingerprints(num_prompts=20), fingerprints(num_prompts=40)
    assert [small[name] == large[name] for name in small] == [True, True, False]  # the third held 4 of 8
    assert len(large) == 5
    assert set(fingerprints(num_prompts=20, seed=1).values()).isdisjoint(small.values())
    assert fingerprints(num_prompts=0) == {}


def test_no_prompts_wanted_is_an_empty_dataset(tmp_path: Path, model: str) -> None:
    assert written(tmp_path, params_of(model, num_prompts=0)).shards() == ()


def test_prompts_begin_like_collected_ones(tmp_path: Path, model: str) -> None:
    source = collected(tmp_path, a_00000=["a fox in snow", "the owl"], b_00000=["one robot forest light sunset"])
    params = params_of(model, beginnings="collected", beginning_words=2, num_prompts=12, prompts_per_shard=4)
    dataset = written(tmp_path, params, source)
    prompts = {sample.key: sample.text() for sample in source.samples()}
    for shard, beginnings in zip(
        dataset.shards(), ({"a fox", "the owl"}, {"one robot"}, {"a fox", "the owl"}), strict=True
    ):
        samples = list(dataset.read(shard))
        assert {" ".join(prompts[json_of(sample)["begun_from"]].split()[:2]) for sample in samples} == beginnings
        for sample in samples:
            assert sample.text().startswith(" ".join(prompts[json_of(sample)["begun_from"]].split()[:2]))


def test_a_unit_reads_only_the_collected_shard_it_begins_from(tmp_path: Path) -> None:
    params = params_of("any/model", beginnings="collected")
    before = collected(tmp_path / "1", a_00000=["a fox"], b_00000=["an owl"])
    after = collected(tmp_path / "2", a_00000=["a fox"], b_00000=["a robot"])
    one, two = (GENERATE_PROMPTS.units_of(params, (source,)) for source in (before, after))
    assert [list(unit.reads) for unit in one] == [["collect/a-00000"], ["collect/b-00000"], ["collect/a-00000"]]
    same = [GENERATE_PROMPTS.fingerprint(a) == GENERATE_PROMPTS.fingerprint(b) for a, b in zip(one, two, strict=True)]
    assert same == [True, False, True]
    assert all(not unit.reads for unit in GENERATE_PROMPTS.units_of(params_of("any/model"), (before,)))
    with pytest.raises(BadConfiguration, match="collect has none"):
        GENERATE_PROMPTS.units_of(params, (collected(tmp_path / "3"),))


def test_a_prompt_does_not_depend_on_the_padding_its_batch_needs(model: str) -> None:
    loaded = language_model.load(params_of(model, top_k=1, batch_size=4))  # always the likeliest token
    beginnings = ["", "a fox", "the castle in the forest", "owl"]
    together = list(language_model.write(loaded, shard=0, beginnings=beginnings))
    alone = [text for one in beginnings for text in language_model.write(loaded, shard=5, beginnings=[one])]
    assert together == alone


def test_the_repetition_penalty_counts_what_was_written_and_nothing_else(model: str) -> None:
    def tokens(penalty: float) -> list[int]:
        loaded = language_model.load(params_of(model, top_k=1, repetition_penalty=penalty))
        loaded.tokenizer.batch_decode = lambda rows, **_: [row.tolist() for row in rows]
        (row,) = language_model.write(loaded, shard=0, beginnings=["fox, fox, owl"])
        return list(map(int, row[1 + len("fox, fox, owl") :]))  # a token a letter, and the start

    free, strict = tokens(1.0), tokens(1000.0)
    assert len(set(free)) < len(free)
    assert len(set(strict)) == len(strict)
    assert strict[0] == free[0]


def test_the_grammar_stands_in_for_the_model(tmp_path: Path) -> None:
    dataset = written(tmp_path, params_of("grammar", seed=5))
    expected = set(grammar.prompts(seed=5, start=0, count=20))
    assert {sample.text() for sample in dataset.samples()} == expected
    assert {json_of(sample)["model"] for sample in dataset.samples()} == {"grammar"}
    assert sum(outcome.stats["wanted"] for outcome in dataset.manifest.outcomes) == 20


def test_the_specifications_and_the_grammar_need_neither_torch_nor_numpy() -> None:
    code = (
        "import sys; import jobs.generate_images.stage; import jobs.generate_prompts.worker; "
        "assert not {'torch', 'numpy', 'PIL'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_what_cannot_work_is_a_bad_configuration(tmp_path: Path, model: str) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for wrong, message in [
        (params_of(str(tmp_path / "missing")), "is no folder"),
        (params_of(str(empty)), "not a language model with its tokenizer"),
        (params_of("someone/some-model"), "needs `revision`"),
        (params_of(model, max_new_tokens=64), "leaves no position"),
    ]:
        with pytest.raises(BadConfiguration, match=message):
            language_model.load(wrong)
    with pytest.raises(ValidationError, match="grammar continues nothing"):
        params_of("grammar", beginnings="collected")
    with pytest.raises(ValidationError, match="grammar runs on the CPU"):
        params_of("grammar", device="cuda")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_a_bad_configuration(tmp_path: Path, model: str) -> None:
    with pytest.raises(BadConfiguration, match="finds no usable GPU"):
        written(tmp_path, params_of(model, device="cuda"))


def test_too_little_memory_names_the_batch_size(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = language_model.load(params_of(model, batch_size=3))

    def exhaust(**_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(loaded.model, "generate", exhaust)
    with pytest.raises(BadConfiguration, match="batch_size: 3"):
        list(language_model.write(loaded, shard=0, beginnings=[""]))
