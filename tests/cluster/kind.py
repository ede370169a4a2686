"""A cluster of two nodes that kind makes for the session, with a local registry, and SeaweedFS for its Pods.

Written from kind's documentation ("Local Registry", version 0.29 or newer, for Kubernetes 1.33) and never run: no
machine that this was written on has docker. Expect to correct it on the first that has. The registry's images stay in
a docker volume; everything else is gone after the session.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests import seaweedfs
from tests.sharing import folder_of, in_use

NAME = "i2p-tests"
REGISTRY = "localhost:5001"
_CONTAINER = "i2p-tests-registry"
_PROGRAMS = ("kind", "docker", "kubectl")


def lacks() -> str:
    """What is missing here, nothing if a cluster can be made."""
    if missing := [program for program in _PROGRAMS if not shutil.which(program)]:
        return f"not found: {', '.join(missing)}"
    return "" if _answers("docker", "info") else "docker's daemon does not answer"


@contextmanager
def running(models: Path) -> Iterator[dict[str, str]]:
    """The variables of the cluster, its registry and its S3 server; every node has the folder `models`."""
    kubeconfig = folder_of(NAME) / "kubeconfig"
    with in_use(NAME, partial(_start, kubeconfig, models), _stop), seaweedfs.running(_gateway()) as s3:
        endpoint = s3["AWS_ENDPOINT_URL"]  # the same from here and in Pods: an address of the bridge to the nodes
        yield {
            **s3,
            "KUBECONFIG": str(kubeconfig),
            "REGISTRY": REGISTRY,
            "S3_ENDPOINT": endpoint,
            "S3_ENDPOINT_IN_PODS": endpoint,
        }


def _start(kubeconfig: Path, models: Path) -> bool:
    if NAME in _run("kind", "get", "clusters").split():
        return False
    models.mkdir(exist_ok=True)
    _make_cluster(kubeconfig, models)
    _start_registry()
    for node in _run("kind", "get", "nodes", "--name", NAME).split():
        _point_to_registry(node)
    return True


def _make_cluster(kubeconfig: Path, models: Path) -> None:
    options = ["--name", NAME, "--kubeconfig", str(kubeconfig), "--wait", "180s", "--config", "-"]
    _run("kind", "create", "cluster", *options, text=json.dumps(_config(models)))


def _start_registry() -> None:
    port = REGISTRY.partition(":")[2]
    options = ["--name", _CONTAINER, "--network", "kind", "--publish", f"127.0.0.1:{port}:5000"]
    _run("docker", "run", "--detach", *options, "--volume", f"{_CONTAINER}:/var/lib/registry", "registry:2")


def _point_to_registry(node: str) -> None:
    """What `localhost` is on this machine is the registry's container on a node."""
    hosts = f"/etc/containerd/certs.d/{REGISTRY}"
    target = f'[host."http://{_CONTAINER}:5000"]\n'
    _run("docker", "exec", node, "mkdir", "-p", hosts)
    _run("docker", "exec", "--interactive", node, "cp", "/dev/stdin", f"{hosts}/hosts.toml", text=target)


def _config(models: Path) -> dict[str, object]:
    mounts = [{"hostPath": str(models), "containerPath": str(models), "readOnly": True}]
    no_taints = json.dumps({"kind": "InitConfiguration", "nodeRegistration": {"taints": []}})
    return {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "nodes": [
            {"role": "control-plane", "kubeadmConfigPatches": [no_taints], "extraMounts": mounts},
            {"role": "worker", "extraMounts": mounts},
        ],
    }


def _stop() -> None:
    _run("docker", "rm", "--force", _CONTAINER)
    _run("kind", "delete", "cluster", "--name", NAME)


def _gateway() -> str:
    """This machine's address on the nodes' bridge, of IPv4."""
    (network,) = json.loads(_run("docker", "network", "inspect", "kind"))
    return str(next(one["Gateway"] for one in network["IPAM"]["Config"] if "." in one.get("Gateway", "")))


def _answers(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL).returncode == 0


def _run(*command: str, text: str = "") -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=900)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout
