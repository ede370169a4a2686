"""What the charts render: valid, restricted, with the rights that are used and the connections that are needed."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate
import pytest

from jobs.infer.stage import INFER
from pipeline.configuration.run_config import load_config
from pipeline.executors.kubernetes import labels, manifests
from pipeline.executors.kubernetes.pod import container_security, pod_security
from tests.charts import (
    CHARTS,
    EVERYTHING,
    SETS,
    SMALLEST,
    VERSIONS,
    Object,
    every_chart,
    every_set,
    job_spec,
    only,
    pods,
)


@every_chart
@every_set
def test_lint_has_nothing_to_say(chart: str, values: Object) -> None:
    report = helm_python.lint(CHARTS / chart, values, strict=True, kube_version="v1.33.0")
    assert not report["errors"]
    assert [one["error"] for one in report["messages"]] == ["icon is recommended"]


@every_chart
@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_valid_for_every_version(render: Any, chart: str, version: str) -> None:
    different = {json.dumps(one): one for values in SETS.values() for one in render(chart, values)}
    for one in different.values():
        kubernetes_validate.validate(one, version, strict=True)


@every_chart
@every_set
def test_every_pod_is_as_restricted_as_a_stages(render: Any, chart: str, values: Object) -> None:
    found = pods(render(chart, values))
    assert len(found) == 2
    for pod in found:
        (container,) = pod["containers"]
        assert pod["securityContext"] == pod_security()
        assert container["securityContext"] == container_security()
        assert not any("hostPath" in volume for volume in pod["volumes"])
        mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        assert {"/tmp", "/cache", "/etc/image-to-prompts"} <= mounts.keys()  # noqa: S108 - a volume of the Pod's own
        assert set(mounts.values()) == volumes.keys()
        assert "emptyDir" in volumes["tmp"]


@every_chart
@every_set
def test_the_controller_has_the_rights_it_uses_and_no_other(render: Any, chart: str, values: Object) -> None:
    objects = render(chart, values)
    granted = {
        (group, resource, *rule.get("resourceNames", ()), verb)
        for rule in only("Role", objects)["rules"]
        for group, resource, verb in itertools.product(rule["apiGroups"], rule["resources"], rule["verbs"])
    }
    expected: set[tuple[str, ...]] = {("batch", "jobs", one) for one in ("create", "delete", "list", "patch", "watch")}
    expected.add(("", "pods", "list"))
    if chart == "training-run":
        expected.add(("", "configmaps", "rel", "get"))
        if values.get("train", {}).get("resources", {}).get("pods", 1) > 1:
            expected |= {("", "services", "create"), ("", "services", "patch")}
    assert granted == expected
    (subject,) = only("RoleBinding", objects)["subjects"]
    assert {pod["serviceAccountName"] for pod in pods(objects)} == {subject["name"]}
    assert not {"ClusterRole", "ClusterRoleBinding", "Secret"} & {one["kind"] for one in objects}


@every_chart
def test_stages_have_an_account_without_rights_or_token(render: Any, chart: str) -> None:
    objects = render(chart, SMALLEST)
    account = only("ServiceAccount", objects, component="stages")
    assert account["automountServiceAccountToken"] is False
    assert account["metadata"]["name"] not in json.dumps(only("RoleBinding", objects))
    assert not [one for one in render(chart, EVERYTHING) if one["kind"] == "ServiceAccount"], "existing ones are used"


@every_chart
def test_secrets_are_only_named(render: Any, chart: str) -> None:
    for pod in pods(render(chart, EVERYTHING)):
        (container,) = pod["containers"]
        assert container["envFrom"] == [{"secretRef": {"name": "storage"}}]
        assert pod["imagePullSecrets"] == [{"name": "registry"}]
        assert not [one for one in container["env"] if "secretKeyRef" in one.get("valueFrom", {})]


@every_chart
def test_the_controller_goes_where_stages_go_and_where_it_is_reported(render: Any, chart: str) -> None:
    for pod in pods(render(chart, EVERYTHING)):
        assert pod["nodeSelector"] == {"pool": "small", "zone": "a"}
        assert [one["key"] for one in pod["tolerations"]] == ["spot", "small"]
        assert pod["priorityClassName"] == "high"


@every_chart
def test_planning_sees_what_stages_see(render: Any, chart: str) -> None:
    for pod in pods(render(chart, EVERYTHING)):
        (container,) = pod["containers"]
        noted = {one["name"]: one.get("value") for one in container["env"]}
        assert EVERYTHING["kubernetes"]["env"].items() <= noted.items()
        assert {"name": "models", "mountPath": "/mnt/models", "readOnly": True} in container["volumeMounts"]
        claims = {one["name"]: one["persistentVolumeClaim"] for one in pod["volumes"] if "persistentVolumeClaim" in one}
        assert claims == {"models": {"claimName": "models", "readOnly": True}, "cache": {"claimName": "cache"}}


@pytest.mark.parametrize(("chart", "command"), [("training-run", "run"), ("scheduled-inference", "batch")])
def test_the_controller_knows_its_own_job(render: Any, chart: str, command: str) -> None:
    spec = job_spec(render(chart, SMALLEST))
    (container,) = spec["template"]["spec"]["containers"]
    assert container["args"] == [command, "--preset", "/etc/image-to-prompts/run.yaml"]
    noted = {one["name"]: one.get("value") or one["valueFrom"]["fieldRef"]["fieldPath"] for one in container["env"]}
    assert noted.pop("I2P_INVOCATION") == "metadata.labels['batch.kubernetes.io/controller-uid']"
    assert noted.pop("I2P_JOB_NAME") == f"metadata.labels['{labels.JOB_NAME}']"
    assert noted == ({"I2P_OWNER_CONFIG_MAP": "rel"} if chart == "training-run" else {})


@every_chart
def test_only_what_a_restart_cannot_fix_ends_the_controller(render: Any, chart: str) -> None:
    spec = job_spec(render(chart, SMALLEST))
    disrupted, fatal = spec["podFailurePolicy"]["rules"]
    assert (disrupted["action"], disrupted["onPodConditions"][0]["type"]) == ("Ignore", labels.DISRUPTED)
    assert (fatal["action"], fatal["onExitCodes"]["values"]) == ("FailJob", [65, 78])
    assert spec["backoffLimit"] == 6
    assert fatal["onExitCodes"]["containerName"] == spec["template"]["spec"]["containers"][0]["name"]


@every_chart
def test_no_pod_of_the_chart_is_taken_for_a_stages(render: Any, chart: str) -> None:
    for one in render(chart, SMALLEST):
        if one["kind"] != "NetworkPolicy":
            assert labels.RUN not in one["metadata"]["labels"]
            assert one["metadata"]["labels"][labels.MANAGED_BY] != labels.MANAGER
    assert labels.RUN not in job_spec(render(chart, SMALLEST))["template"]["metadata"]["labels"]


def test_the_cron_job_never_overlaps_and_never_stops(render: Any) -> None:
    values = {**SMALLEST, "chart": {"schedule": "@hourly", "time_zone": "Europe/Berlin", "suspend": True}}
    spec = only("CronJob", render("scheduled-inference", values))["spec"]
    assert spec["concurrencyPolicy"] == "Forbid"
    assert (spec["schedule"], spec["timeZone"], spec["suspend"]) == ("@hourly", "Europe/Berlin", True)
    assert spec["startingDeadlineSeconds"] / 60 < 100, "no schedule fires more often than once a minute"


@every_chart
def test_the_network_lets_through_what_is_needed(render: Any, chart: str) -> None:
    objects = render(chart, EVERYTHING)
    stages, controller = (only("NetworkPolicy", objects, component=one)["spec"] for one in ("stages", "controller"))

    def ports(policy: Object) -> set[int]:
        return {port["port"] for rule in policy["egress"] for port in rule.get("ports", ())}

    assert ports(stages) == {53, 80, 443, 7070, 9000}
    assert ports(controller) == ports(stages) | {6443}
    assert controller["ingress"] == []
    (extra,) = EVERYTHING["chart"]["network_policy"]["extra_egress"]
    assert extra in stages["egress"]
    assert extra in controller["egress"]
    chosen = controller["podSelector"]
    for labelled in (job_spec(objects)["template"]["metadata"]["labels"], only("Pod", objects)["metadata"]["labels"]):
        assert chosen["matchLabels"].items() <= labelled.items()
        assert labelled[labels.COMPONENT] in chosen["matchExpressions"][0]["values"]


def chosen_by(selector: Object, labelled: Mapping[str, str]) -> bool:
    """Whether a selector with the operators In and NotIn chooses what has these labels."""
    return selector["matchLabels"].items() <= labelled.items() and all(
        (labelled.get(one["key"]) in one["values"]) == (one["operator"] == "In")
        for one in selector.get("matchExpressions", ())
    )


@every_chart
def test_the_network_s_rules_are_for_the_release_s_stages(render: Any, tmp_path: Path, chart: str) -> None:
    objects = render(chart, EVERYTHING)
    policy = only("NetworkPolicy", objects, component="stages")["spec"]
    (tmp_path / "run.yaml").write_text(only("ConfigMap", objects)["data"]["run.yaml"])
    cluster = load_config(str(tmp_path / "run.yaml")).kubernetes
    pods = (
        cluster.labels
        | manifests.run_labels("0123456789abcdef", "nightly-20261122-0300")
        | {labels.COMPONENT: INFER.name}
    )
    assert chosen_by(policy["podSelector"], pods)
    assert not chosen_by(policy["podSelector"], pods | {"app.kubernetes.io/instance": "another"})
    assert not chosen_by(policy["podSelector"], job_spec(objects)["template"]["metadata"]["labels"])


def test_the_pods_of_a_training_world_talk_to_each_other_and_those_of_a_batch_to_nobody(render: Any) -> None:
    policy = only("NetworkPolicy", render("training-run", EVERYTHING), component="stages")["spec"]
    each_other = [{"podSelector": policy["podSelector"]}]
    assert policy["ingress"] == [{"from": each_other}]
    assert {"to": each_other} in policy["egress"]
    policy = only("NetworkPolicy", render("scheduled-inference", EVERYTHING), component="stages")["spec"]
    assert policy["ingress"] == []
    assert not any("podSelector" in json.dumps(rule) for rule in policy["egress"])


@every_chart
def test_the_network_can_be_left_alone(render: Any, chart: str) -> None:
    assert "NetworkPolicy" not in {one["kind"] for one in render(chart, SETS["open"])}
