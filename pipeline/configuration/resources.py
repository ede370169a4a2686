"""How large a stage runs, and where: none of it changes what comes out, so none of it is part of a fingerprint."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Quantity = Annotated[str, Field(pattern=r"^\d+(\.\d+)?(m|k|[MGTPE]|[KMGTPE]i)?$")]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]  # of an object of the cluster

LOOKS_SECRET = re.compile(r"SECRET|TOKEN|PASSWORD|ACCESS_KEY|CREDENTIAL", re.IGNORECASE)


class Settings(BaseModel):
    """Frozen values; an unknown name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Toleration(Settings):
    """A taint of nodes that Pods put up with; Kubernetes' own words."""

    key: str | None = None
    operator: Literal["Exists", "Equal"] = "Equal"
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None


class Placement(Settings):
    """Which nodes Pods go to, and whom they give way to."""

    node_selector: dict[str, str] = {}
    """Labels that a node must have."""

    tolerations: tuple[Toleration, ...] = ()
    """Taints that are put up with, for example the one that keeps other work off GPU nodes."""

    priority_class: Name | None = None
    """An existing PriorityClass; null for the cluster's default."""


class Resources(Placement):
    """How large to run a stage. On one machine only parallelism, retries and the deadline count."""

    parallelism: int = Field(default=1, ge=1, le=10_000)
    """Tasks at once."""

    retries: int = Field(default=3, ge=0)
    """How often one index may be tried again after a failure that a retry can fix."""

    deadline_seconds: int | None = Field(default=None, ge=1)
    """The stage fails when it is not done by then."""

    max_failed_indexes: int | None = Field(default=None, ge=0)
    """The stage stops when more indexes than this have failed; null to let all others finish first."""

    max_disruptions: int = Field(default=20, ge=0)
    """How often one index may be preempted, evicted or drained. None of these uses a retry, but one that fills its
    node's disk would otherwise be evicted for ever."""

    pods: int = Field(default=1, ge=1, le=1_000)
    """Pods that work together on one unit as one world of torch.distributed, where the stage can."""

    gpus: int = Field(default=0, ge=0)
    """GPUs of one Pod."""

    cpus: Quantity = "1"
    """CPUs that are reserved for one Pod; it may use more while nobody else needs them."""

    memory: Quantity = "4Gi"
    """Memory of one Pod, reserved and at most; what lies in /dev/shm counts."""

    shared_memory: Quantity = "1Gi"
    """Size of /dev/shm, through which a loader's processes and NCCL exchange data."""

    scratch: Quantity = "20Gi"
    """Disk of one Pod for /tmp and caches, reserved and at most."""

    grace_seconds: int = Field(default=60, ge=1)
    """What a Pod has between SIGTERM and SIGKILL, to finish or to save a checkpoint."""


class Kubernetes(Placement):
    """The cluster that stages run on. Secrets are only ever named here; their values stay in the cluster."""

    context: str | None = None
    """A context of the kubeconfig; null for its current one. Not used inside a cluster."""

    namespace: Name | None = None
    """Where Jobs go; null for the context's namespace, or inside a cluster for the controller's own."""

    images: dict[str, str] = {}
    """The image of each stage, best pinned by digest; `make images` writes them to images/built.yaml."""

    image_pull_policy: Literal["IfNotPresent", "Always"] = "IfNotPresent"
    """When nodes ask the registry."""

    image_pull_secrets: tuple[Name, ...] = ()
    """Existing Secrets with the registry's credentials."""

    service_account: Name = "default"
    """Of stage Pods, for example one that is bound to a cloud identity with access to the bucket. Pods get no token
    of the Kubernetes API, which they never ask."""

    credentials: Name | None = None
    """An existing Secret whose keys become environment variables of workers: AWS_ACCESS_KEY_ID,
    AWS_SECRET_ACCESS_KEY, HF_TOKEN. null where the service account is enough."""

    env: dict[str, str] = {}
    """Plain environment variables of workers, for example AWS_ENDPOINT_URL."""

    labels: dict[str, str] = {}
    """More labels of Jobs and Pods, by which network policies, a cloud's identities or accounts of costs know them."""

    models: Name | None = None
    """An existing PersistentVolumeClaim with models, mounted at `models_path` and only read."""

    models_path: str = Field(default="/models", pattern=r"^/[^:]*[^:/]$")
    """Where Pods see these models. Whoever plans must see the same files there: the controller in the cluster does,
    a desk needs them at the same path."""

    cache: Name | None = None
    """An existing PersistentVolumeClaim (ReadWriteMany) that Pods share as cache of downloaded models; null for an
    empty folder in each Pod."""

    queue: Name | None = None
    """A LocalQueue of Kueue. Kueue then says when Jobs run, and pausing is left to it."""

    gpu_resource: str = "nvidia.com/gpu"
    """The name under which nodes offer their GPUs."""

    node_lost_seconds: int = Field(default=60, ge=0)
    """How long a node may be silent before its Pods are given up. They hang until it answers or `i2p release` says
    that it will not."""

    ttl_seconds: int = Field(default=7 * 86_400, ge=60)
    """How long a finished Job and its Pods stay to be looked at; logs stay in the store anyway."""

    @field_validator("env")
    @classmethod
    def _no_secrets(cls, env: dict[str, str]) -> dict[str, str]:
        for name in env:
            if LOOKS_SECRET.search(name):
                raise ValueError(
                    f"{name} looks like a secret, which would stand in every manifest; put it into a "
                    "Secret of the cluster and name that as kubernetes.credentials"
                )
        return env
