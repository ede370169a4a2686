"""Every image in a real Pod, as a cluster that enforces the restricted Pod Security Standard runs it."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from images.context import CONTROLLER, ROOT
from jobs.catalog import STAGES, stage_named
from jobs.errors import BAD_CONFIGURATION, OK, TRY_AGAIN
from jobs.runtime.environment import TASK_VARIABLE
from jobs.runtime.task_description import TaskDescription
from tests.cluster.conftest import Cluster
from tests.waiting import wait_for

NAMES = [*(spec.name for spec in STAGES), CONTROLLER]
WITHOUT_TORCH = ("collect", "submission", CONTROLLER)
FIRST_PULL = 600.0  # seconds; a node unpacks torch's 6 GB once, in a minute or two

# Runs in the Pod instead of the entry point, and prints what it sees there.
LOOK = """
import importlib, importlib.util, json, os, pathlib, sys
def writable(folder):
    try:
        (pathlib.Path(folder) / "probe").write_text("")
    except OSError:
        return False
    return True
importlib.import_module(sys.argv[1])
suffixes = {".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".onnx", ".h5", ".gguf", ".msgpack"}
files = [pathlib.Path(at) / name for top in ("app", "opt", "home", "srv", "var", "cache") for at, _, names in os.walk(f"/{top}") for name in names]
print(json.dumps({
    "user": [os.getuid(), os.getgid()],
    "writable": [folder for folder in ("/", "/app", "/opt/venv", "/cache", "/tmp") if writable(folder)],
    "torch": importlib.util.find_spec("torch") is not None,
    "licence": pathlib.Path("/app/LICENSE").is_file(),
    "weights": [str(file) for file in files if file.suffix in suffixes and file.stat().st_size > 1_000_000],
    "uncompiled": [str(file) for file in files if file.suffix == ".py" and str(file).startswith("/app/")
                   and not pathlib.Path(importlib.util.cache_from_source(str(file))).exists()],
}))
"""  # noqa: E501


@dataclass(frozen=True)
class Ended:
    """How a container ended, and what it wrote."""

    code: int
    log: str

    def seen(self) -> dict[str, Any]:
        """What LOOK printed."""
        assert self.code == OK, self.log
        found: dict[str, Any] = json.loads(self.log.splitlines()[-1])
        return found


@pytest.fixture(scope="module")
def space(cluster: Cluster) -> Iterator[str]:
    """A namespace for this module, restricted."""
    name = f"i2p-images-{uuid.uuid4().hex[:8]}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.apply(name, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def ended(cluster: Cluster, images: Mapping[str, str], space: str) -> dict[str, Ended]:
    """A Pod of each image, all at once: `NAME/look` runs LOOK, `NAME/bare` the entry point without a task."""
    for name in NAMES:
        module = "pipeline.__main__" if name == CONTROLLER else f"jobs.{stage_named(name).package}.worker"
        look = container("look", images[name], command=["python", "-c", LOOK, module])
        bare = container("bare", images[name], **({"args": ["--help"]} if name == CONTROLLER else {}))
        cluster.apply(space, pod(name, look, bare))
    for name in NAMES:
        wait_for_phase(cluster, space, name, "Succeeded", "Failed")
    return {f"{name}/{part}": outcome(cluster, space, name, part) for name in NAMES for part in ("look", "bare")}


@pytest.mark.parametrize("name", NAMES)
def test_an_image_imports_its_worker_as_an_unprivileged_user_on_a_read_only_root(
    name: str, ended: dict[str, Ended]
) -> None:
    seen = ended[f"{name}/look"].seen()
    assert seen["user"] == [65532, 65532]
    assert seen["writable"] == ["/cache", "/tmp"]  # noqa: S108
    assert seen["uncompiled"] == []


@pytest.mark.parametrize("name", NAMES)
def test_an_image_carries_torch_only_where_it_is_needed_and_weights_nowhere(name: str, ended: dict[str, Ended]) -> None:
    seen = ended[f"{name}/look"].seen()
    assert seen["torch"] == (name not in WITHOUT_TORCH)
    assert seen["weights"] == []


@pytest.mark.parametrize("name", NAMES)
def test_an_image_carries_the_licence_of_its_code(name: str, ended: dict[str, Ended]) -> None:
    assert ended[f"{name}/look"].seen()["licence"] == (ROOT / "LICENSE").is_file()


@pytest.mark.parametrize("name", [spec.name for spec in STAGES])
def test_an_image_without_a_task_says_so_and_asks_for_no_retry(name: str, ended: dict[str, Ended]) -> None:
    bare = ended[f"{name}/bare"]
    assert bare.code == BAD_CONFIGURATION
    assert TASK_VARIABLE in bare.log


def test_the_controllers_image_runs_the_command(ended: dict[str, Ended]) -> None:
    assert ended[f"{CONTROLLER}/bare"].code == OK
    assert "usage: i2p" in ended[f"{CONTROLLER}/bare"].log


def test_sigterm_reaches_the_worker_which_ends_at_once_and_may_be_retried(
    cluster: Cluster, images: Mapping[str, str], space: str
) -> None:
    endless = {"kind": "grammar", "name": "grammar", "num_prompts": 1_000_000_000}
    task = TaskDescription(
        store="/cache/store", run="endless", stage="collect", params={"sources": [endless]}, inputs={}, completions=1
    )
    environment = [{"name": TASK_VARIABLE, "value": task.to_variable()}]
    cluster.apply(space, pod("endless", container("worker", images["collect"], env=environment)))
    wait_for(lambda: '"started"' in cluster.kubectl("logs", "endless", namespace=space, check=False), FIRST_PULL)
    asked = time.monotonic()
    cluster.kubectl("exec", "endless", "--", "sh", "-c", "kill -TERM 1", namespace=space)
    wait_for_phase(cluster, space, "endless", "Failed")
    assert time.monotonic() - asked < 25  # a grace period that runs out takes 30
    worker = outcome(cluster, space, "endless", "worker")
    assert worker.code == TRY_AGAIN
    assert "asked to stop by SIGTERM" in worker.log


def pod(name: str, *containers: dict[str, Any]) -> dict[str, Any]:
    """A Pod that runs its containers once, with the two writable folders that the images expect."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": list(containers),
            "volumes": [{"name": name, "emptyDir": {}} for name in ("cache", "tmp")],
        },
    }


def container(name: str, image: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "image": image,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": name, "mountPath": f"/{name}"} for name in ("cache", "tmp")],
        **more,
    }


def outcome(cluster: Cluster, space: str, name: str, part: str) -> Ended:
    status = json.loads(cluster.kubectl("get", "pod", name, "-o", "json", namespace=space))["status"]
    (state,) = [found["state"] for found in status["containerStatuses"] if found["name"] == part]
    return Ended(state["terminated"]["exitCode"], cluster.kubectl("logs", name, "-c", part, namespace=space))


def wait_for_phase(cluster: Cluster, space: str, name: str, *phases: str) -> None:
    phase = ("get", "pod", name, "-o", "jsonpath={.status.phase}")
    wait_for(lambda: cluster.kubectl(*phase, namespace=space) in phases, FIRST_PULL, f"{name} to be {phases}")
