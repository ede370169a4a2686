"""What the folder ../shared adds to the tests where it lies beside this one: a script with servers, and more data.

Nothing here is required: tests run on what the repository and its packages hold, and ../shared only adds parameters.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from functools import cache
from pathlib import Path

SHARED = Path(__file__).resolve().parents[2] / "shared"
CLUSTER = SHARED / "kube" / "cluster"
"""The script that starts a Kubernetes cluster and two S3 servers on this machine."""

_S3_SERVERS = ("s3", "seaweed")


@cache
def cluster_settings() -> dict[str, str]:
    """The variables of the script's servers: KUBECONFIG, REGISTRY, S3_ENDPOINT, AWS_* and others."""
    lines = subprocess.run([CLUSTER, "env"], check=True, capture_output=True, text=True).stdout
    words = shlex.split(lines.replace("$PATH", os.environ["PATH"]))
    return dict(word.split("=", 1) for word in words if "=" in word)


def whole_cluster_runs() -> bool:
    """Whether more of the script's cluster runs than its S3 servers."""
    pids = [path for path in (state_folder() / "run").glob("*.pid") if path.stem not in _S3_SERVERS]
    return any(Path("/proc", *path.read_text().split()[:1]).exists() for path in pids if path.read_text().strip())


def state_folder() -> Path:
    """Where the script keeps its state."""
    return Path(os.environ.get("TEST_CLUSTER_STATE") or Path.home() / ".cache" / "test-cluster")
