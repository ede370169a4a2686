"""The generated templates: the controller's Pod, the variables that it gets, and what its exit codes mean."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from jobs.errors import BAD_CONFIGURATION, BAD_DATA
from jobs.runtime.environment import INVOCATION_VARIABLE, JOB_NAME_VARIABLE, OWNER_VARIABLE
from pipeline.charts.expressions import Block, Expression, Expressions, expressions_of, lines
from pipeline.configuration.chart_values import ControllerPod
from pipeline.configuration.resources import Kubernetes
from pipeline.executors.kubernetes import labels
from pipeline.executors.kubernetes.pod import Variant, Volume, failure_policy, field_variable, pod_spec

CONTROLLER = "controller"  # the name of its container, and of the one image that is no stage's

_HEADER = """\
{{/* Written by `make charts` from pipeline/executors/kubernetes/pod.py and pipeline/charts/pod_template.py. */}}
"""
_POD_SPEC = """\
{{/*
(list root arguments variables): the Pod of one call of `python -m pipeline` with the release's configuration, as the
Pod Security Standard "restricted" has it. It sees what planning needs: the store's credentials and the models.
*/}}
{{- define "i2p.podSpec" -}}
{{- $root := index . 0 -}}
{{- $arguments := index . 1 -}}
{{- $variables := index . 2 -}}
{{- $kubernetes := $root.Values.kubernetes | default dict -}}
{{- $controller := $root.Values.chart.controller -}}
"""
_OWN_VARIABLES = """\
{{/* By which the controller finds its own Job. */}}
{{- define "i2p.ownVariables" -}}
"""
_OWNER_VARIABLES = """\
{{/* By which it finds the ConfigMap that owns the stages' Jobs. */}}
{{- define "i2p.ownerVariables" -}}
"""
_FAILURE_POLICY = """\
{{/*
A controller may be killed at any moment and goes on where it was, so its Job starts it again unless its exit code
(jobs/errors.py) says that a retry cannot help.
*/}}
{{- define "i2p.podFailurePolicy" -}}
"""


def text() -> str:
    """The file charts/common/templates/_pod.tpl."""
    own = [
        field_variable(INVOCATION_VARIABLE, f"metadata.labels['{labels.CONTROLLER_UID}']"),
        field_variable(JOB_NAME_VARIABLE, f"metadata.labels['{labels.JOB_NAME}']"),
    ]
    owner = [{"name": OWNER_VARIABLE, "value": Expression(".Release.Name")}]
    definitions: list[tuple[str, dict[str, Any] | list[Any]]] = [
        (_POD_SPEC, _controller_pod()),
        (_OWN_VARIABLES, own),
        (_OWNER_VARIABLES, owner),
        (_FAILURE_POLICY, failure_policy(CONTROLLER, fail_job=(BAD_DATA, BAD_CONFIGURATION))),
    ]
    return "\n".join([_HEADER, *(f"{head}{_joined(lines(body))}{{{{- end -}}}}\n" for head, body in definitions)])


def controller_variant(
    *, image: Any, service_account: Any, release: Any, arguments: Any, env: Sequence[Any]
) -> Variant:
    """What the controller's Pod has of its own; each value may be an expression."""
    config = {"configMap": {"name": release}}
    return Variant(
        container=CONTROLLER,
        image=image,
        service_account=service_account,
        api_token=True,
        env=env,
        volumes=[Volume(name="config", path="/etc/image-to-prompts", holds=config, read_only=True)],
        container_fields={"args": arguments},
    )


def _controller_pod() -> dict[str, Any]:
    cluster, size = expressions_of(Kubernetes, "$kubernetes"), expressions_of(ControllerPod, "$controller")
    variant = controller_variant(
        image=Expression(f"($kubernetes.images | default dict).{CONTROLLER}"),
        service_account=Expression('(include "i2p.controllerAccount" $root)'),
        release=Expression("$root.Release.Name"),
        arguments=Expression("$arguments"),
        env=[Block("range $variables", [Expression(".")])],
    )
    return pod_spec(Expressions(cluster, size), variant)


def _joined(some: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in some)
