"""A configuration is right or refused with the place and what was probably meant."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jobs.catalog import STAGES, stage_named
from jobs.errors import BadConfiguration
from pipeline.configuration.run_config import FullConfig, load_config, presets


@pytest.mark.parametrize("preset", presets())
def test_every_preset_is_valid(preset: str) -> None:
    assert load_config(preset).run


def test_a_value_can_be_set_from_the_command_line() -> None:
    config = load_config(
        "demo", ["dedup.threshold=0.9", "run=other", "embed.resources.parallelism=3", "collect.sources.0.num_prompts=7"]
    )
    assert config.run == "other"
    assert config.params(stage_named("dedup")).model_dump()["threshold"] == 0.9
    assert config.resources(stage_named("embed")).parallelism == 3
    assert config.params(stage_named("collect")).model_dump()["sources"][0]["num_prompts"] == 7


def test_files_are_laid_over_a_preset_as_helm_lays_values(tmp_path: Path) -> None:
    mine, images = tmp_path / "my-run.yaml", tmp_path / "built.yaml"
    mine.write_text(
        "{preset: demo, run: first, train: {epochs: 3}, kubernetes: {queue: q}, chart: {schedule: '@daily'}}"
    )
    images.write_text("kubernetes: {images: {train: registry/train@sha256:0}}")
    config = load_config(str(mine), ["train.threads=1"], [str(images)])
    train: Any = config.params(stage_named("train"))
    assert (config.run, config.kubernetes.queue, config.kubernetes.images) == (
        "first",
        "q",
        {"train": "registry/train@sha256:0"},
    )
    assert (train.epochs, train.threads, train.model) == (3, 1, "convnext_atto"), "what no file names is the preset's"


def test_presets_that_start_from_each_other_are_refused(tmp_path: Path) -> None:
    one, other = tmp_path / "one.yaml", tmp_path / "other.yaml"
    one.write_text(f"preset: {other}")
    other.write_text(f"preset: {one}")
    with pytest.raises(BadConfiguration, match="goes in a circle"):
        load_config(str(one))


@pytest.mark.parametrize(
    ("assignment", "noted"),
    [
        ("dedup.treshold=0.9", "dedup.treshold: there is no such parameter; did you mean 'threshold'?"),
        ("dedupe.threshold=0.9", "dedupe: there is no such parameter; did you mean 'dedup'?"),
        ("dedup.threshold=2", "dedup.threshold: Input should be less than or equal to 1, given 2"),
        ("dedup.threshold", "needs stage.param=value"),
        ("dedup.held_out={val: 0.7, test: 0.4}", "leave some for training"),
        ("run=Not A Name", "run: String should match"),
        ("embed.resources.retrys=1", "did you mean 'retries'?"),
        ("collect.sources.7.seed=1", "no position in a list of 1"),
        ("collect.sources.0.kind=csvv", "kind"),
    ],
)
def test_a_wrong_value_is_refused_with_its_location(assignment: str, noted: str) -> None:
    with pytest.raises(BadConfiguration) as error:
        load_config("demo", [assignment])
    assert noted in str(error.value)


def test_an_unknown_preset_names_those_there_are() -> None:
    with pytest.raises(BadConfiguration, match="demo"):
        load_config("dmeo")


def test_every_parameter_says_what_it_is_in_the_schema() -> None:
    schema = FullConfig.model_json_schema()
    assert {spec.name for spec in STAGES} <= schema["properties"].keys()
    json.dumps(schema)


def test_importing_the_pipeline_loads_nothing_heavy() -> None:
    code = (
        "import sys, pipeline, pipeline.__main__, jobs.catalog\n"
        "print([name for name in ('torch', 'numpy', 'faiss', 'PIL', 'transformers', 'pyarrow') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_one_store_has_one_address_and_one_label() -> None:
    one, other = (load_config("demo", [f"store={store}"]) for store in ("s3://runs/a", "s3://runs//a/"))
    assert one == other
    assert one.store == "s3://runs/a"
    assert one.store_label == other.store_label != load_config("demo", ["store=s3://runs/b"]).store_label


def test_a_store_that_is_known_is_labelled_by_its_id_whatever_its_address() -> None:
    configs = [load_config("demo", [f"store={store}"]).of_store("0123456789abcdef") for store in ("s3://a", "s3://b")]
    assert {config.store_label for config in configs} == {"0123456789abcdef"}
    assert load_config("demo").of_store(None).store_label == load_config("demo").store_label
