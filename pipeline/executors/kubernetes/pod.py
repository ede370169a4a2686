"""The one description of a Pod, which stages and the controller share.

`pod_spec` takes its values from one of two sources. `Configured` (pod_sources.py) holds them, which gives the manifest
of a stage's Pod. `Expressions` (pipeline/charts/expressions.py) has expressions of Helm for what only an installation
knows, which gives the template of the controller's Pod. So a new option is a field of `Kubernetes` or `Placement`
(pipeline/configuration/resources.py), one line here, and `make charts`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.configuration.resources import Kubernetes
from pipeline.executors.kubernetes import labels
from pipeline.executors.kubernetes.pod_sources import KubernetesObject, Source

USER = 65532  # of every image; numeric, so that the kubelet can prove that it is not root


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A volume of a Pod, mounted into its one container."""

    name: str
    path: str
    holds: KubernetesObject  # the kind of volume with its fields, as in {"emptyDir": {...}}
    read_only: bool = False

    def volume(self) -> KubernetesObject:
        """As an entry of `volumes`."""
        return {"name": self.name, **self.holds}

    def mount(self) -> KubernetesObject:
        """As an entry of `volumeMounts`."""
        return {"name": self.name, "mountPath": self.path, **({"readOnly": True} if self.read_only else {})}


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """In what a stage's Pod and the controller's differ. Its values may be expressions as well."""

    container: str
    image: str
    service_account: str
    api_token: bool  # whether the service account's token is mounted
    variables: Mapping[str, str] = field(default_factory=dict)  # they replace configured ones of the same name
    env: Sequence[KubernetesObject] = ()  # further entries, after the variables
    devices: Mapping[str, str] = field(default_factory=dict)  # GPUs, by the name of the resource
    tolerations: Sequence[KubernetesObject] = ()
    volumes: Sequence[Volume] = ()
    fields: KubernetesObject = field(default_factory=dict)  # of the Pod
    container_fields: KubernetesObject = field(default_factory=dict)


def pod_spec(source: Source, variant: Variant) -> KubernetesObject:
    """The specification of a Pod with one container."""
    cluster, size = source.cluster, source.size
    return {
        "restartPolicy": "Never",
        "serviceAccountName": variant.service_account,
        "automountServiceAccountToken": variant.api_token,
        "enableServiceLinks": False,
        "securityContext": pod_security(),
        **source.optional(
            priorityClassName=source.either(size.priority_class, cluster.priority_class),
            nodeSelector=source.merged(cluster.node_selector, size.node_selector),
            tolerations=source.joined(cluster.tolerations, size.tolerations, variant.tolerations),
        ),
        **source.when(
            cluster.image_pull_secrets,
            {"imagePullSecrets": source.each(cluster.image_pull_secrets, lambda name: {"name": name})},
        ),
        **variant.fields,
        "containers": [_container(source, variant)],
        "volumes": [
            *(one.volume() for one in _volumes(source, variant)),
            *source.when(cluster.models, [_models(cluster).volume()]),
        ],
    }


def pod_security() -> KubernetesObject:
    """What the Pod Security Standard "restricted" asks of a Pod; a group, so that volumes can be written to."""
    return {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security() -> KubernetesObject:
    """What it asks of a container, and a root file system that nobody writes to."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def field_variable(name: str, path: str) -> KubernetesObject:
    """An environment variable that holds a field of its Pod."""
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def failure_policy(
    container: str, *, ignore: Sequence[int] = (), fail_job: Sequence[int] = (), fail_index: Sequence[int] = ()
) -> KubernetesObject:
    """What the exit codes (jobs/errors.py) of a Job's Pods mean; the first rule that matches counts.

    The condition comes first: a preempted Pod may end with any code, and 137 says nothing.
    """
    actions = {"Ignore": ignore, "FailJob": fail_job, "FailIndex": fail_index}
    return {
        "rules": [
            {"action": "Ignore", "onPodConditions": [{"type": labels.DISRUPTED, "status": "True"}]},
            *(
                {"action": action, "onExitCodes": {"containerName": container, "operator": "In", "values": [*codes]}}
                for action, codes in actions.items()
                if codes
            ),
        ]
    }


def _container(source: Source, variant: Variant) -> KubernetesObject:
    cluster, size = source.cluster, source.size
    reserved = {"memory": size.memory, "ephemeral-storage": size.scratch, **variant.devices}
    variables = source.merged(cluster.env, variant.variables)
    return {
        "name": variant.container,
        "image": variant.image,
        "imagePullPolicy": cluster.image_pull_policy,
        "env": [*source.items(variables, lambda name, value: {"name": name, "value": value}), *variant.env],
        **source.when(cluster.credentials, {"envFrom": [{"secretRef": {"name": cluster.credentials}}]}),
        "resources": {"requests": {"cpu": size.cpus, **reserved}, "limits": reserved},
        "securityContext": container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            *(one.mount() for one in _volumes(source, variant)),
            *source.when(cluster.models, [_models(cluster).mount()]),
        ],
        **variant.container_fields,
    }


def _volumes(source: Source, variant: Variant) -> list[Volume]:
    """Those that every such Pod has; the root file system is read-only."""
    cluster, scratch = source.cluster, {"emptyDir": {"sizeLimit": source.size.scratch}}
    cache = {
        **source.when(cluster.cache, {"persistentVolumeClaim": {"claimName": cluster.cache}}),
        **source.unless(cluster.cache, scratch),
    }
    return [
        Volume(name="tmp", path="/tmp", holds=scratch),  # noqa: S108 - a volume of the Pod's own
        Volume(name="cache", path="/cache", holds=cache),
        *variant.volumes,
    ]


def _models(cluster: Kubernetes) -> Volume:
    claim = {"claimName": cluster.models, "readOnly": True}
    return Volume(name="models", path=cluster.models_path, holds={"persistentVolumeClaim": claim}, read_only=True)
