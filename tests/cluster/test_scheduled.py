"""Inference on cron: it fires, one firing is missed and caught up, and no image is predicted twice."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from jobs.infer.results.writing import finished
from jobs.shards.dataset import Dataset, load_manifest
from jobs.shards.local import LocalStore
from jobs.shards.s3 import S3Store
from tests.cluster.commands import answer, helm, written
from tests.cluster.conftest import Cluster
from tests.cluster.graph import SMALL, configuration, copy_run
from tests.e2e.runs import RUN
from tests.samples import json_of
from tests.waiting import wait_for

CHART = "charts/scheduled-inference"
NIGHTLY = "nightly"


@pytest.fixture
def pictures(reference_store: Path) -> list[bytes]:
    """PNG files that the trained network can read."""
    images = LocalStore(reference_store / RUN / "generate-images")
    manifest = load_manifest(images)
    assert manifest
    return [sample["png"] for sample in Dataset(images, manifest).samples("test")]


def test_it_fires_misses_one_and_catches_up(
    cluster: Cluster,
    namespace: str,
    images: dict[str, str],
    bucket: S3Store,
    reference_store: Path,
    pictures: list[bytes],
    tmp_path: Path,
) -> None:
    store = bucket.at(uuid.uuid4().hex)
    incoming = store.at("incoming")
    copy_run(reference_store, store, "trained")
    values = configuration(cluster, namespace, store, images)
    kept = {name: values[name] for name in ("store", "executor", "kubernetes")}
    kept["kubernetes"] = {key: value for key, value in kept["kubernetes"].items() if "models" not in key}
    values = kept | {
        "run": NIGHTLY,
        "inputs": {"evaluate": "trained"},
        "stages": ["infer", "submission"],
        "infer": {
            "images": incoming.url,
            "images_per_shard": 3,
            "compose": False,  # which would need a model
            "resources": SMALL | {"parallelism": 2},
        },
        "submission": {"resources": SMALL},
        "chart": {"schedule": "* * * * *"},
    }
    preset = written({name: value for name, value in values.items() if name != "chart"}, tmp_path)
    for number, picture in enumerate(pictures[:5]):
        incoming.create(f"first-{number}.png", picture)

    helm("install", NIGHTLY, CHART, "-n", namespace, "-f", written(values, tmp_path, "values.yaml"))
    wait_for(lambda: states(preset) == ["done"], 240, "the first batch")
    cluster.kubectl("patch", "cronjob", NIGHTLY, "-p", '{"spec": {"suspend": true}}', namespace=namespace)
    wait_for(lambda: not running(cluster, namespace), 120, "the last firing to end")
    for number, picture in enumerate(pictures[5:9]):
        incoming.create(f"second-{number}.png", picture)
    time.sleep(61 - time.time() % 60)  # a firing is missed
    assert states(preset) == ["done"]
    cluster.kubectl("patch", "cronjob", NIGHTLY, "-p", '{"spec": {"suspend": false}}', namespace=namespace)
    wait_for(lambda: states(preset) == ["done", "done"], 240, "the missed images to be caught up")

    predicted = Counter(name for row in answer(preset, "batches") for name in predictions(store, row["run"]))
    assert predicted == {f"first-{n}.png": 1 for n in range(5)} | {f"second-{n}.png": 1 for n in range(4)}
    for row in answer(preset, "batches"):
        record = finished(store.at(row["run"]).at("predictions"))
        assert record and record.images == row["inputs"], "each batch has the files that people open"
    scheduled = [row["scheduled"] for row in answer(preset, "batches")]
    jobs = cluster.objects("jobs", namespace, "-l", "app.kubernetes.io/component=controller")
    times = {job["metadata"]["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"] for job in jobs}
    assert set(scheduled) <= times, "a batch is keyed by the time that its firing was scheduled for"
    assert sorted(scheduled) == scheduled
    assert "Succeeded" in helm("test", NIGHTLY, "-n", namespace)
    helm("uninstall", NIGHTLY, "-n", namespace, "--wait")
    wait_for(lambda: not cluster.objects("pods", namespace), 90, "all Pods to go")


def states(preset: str) -> list[str]:
    return [row["state"] for row in answer(preset, "batches")]


def running(cluster: Cluster, namespace: str) -> list[Any]:
    return [job for job in cluster.objects("jobs", namespace) if job["status"].get("active")]


def predictions(store: S3Store, run: str) -> list[str]:
    """The ids of the images that a run predicted."""
    infer = store.at(run).at("infer")
    manifest = load_manifest(infer)
    assert manifest
    return [json_of(sample)["id"] for shard in manifest.shards for sample in Dataset(infer, manifest).read(shard)]
