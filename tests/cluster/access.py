"""Which Kubernetes cluster the tests of this folder use, or why they use none: the one module that decides that.

In this order: the cluster of KUBECONFIG, when all of GIVEN are set; the one that the script of ../shared starts, with
root on Debian; one that `kind` makes for the session. Where there is none of these, every test is skipped for the same
reason, which says what to set or install.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.cluster import kind
from tests.shared_folder import CLUSTER, cluster_settings, state_folder, whole_cluster_runs
from tests.sharing import in_use

_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
GIVEN = ("KUBECONFIG", "REGISTRY", "S3_ENDPOINT", "S3_ENDPOINT_IN_PODS", *_KEYS)
_BRIDGE_ADDRESS = Path("/sys/class/net/cni0/address")
DISK = 40  # GiB, for the images, with torch on two nodes


@dataclass(frozen=True)
class Access:
    """How to use a running cluster: its variables, among them GIVEN, and whether parts of it can be stopped."""

    variables: dict[str, str]
    can_be_disturbed: bool


Way = Callable[[], AbstractContextManager[Access]]


def choose(models: Path) -> Way | str:
    """How to get at a cluster, or the reason why there is none; nodes need the folder `models` at the same path."""
    if os.environ.get("KUBECONFIG") and os.environ.get("REGISTRY"):
        return _given
    why_not_shared, why_not_kind = _lacks_for_shared(), kind.lacks()
    if not why_not_shared:
        return _shared
    if not why_not_kind:
        return partial(_kind, models)
    unset = ", ".join(name for name in GIVEN if not os.environ.get(name))
    return (
        "a Kubernetes cluster with two nodes, a registry and an S3 server is required; give one by setting "
        f"{', '.join(GIVEN)} (not set: {unset}), or install kind, docker and kubectl ({why_not_kind}), or lay the "
        f"test cluster's script at {CLUSTER} ({why_not_shared})"
    )


def _given() -> AbstractContextManager[Access]:
    if unset := [name for name in GIVEN if not os.environ.get(name)]:
        raise RuntimeError(f"with KUBECONFIG and REGISTRY all of {', '.join(GIVEN)} are required; set {unset} as well")
    return nullcontext(Access({name: os.environ[name] for name in GIVEN}, can_be_disturbed=False))


def _lacks_for_shared() -> str:
    if not CLUSTER.exists():
        return "it is not there"
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return "it needs root on Debian"
    free = shutil.disk_usage(Path.home()).free >> 30
    if free < DISK and not (state_folder() / "registry" / "docker").exists():
        return f"it needs {DISK} GiB of disk for the images, and {free} GiB are free"
    return ""


@contextmanager
def _shared() -> Iterator[Access]:
    with in_use("cluster", _start_shared, _stop_shared):
        yield Access(cluster_settings(), can_be_disturbed=True)


def _start_shared() -> bool:
    stood_still = not whole_cluster_runs()
    subprocess.run([CLUSTER, "up", "2"], check=True, capture_output=True, timeout=600)
    _fix_bridge_address()
    return stood_still


def _fix_bridge_address() -> None:
    """Let the bridge of the Pods keep the hardware address it has; by default a bridge takes the lowest of its ports'.

    With each change running Pods reached neither DNS nor the S3 server for 20 s or more: of 58 Pods that were deleted
    beside others that started, 5 could not leave the reason for their end.
    """
    address = _BRIDGE_ADDRESS.read_text().strip()
    subprocess.run(["ip", "link", "set", "cni0", "address", address], check=True, capture_output=True, timeout=30)


def _stop_shared() -> None:
    subprocess.run([CLUSTER, "down"], check=True, capture_output=True, timeout=300)  # the registry's images stay


@contextmanager
def _kind(models: Path) -> Iterator[Access]:
    with kind.running(models) as variables:
        yield Access(variables, can_be_disturbed=False)
