"""The charts' values: what they refuse, and that the same file means the same to Helm and to `i2p run`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml

from pipeline.configuration import chart_values
from pipeline.configuration.run_config import FullConfig, load_config, presets
from tests.charts import CHARTS, SETS, SMALLEST, Object, every_chart, laid_over, only


@every_chart
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"train": {"epoch": 3}}, ["/train", "'epoch'"]),
        ({"trian": {"epochs": 3}}, ["'trian'"]),
        ({"train": {"epochs": "three"}}, ["/train/epochs", "integer"]),
        ({"train": {"epochs": 0}}, ["/train/epochs", "1"]),
        ({"train": {"resources": {"gpu": 1}}}, ["/train/resources", "'gpu'"]),
        ({"dedup": {"threshold": 1.5}}, ["/dedup/threshold"]),
        ({"collect": {"sources": [{"kind": "csv", "name": "a", "path": "b", "colum": "c"}]}}, ["sources/0", "'colum'"]),
        ({"collect": {"sources": [{"kind": "csv", "name": "a"}]}}, ["sources/0", "'path'"]),
        ({"collect": {"sources": [{"kind": "cvs", "name": "a"}]}}, ["sources/0/kind", "'csv'"]),
        ({"preset": "clutser"}, ["/preset", "'cluster'"]),
        ({"inputs": {"trian": "other"}}, ["'trian'"]),
        ({"stages": ["trian"]}, ["/stages"]),
        ({"kubernetes": {"credential": "a"}}, ["/kubernetes", "'credential'"]),
        ({"kubernetes": {"env": {"MY_SECRET_KEY": "a"}}}, ["'MY_SECRET_KEY'"]),
        ({"kubernetes": {"env": {"hf_token": "a"}}}, ["'hf_token'"]),
        ({"chart": {"contoller": {}}}, ["/chart", "'contoller'"]),
        ({"chart": {"controller": {"cpus": 1}}}, ["/chart/controller/cpus", "string"]),
        ({"chart": {"controller": {"memory": None}}}, ["/chart/controller", "'memory'"]),
        ({"chart": None}, ["'chart'"]),
        ({"common": {"a": 1}}, ["/common", "'a'"]),
    ],
)
def test_what_is_misspelt_or_of_the_wrong_type_is_refused_by_name(
    render: Any, chart: str, wrong: Object, words: list[str]
) -> None:
    with pytest.raises(helm_python.HelmValuesError) as refused:
        render(chart, laid_over(SMALLEST, wrong))
    assert all(word in str(refused.value) for word in words), refused.value


@pytest.mark.parametrize(("chart", "others"), [("training-run", "schedule"), ("scheduled-inference", "attempt")])
def test_a_charts_own_values_are_not_the_others(render: Any, chart: str, others: str) -> None:
    with pytest.raises(helm_python.HelmValuesError, match=others):
        render(chart, {**SMALLEST, "chart": {others: 1}})


@every_chart
@pytest.mark.parametrize("preset", presets())
def test_every_preset_passes_as_values(charts: dict[str, helm_python.Chart], chart: str, preset: str) -> None:
    values = yaml.safe_load((Path(chart_values.__file__).parent / "presets" / f"{preset}.yaml").read_text())
    charts[chart].validate_schema(charts[chart].merge_values(values))


def test_every_part_of_a_configuration_passes_alone(charts: dict[str, helm_python.Chart]) -> None:
    chart = charts["training-run"]
    whole = FullConfig(run="whole").model_dump(mode="json", by_alias=True)
    chart.validate_schema(chart.merge_values(whole))
    for name, section in whole.items():
        for part in section if isinstance(section, dict) else ():
            chart.validate_schema(chart.merge_values({name: {part: section[part]}}))


@every_chart
@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"store": ""}, "store: required"),
        ({"store": "runs"}, "store: required"),
        ({"kubernetes": {"images": {"controller": ""}}}, "kubernetes.images.controller: required"),
        ({"kubernetes": {"namespace": "there"}}, "the release goes to here"),
    ],
    ids=["no-store", "folder", "no-image", "other-namespace"],
)
def test_what_is_missing_is_asked_for(render: Any, chart: str, values: Object, words: str) -> None:
    with pytest.raises(helm_python.HelmError, match=words):
        render(chart, laid_over(SMALLEST, values))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"infer": {}}, "infer.images: required"),
        ({"infer": {"images": "split:test"}}, "infer.images: required"),
        ({"inputs": {}}, "inputs: required"),
    ],
)
def test_inference_needs_a_network_and_a_folder_where_images_come_in(render: Any, values: Object, words: str) -> None:
    with pytest.raises(helm_python.HelmError, match=words):
        render("scheduled-inference", {**SMALLEST, **values})


# The configuration


@every_chart
@pytest.mark.parametrize("values", [*SETS.values(), *({"preset": name, **SMALLEST} for name in presets())])
def test_the_same_file_means_the_same_to_helm_and_to_i2p(
    render: Any, tmp_path: Path, chart: str, values: Object
) -> None:
    mine = {"run": "rel", **{name: value for name, value in values.items() if name != "chart"}}
    (tmp_path / "my-run.yaml").write_text(yaml.safe_dump(mine))
    config_map = only("ConfigMap", render(chart, values))
    (tmp_path / "run.yaml").write_text(config_map["data"]["run.yaml"])
    forced = {"executor": "kubernetes", "kubernetes.namespace": "here"}
    account = values["kubernetes"].get("service_account", "rel-stages")
    labels = {**values["kubernetes"].get("labels", {}), "app.kubernetes.io/instance": "rel"}
    expected = load_config(
        str(tmp_path / "my-run.yaml"),
        [
            *(f"{name}={value}" for name, value in forced.items()),
            f"kubernetes.service_account={account}",
            f"kubernetes.labels={json.dumps(labels)}",
        ],
    )
    assert load_config(str(tmp_path / "run.yaml")) == expected


@every_chart
def test_null_and_odd_values_reach_the_configuration(render: Any, chart: str) -> None:
    """Helm drops a null together with the chart's default of the same name, so there is none."""
    assert set(yaml.safe_load((CHARTS / chart / "values.yaml").read_text())) == {"chart"}
    odd: dict[str, dict[str, Any]] = {
        "embed": {"revision": None},
        "generate-prompts": {"num_prompts": 10_000_000, "top_k": None},
        "generate-images": {"max_prompts": None, "negative_prompt": "no: {{ braces }}, 'quotes', on\nnor lines"},
        "train": {"learning_rate": 1e-7, "revision": "0" * 39 + "1"},
        "kubernetes": {"env": {"A": "on", "B": "0123", "C": "1e3", "D": "12:30:45", "E": "2026-11-22", "F": ""}},
    }
    found = yaml.safe_load(only("ConfigMap", render(chart, laid_over(SMALLEST, odd)))["data"]["run.yaml"])
    assert float(found["train"].pop("learning_rate")) == odd["train"].pop("learning_rate")
    for section, values in odd.items():
        assert found[section] == laid_over(found[section], values)


@pytest.mark.parametrize("release", ["rel", "a" * 32, "a" * 33, "a" * 53, "a.b", "a-b", "a" * 22 + "." + "b" * 14])
@every_chart
def test_the_run_is_named_for_the_release(render: Any, tmp_path: Path, chart: str, release: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(only("ConfigMap", render(chart, SMALLEST, release))["data"]["run.yaml"])
    run = load_config(str(path)).run
    assert run == release if len(release) <= 32 and "." not in release else len(run) <= 32
