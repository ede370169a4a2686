"""The small pipeline on a cluster: its configuration, the volume with the embedding model, and what a run left."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from jobs.catalog import STAGES
from jobs.shards.dataset import load_manifest
from jobs.shards.local import LocalStore
from jobs.shards.store import Store
from tests.cluster.conftest import OTHERWISE, SECRET, Cluster, model_folder
from tests.e2e.runs import PRESET, RUN

NAMES = [spec.name for spec in STAGES]
CLAIM = "models"
SMALL = {"cpus": "100m", "memory": "1500Mi", "scratch": "1Gi", "shared_memory": "64Mi", "grace_seconds": 20}
STAGES_WITH_MORE = {"embed": {"parallelism": 2}, "generate-images": {"parallelism": 2}, "infer": {"parallelism": 2}}


def provide_models(cluster: Cluster, namespace: str) -> None:
    """A volume claim with the model, as an administrator would make one."""
    name = f"{namespace}-models"
    size = {"storage": "1Gi"}
    volume = {
        "capacity": size,
        "accessModes": ["ReadOnlyMany"],
        "hostPath": {"path": str(model_folder())},
        "storageClassName": "",
        "claimRef": {"namespace": namespace, "name": CLAIM},
        "persistentVolumeReclaimPolicy": "Retain",
    }
    claim = {
        "accessModes": ["ReadOnlyMany"],
        "storageClassName": "",
        "volumeName": name,
        "resources": {"requests": size},
    }
    cluster.apply(
        namespace,
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": volume},
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": CLAIM}, "spec": claim},
    )


def configuration(
    cluster: Cluster, namespace: str, store: Store, images: Mapping[str, str], **changes: Any
) -> dict[str, Any]:
    """The small preset as it runs on the cluster; `changes` are laid over it by stage."""
    values: dict[str, Any] = yaml.safe_load(Path(PRESET).read_text())
    for stage, section in values.items():
        if isinstance(section, dict):
            section["resources"] = SMALL | STAGES_WITH_MORE.get(stage, {})
    values["submission"] = {"resources": SMALL}
    for parameter, value in OTHERWISE.items():
        stage, _, name = parameter.partition(".")
        values[stage][name] = value
    values |= {
        "run": RUN,
        "store": store.url,
        "executor": "kubernetes",
        "kubernetes": {
            "namespace": namespace,
            "images": dict(images),
            "credentials": SECRET,
            "models": CLAIM,
            "models_path": str(model_folder()),
            "env": {"AWS_ENDPOINT_URL": cluster.endpoint_in_pods, "AWS_DEFAULT_REGION": "us-east-1"},
        },
    }
    for name, change in changes.items():
        package = name.replace("_", "-")
        values[package] = {**values.get(package, {}), **change} if isinstance(change, dict) else change
    return values


def digests(run: Store) -> dict[str, str]:
    """The digest of every stage's manifest of a run in a bucket."""
    found = {spec.name: load_manifest(run.at(spec.name)) for spec in STAGES}
    return {name: manifest.digest for name, manifest in found.items() if manifest}


def copy_run(
    local: Path, store: Store, name: str, *, stages: Collection[str] = NAMES, unpublished: Collection[str] = ()
) -> None:
    """Put a local run's datasets into a bucket, as a run of any name; some stages only without their manifest."""
    source, target = LocalStore(local / RUN), store.at(name)
    for stat in source.list(""):
        stage, _, rest = stat.name.partition("/")
        left_out = rest.startswith("logs/") or (stage in unpublished and rest == "manifest.json")
        if stage in stages and not left_out:
            target.create(stat.name, source.read(stat.name).data)
