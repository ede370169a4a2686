"""Two training runs side by side on one dataset, one of them in two Pods on two nodes as one world."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest

from jobs.shards.dataset import Dataset, load_manifest
from jobs.shards.s3 import S3Store
from tests.cluster.commands import answer, helm, written
from tests.cluster.conftest import Cluster
from tests.cluster.graph import SMALL, configuration, copy_run
from tests.samples import json_of
from tests.waiting import wait_for

CHART = "charts/training-run"
BASE = "base"


@pytest.fixture(scope="module")
def trained(
    cluster: Cluster,
    namespaces: Any,
    images: dict[str, str],
    bucket: S3Store,
    reference_store: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Any]:
    """Both releases, finished: the namespace, the store, each one's preset and the Pods that they had."""
    home, store = namespaces(), bucket.at(uuid.uuid4().hex)
    copy_run(reference_store, store, BASE)
    presets = {}
    for name, pods, epochs in (("left", 1, 2), ("right", 2, 3)):
        values = configuration(cluster, home, store, images)
        values |= {
            "run": name,
            "inputs": {"compare-images": BASE, "cut-prompts": BASE},
            "stages": ["train", "evaluate"],
        }
        values["train"] |= {"epochs": epochs, "resources": SMALL | {"pods": pods, "retries": 6}}
        values["kubernetes"] = {key: value for key, value in values["kubernetes"].items() if "models" not in key}
        values["evaluate"]["num_composed"] = 0  # which would need one
        presets[name] = written(values, tmp_path_factory.mktemp(name))
        helm("install", name, CHART, "-n", home, "-f", presets[name])
    seen: dict[str, dict[str, Any]] = {}

    def both_are_done() -> bool:
        for pod in cluster.objects("pods", home, "-l", "image-to-prompts/stage=train"):
            seen[pod["metadata"]["name"]] = pod
        jobs = cluster.objects("jobs", home, "-l", "app.kubernetes.io/component=controller")
        return len(jobs) == 2 and all(job["status"].get("succeeded") for job in jobs)

    wait_for(both_are_done, 400, "both runs to finish")
    return {"home": home, "store": store, "presets": presets, "pods": list(seen.values())}


def of_run(pods: list[dict[str, Any]], run: str) -> list[dict[str, Any]]:
    return [pod for pod in pods if pod["metadata"]["labels"]["image-to-prompts/run"] == run]


def test_each_has_its_own_values_and_its_own_result(trained: dict[str, Any]) -> None:
    steps = {}
    for name in ("left", "right"):
        run = trained["store"].at(name)
        manifest = load_manifest(run.at("train"))
        assert manifest
        curve = json_of(next(iter(Dataset(run.at("train"), manifest).samples("curve"))))
        steps[name] = (curve["epochs"], len(curve["points"]))
        assert answer(trained["presets"][name], "metrics")["samples"] > 5
        assert not list(run.at("generate-images").list("")), "it took another run's"
    assert steps["left"][0] == 2
    assert steps["right"][0] == 3


def test_two_pods_on_two_nodes_were_one_world(cluster: Cluster, trained: dict[str, Any]) -> None:
    first, *more = of_run(trained["pods"], "right")
    assert len({pod["spec"]["nodeName"] for pod in [first, *more]}) == 2
    assert {pod["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"] for pod in [first, *more]} == {
        "0",
        "1",
    }
    worlds = [event for event in answer(trained["presets"]["right"], "logs", "train") if event["event"] == "met"]
    assert {event["processes"] for event in worlds} == {2}
    assert {event["rank"] for event in worlds} == {0, 1}


def test_they_ran_at_the_same_time(trained: dict[str, Any]) -> None:
    def when(run: str) -> tuple[str, str]:
        events = answer(trained["presets"][run], "logs", "train")
        return events[0]["time"], events[-1]["time"]

    (begun, ended), (other_begun, other_ended) = when("left"), when("right")
    assert begun < other_ended
    assert other_begun < ended


def test_one_is_uninstalled_and_the_other_stays(cluster: Cluster, trained: dict[str, Any]) -> None:
    home = trained["home"]
    helm("uninstall", "right", "-n", home, "--wait")
    wait_for(
        lambda: not of_run(cluster.objects("pods", home, "-l", "image-to-prompts/run=right"), "right"),
        60,
        "its Pods to go",
    )
    assert not cluster.objects("services", home), "the Service of its gang went with its Job"
    assert cluster.objects("jobs", home, "-l", "image-to-prompts/run=left")
    helm("uninstall", "left", "-n", home, "--wait")
