"""Charts as they are installed: side by side, upgraded, tested, packaged; and the names that hold then."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml

from tests.charts import CHARTS, EVERYTHING, SMALLEST, Object, every_chart, every_set, job_spec, laid_over, only

# Names


@every_chart
def test_releases_side_by_side_share_no_name(render: Any, chart: str) -> None:
    longest = "a" * 52
    releases = ["rel", "rel-controller", "rel-stages", "rel.x", "rel-x", longest + "b", longest + "c"]
    seen: dict[tuple[str, str], str] = {}
    for release in releases:
        for one in render(chart, SMALLEST, release):
            assert seen.setdefault((one["kind"], one["metadata"]["name"]), release) == release


@every_chart
@pytest.mark.parametrize("release", ["a" * 53, "a" * 51 + ".b", "a" * 43 + "-" * 9 + "b"])
def test_names_stay_short_enough(render: Any, chart: str, release: str) -> None:
    for one in render(chart, SMALLEST, release):
        name = one["metadata"]["name"]
        assert len(name) <= (52 if one["kind"] == "CronJob" else 63)
        assert name[-1].isalnum() and not name.startswith("-")
        assert all(len(value) <= 63 for value in one["metadata"]["labels"].values())


def name_of_job(render: Any, *changes: Object) -> str:
    values = copy.deepcopy(SMALLEST)
    for change in changes:
        values = laid_over(values, change)
    return str(only("Job", render("training-run", values))["metadata"]["name"])


def test_an_upgrade_without_a_change_keeps_the_controllers_job(render: Any) -> None:
    assert name_of_job(render) == name_of_job(render)
    assert name_of_job(render) == name_of_job(render, {"chart": {"network_policy": {"enabled": False}}})


@pytest.mark.parametrize(
    "change",
    [
        {"preset": "cluster"},
        {"store": "s3://bucket/other"},
        {"run": "other"},
        {"train": {"epochs": 3}},
        {"embed": {"revision": None}},
        {"inputs": {"dedup": "other"}},
        {"kubernetes": {"images": {"controller": "registry.test/c@sha256:22"}}},
        {"kubernetes": {"images": {"train": "registry.test/t@sha256:22"}}},
        {"kubernetes": {"credentials": "other"}},
        {"kubernetes": {"env": {"A": "b"}}},
        {"chart": {"controller": {"memory": "2Gi"}}},
        {"chart": {"attempt": 2}},
    ],
    ids=json.dumps,
)
def test_any_change_makes_another_job(render: Any, change: Object) -> None:
    assert name_of_job(render) != name_of_job(render, change)


# Around an installation


@every_chart
@every_set
def test_helm_test_asks_doctor_as_the_controller(render: Any, chart: str, values: Object) -> None:
    objects = render(chart, values)
    doctor, controller = only("Pod", objects), job_spec(objects)["template"]["spec"]
    assert doctor["metadata"]["annotations"]["helm.sh/hook"] == "test"
    (asked,) = doctor["spec"]["containers"]
    assert asked["args"] == ["doctor", "--preset", "/etc/image-to-prompts/run.yaml"]
    assert asked["image"] == controller["containers"][0]["image"]
    assert doctor["spec"]["serviceAccountName"] == controller["serviceAccountName"]


@every_chart
@every_set
def test_the_notes_name_what_is_there(charts: dict[str, helm_python.Chart], chart: str, values: Object) -> None:
    files = charts[chart].render(values, name="rel", namespace="here")
    notes = files[f"{chart}/templates/NOTES.txt"]
    (workload,) = (
        one
        for name, text in files.items()
        if not name.endswith("NOTES.txt")
        for one in yaml.safe_load_all(text)
        if one and one["kind"] in ("Job", "CronJob")
    )
    assert f"{workload['kind'].lower()}/{workload['metadata']['name']}" in notes
    assert "helm test rel -n here" in notes
    assert "<no value>" not in notes


@every_chart
def test_a_packaged_chart_needs_nothing_beside_it(tmp_path: Path, chart: str) -> None:
    assert [one["status"] for one in helm_python.dependency_list(CHARTS / chart)] in (["ok"], ["unpacked"])
    archive = Path(helm_python.package(CHARTS / chart, destination=tmp_path))
    with helm_python.Chart.load(archive) as packaged, helm_python.Chart.load(CHARTS / chart) as folder:
        assert packaged.render(EVERYTHING, name="rel", namespace="here") == folder.render(
            EVERYTHING, name="rel", namespace="here"
        )
