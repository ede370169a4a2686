"""`make deploy-stage` builds, pushes and submits one stage, and done again it changes nothing."""

from __future__ import annotations

import os
import subprocess
import uuid
from pathlib import Path
from typing import Any

from jobs.shards.s3 import S3Store
from tests.cluster.commands import ROOT, written
from tests.cluster.conftest import NO_PODS, Cluster
from tests.cluster.graph import configuration
from tests.cluster.images import base_image
from tests.e2e.runs import RUN
from tests.waiting import wait_for


def test_it_submits_once(
    cluster: Cluster, namespace: str, images: dict[str, str], bucket: S3Store, tmp_path: Path
) -> None:
    store = bucket.at(uuid.uuid4().hex)
    values = configuration(cluster, namespace, store, {})
    values["kubernetes"] = {key: value for key, value in values["kubernetes"].items() if "models" not in key}
    preset = written(values, tmp_path)

    cluster.apply(namespace, NO_PODS)  # or the Job may be over before the second command looks at it
    first = deploy("collect", preset, cluster)
    assert "to be created; dry run: accepted" in first
    assert "started: 1 of 1 unit to make" in first
    again = deploy("collect", preset, cluster)
    assert "unchanged" in again
    (job,) = jobs(cluster, namespace)
    cluster.kubectl("delete", "resourcequota", NO_PODS["metadata"]["name"], namespace=namespace)
    wait_for(lambda: jobs(cluster, namespace)[0]["status"].get("succeeded"), 240, "the Job to finish")

    assert "done" in deploy("collect", preset, cluster), "its manifest is published"
    before = everything(cluster, namespace, store)
    assert "unchanged" in deploy("collect", preset, cluster)
    assert everything(cluster, namespace, store) == before
    assert jobs(cluster, namespace)[0]["metadata"]["uid"] == job["metadata"]["uid"]

    refused = deploy("train", preset, cluster, check=False)
    assert "train cannot start before generate-images is done" in refused


def jobs(cluster: Cluster, namespace: str) -> list[dict[str, Any]]:
    return cluster.objects("jobs", namespace)


def everything(cluster: Cluster, namespace: str, store: S3Store) -> list[Any]:
    versions = [job["metadata"]["resourceVersion"] for job in jobs(cluster, namespace)]
    run = store.at(RUN)
    return [*versions, *((stat.name, run.version(stat.name)) for stat in run.list(""))]


def deploy(stage: str, preset: str, cluster: Cluster, *, check: bool = True) -> str:
    command = [
        "make",
        "deploy-stage",
        f"STAGE={stage}",
        f"PRESET={preset}",
        f"REGISTRY={cluster.registry}",
        f"BASE={base_image(cluster.registry)}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, "MAKEFLAGS": ""})
    assert not check or done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr
