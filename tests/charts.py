"""Values that the charts are rendered with, and what to find in what they render."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from pipeline.configuration import chart_values

Object = dict[str, Any]

CHARTS = Path(__file__).parents[1] / "charts"
NAMES = list(chart_values.CHARTS)
VERSIONS = ["1.33", "1.34", "1.35", "1.36", "1.37"]

SMALLEST: Object = {
    "store": "s3://bucket/runs",
    "inputs": {"evaluate": "another-run"},
    "infer": {"images": "s3://bucket/incoming"},
    "kubernetes": {"images": {"controller": "registry.test/c@sha256:00"}},
}
EVERYTHING: Object = {
    "preset": "cluster",
    "store": "s3://bucket/runs",
    "run": "a-run",
    "inputs": {"evaluate": "another-run"},
    "stages": ["infer", "submission"],
    "infer": {"images": "s3://bucket/incoming"},
    "train": {"pretrained": None, "resources": {"pods": 2, "gpus": 8, "deadline_seconds": None}},
    "kubernetes": {
        "namespace": "here",
        "images": {"controller": "registry.test/c@sha256:00", "train": "registry.test/t@sha256:11"},
        "image_pull_policy": "Always",
        "image_pull_secrets": ["registry"],
        "service_account": "bucket-user",
        "credentials": "storage",
        "env": {"AWS_ENDPOINT_URL": "http://s3.test:7070", "HF_ENDPOINT": "http://hub.test", "PLAIN": "yes"},
        "models": "models",
        "models_path": "/mnt/models",
        "cache": "cache",
        "node_selector": {"pool": "any", "zone": "a"},
        "tolerations": [{"key": "spot", "operator": "Exists"}],
        "priority_class": "low",
    },
    "chart": {
        "controller": {
            "service_account": "starter",
            "node_selector": {"pool": "small"},
            "tolerations": [{"key": "spot", "operator": "Exists"}, {"key": "small", "value": "1"}],
            "priority_class": "high",
        },
        "network_policy": {"ports": [443, 9000], "extra_egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]},
        "service_account_annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/r"},
    },
}
SETS: dict[str, Object] = {
    "smallest": SMALLEST,
    "everything": EVERYTHING,
    "gang": {**SMALLEST, "train": {"resources": {"pods": 4}}},
    "identity": {**SMALLEST, "chart": {"service_account_annotations": {"iam.gke.io/gcp-service-account": "a@b"}}},
    "open": {**SMALLEST, "chart": {"network_policy": {"enabled": False}}},
}

every_chart = pytest.mark.parametrize("chart", NAMES)
every_set = pytest.mark.parametrize("values", SETS.values(), ids=SETS)


def only(kind: str, objects: list[Object], **labelled: str) -> Object:
    (found,) = (
        one
        for one in objects
        if one["kind"] == kind and labelled.items() <= {k[-9:]: v for k, v in one["metadata"]["labels"].items()}.items()
    )
    return found


def pods(objects: list[Object]) -> list[Object]:
    """The specifications of all Pods that come from these objects: the controller's and the test's."""
    found = []
    for one in objects:
        if one["kind"] == "Pod":
            found.append(one["spec"])
        elif one["kind"] == "Job":
            found.append(one["spec"]["template"]["spec"])
        elif one["kind"] == "CronJob":
            found.append(one["spec"]["jobTemplate"]["spec"]["template"]["spec"])
    return found


def job_spec(objects: list[Object]) -> Object:
    spec: Object = next(one["spec"] for one in objects if one["kind"] in ("Job", "CronJob"))
    return spec["jobTemplate"]["spec"] if "jobTemplate" in spec else spec


def laid_over(below: Object, above: Object) -> Object:
    merged = copy.deepcopy(below)
    for name, value in above.items():
        here = merged.get(name)
        merged[name] = laid_over(here, value) if isinstance(here, dict) and isinstance(value, dict) else value
    return merged
