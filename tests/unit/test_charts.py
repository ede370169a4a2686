"""The charts: what they refuse, what they render, and that the same file means the same to Helm and to `i2p run`."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate
import pytest
import yaml

from jobs.infer.stage import INFER
from pipeline.configuration import chart_values
from pipeline.configuration.run_config import FullConfig, load_config, presets
from pipeline.executors.kubernetes import labels, manifests
from pipeline.executors.kubernetes.pod import container_security, pod_security

Object = dict[str, Any]

CHARTS = Path(__file__).parents[2] / "charts"
NAMES = list(chart_values.CHARTS)
VERSIONS = ["1.33", "1.34", "1.35", "1.36", "1.37"]

SMALLEST: Object = {
    "store": "s3://bucket/runs",
    "inputs": {"evaluate": "another-run"},
    "infer": {"images": "s3://bucket/incoming"},
    "kubernetes": {"images": {"controller": "registry.test/c@sha256:00"}},
}
EVERYTHING: Object = {
    "preset": "cluster",
    "store": "s3://bucket/runs",
    "run": "a-run",
    "inputs": {"evaluate": "another-run"},
    "stages": ["infer", "submission"],
    "infer": {"images": "s3://bucket/incoming"},
    "train": {"pretrained": None, "resources": {"pods": 2, "gpus": 8, "deadline_seconds": None}},
    "kubernetes": {
        "namespace": "here",
        "images": {"controller": "registry.test/c@sha256:00", "train": "registry.test/t@sha256:11"},
        "image_pull_policy": "Always",
        "image_pull_secrets": ["registry"],
        "service_account": "bucket-user",
        "credentials": "storage",
        "env": {"AWS_ENDPOINT_URL": "http://s3.test:7070", "HF_ENDPOINT": "http://hub.test", "PLAIN": "yes"},
        "models": "models",
        "models_path": "/mnt/models",
        "cache": "cache",
        "node_selector": {"pool": "any", "zone": "a"},
        "tolerations": [{"key": "spot", "operator": "Exists"}],
        "priority_class": "low",
    },
    "chart": {
        "controller": {
            "service_account": "starter",
            "node_selector": {"pool": "small"},
            "tolerations": [{"key": "spot", "operator": "Exists"}, {"key": "small", "value": "1"}],
            "priority_class": "high",
        },
        "network_policy": {"ports": [443, 9000], "extra_egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]},
        "service_account_annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/r"},
    },
}
SETS: dict[str, Object] = {
    "smallest": SMALLEST,
    "everything": EVERYTHING,
    "gang": {**SMALLEST, "train": {"resources": {"pods": 4}}},
    "identity": {**SMALLEST, "chart": {"service_account_annotations": {"iam.gke.io/gcp-service-account": "a@b"}}},
    "open": {**SMALLEST, "chart": {"network_policy": {"enabled": False}}},
}

every_chart = pytest.mark.parametrize("chart", NAMES)
every_set = pytest.mark.parametrize("values", SETS.values(), ids=SETS)


@pytest.fixture(scope="module")
def charts() -> Iterator[dict[str, helm_python.Chart]]:
    loaded = {name: helm_python.Chart.load(CHARTS / name) for name in NAMES}
    yield loaded
    for chart in loaded.values():
        chart.close()


@pytest.fixture
def render(charts: dict[str, helm_python.Chart]) -> Any:
    """render(chart, values, release="rel") -> objects"""

    def rendered(chart: str, values: Object, release: str = "rel") -> list[Object]:
        files = charts[chart].render(values, name=release, namespace="here")
        texts = [text for name, text in files.items() if not name.endswith("NOTES.txt")]
        return [one for text in texts for one in yaml.safe_load_all(text) if one]

    return rendered


def only(kind: str, objects: list[Object], **labelled: str) -> Object:
    (found,) = (
        one
        for one in objects
        if one["kind"] == kind and labelled.items() <= {k[-9:]: v for k, v in one["metadata"]["labels"].items()}.items()
    )
    return found


def pods(objects: list[Object]) -> list[Object]:
    """The specifications of all Pods that come from these objects: the controller's and the test's."""
    found = []
    for one in objects:
        if one["kind"] == "Pod":
            found.append(one["spec"])
        elif one["kind"] == "Job":
            found.append(one["spec"]["template"]["spec"])
        elif one["kind"] == "CronJob":
            found.append(one["spec"]["jobTemplate"]["spec"]["template"]["spec"])
    return found


def job_spec(objects: list[Object]) -> Object:
    spec: Object = next(one["spec"] for one in objects if one["kind"] in ("Job", "CronJob"))
    return spec["jobTemplate"]["spec"] if "jobTemplate" in spec else spec


def laid_over(below: Object, above: Object) -> Object:
    merged = copy.deepcopy(below)
    for name, value in above.items():
        here = merged.get(name)
        merged[name] = laid_over(here, value) if isinstance(here, dict) and isinstance(value, dict) else value
    return merged


# Values


@every_chart
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"train": {"epoch": 3}}, ["/train", "'epoch'"]),
        ({"trian": {"epochs": 3}}, ["'trian'"]),
        ({"train": {"epochs": "three"}}, ["/train/epochs", "integer"]),
        ({"train": {"epochs": 0}}, ["/train/epochs", "1"]),
        ({"train": {"resources": {"gpu": 1}}}, ["/train/resources", "'gpu'"]),
        ({"dedup": {"threshold": 1.5}}, ["/dedup/threshold"]),
        ({"collect": {"sources": [{"kind": "csv", "name": "a", "path": "b", "colum": "c"}]}}, ["sources/0", "'colum'"]),
        ({"collect": {"sources": [{"kind": "csv", "name": "a"}]}}, ["sources/0", "'path'"]),
        ({"collect": {"sources": [{"kind": "cvs", "name": "a"}]}}, ["sources/0/kind", "'csv'"]),
        ({"preset": "clutser"}, ["/preset", "'cluster'"]),
        ({"inputs": {"trian": "other"}}, ["'trian'"]),
        ({"stages": ["trian"]}, ["/stages"]),
        ({"kubernetes": {"credential": "a"}}, ["/kubernetes", "'credential'"]),
        ({"kubernetes": {"env": {"MY_SECRET_KEY": "a"}}}, ["'MY_SECRET_KEY'"]),
        ({"kubernetes": {"env": {"hf_token": "a"}}}, ["'hf_token'"]),
        ({"chart": {"contoller": {}}}, ["/chart", "'contoller'"]),
        ({"chart": {"controller": {"cpus": 1}}}, ["/chart/controller/cpus", "string"]),
        ({"chart": {"controller": {"memory": None}}}, ["/chart/controller", "'memory'"]),
        ({"chart": None}, ["'chart'"]),
        ({"common": {"a": 1}}, ["/common", "'a'"]),
    ],
)
def test_what_is_misspelt_or_of_the_wrong_type_is_refused_by_name(
    render: Any, chart: str, wrong: Object, words: list[str]
) -> None:
    with pytest.raises(helm_python.HelmValuesError) as refused:
        render(chart, laid_over(SMALLEST, wrong))
    assert all(word in str(refused.value) for word in words), refused.value


@pytest.mark.parametrize(("chart", "others"), [("training-run", "schedule"), ("scheduled-inference", "attempt")])
def test_a_charts_own_values_are_not_the_others(render: Any, chart: str, others: str) -> None:
    with pytest.raises(helm_python.HelmValuesError, match=others):
        render(chart, {**SMALLEST, "chart": {others: 1}})


@every_chart
@pytest.mark.parametrize("preset", presets())
def test_every_preset_passes_as_values(charts: dict[str, helm_python.Chart], chart: str, preset: str) -> None:
    values = yaml.safe_load((Path(chart_values.__file__).parent / "presets" / f"{preset}.yaml").read_text())
    charts[chart].validate_schema(charts[chart].merge_values(values))


def test_every_part_of_a_configuration_passes_alone(charts: dict[str, helm_python.Chart]) -> None:
    chart = charts["training-run"]
    whole = FullConfig(run="whole").model_dump(mode="json", by_alias=True)
    chart.validate_schema(chart.merge_values(whole))
    for name, section in whole.items():
        for part in section if isinstance(section, dict) else ():
            chart.validate_schema(chart.merge_values({name: {part: section[part]}}))


@every_chart
@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"store": ""}, "store: required"),
        ({"store": "runs"}, "store: required"),
        ({"kubernetes": {"images": {"controller": ""}}}, "kubernetes.images.controller: required"),
        ({"kubernetes": {"namespace": "there"}}, "the release goes to here"),
    ],
    ids=["no-store", "folder", "no-image", "other-namespace"],
)
def test_what_is_missing_is_asked_for(render: Any, chart: str, values: Object, words: str) -> None:
    with pytest.raises(helm_python.HelmError, match=words):
        render(chart, laid_over(SMALLEST, values))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"infer": {}}, "infer.images: required"),
        ({"infer": {"images": "split:test"}}, "infer.images: required"),
        ({"inputs": {}}, "inputs: required"),
    ],
)
def test_inference_needs_a_network_and_a_folder_where_images_come_in(render: Any, values: Object, words: str) -> None:
    with pytest.raises(helm_python.HelmError, match=words):
        render("scheduled-inference", {**SMALLEST, **values})


# The configuration


@every_chart
@pytest.mark.parametrize("values", [*SETS.values(), *({"preset": name, **SMALLEST} for name in presets())])
def test_the_same_file_means_the_same_to_helm_and_to_i2p(
    render: Any, tmp_path: Path, chart: str, values: Object
) -> None:
    mine = {"run": "rel", **{name: value for name, value in values.items() if name != "chart"}}
    (tmp_path / "my-run.yaml").write_text(yaml.safe_dump(mine))
    config_map = only("ConfigMap", render(chart, values))
    (tmp_path / "run.yaml").write_text(config_map["data"]["run.yaml"])
    forced = {"executor": "kubernetes", "kubernetes.namespace": "here"}
    account = values["kubernetes"].get("service_account", "rel-stages")
    labels = {**values["kubernetes"].get("labels", {}), "app.kubernetes.io/instance": "rel"}
    expected = load_config(
        str(tmp_path / "my-run.yaml"),
        [
            *(f"{name}={value}" for name, value in forced.items()),
            f"kubernetes.service_account={account}",
            f"kubernetes.labels={json.dumps(labels)}",
        ],
    )
    assert load_config(str(tmp_path / "run.yaml")) == expected


@every_chart
def test_null_and_odd_values_reach_the_configuration(render: Any, chart: str) -> None:
    """Helm drops a null together with the chart's default of the same name, so there is none."""
    assert set(yaml.safe_load((CHARTS / chart / "values.yaml").read_text())) == {"chart"}
    odd: dict[str, dict[str, Any]] = {
        "embed": {"revision": None},
        "generate-prompts": {"num_prompts": 10_000_000, "top_k": None},
        "generate-images": {"max_prompts": None, "negative_prompt": "no: {{ braces }}, 'quotes', on\nnor lines"},
        "train": {"learning_rate": 1e-7, "revision": "0" * 39 + "1"},
        "kubernetes": {"env": {"A": "on", "B": "0123", "C": "1e3", "D": "12:30:45", "E": "2026-11-22", "F": ""}},
    }
    found = yaml.safe_load(only("ConfigMap", render(chart, laid_over(SMALLEST, odd)))["data"]["run.yaml"])
    assert float(found["train"].pop("learning_rate")) == odd["train"].pop("learning_rate")
    for section, values in odd.items():
        assert found[section] == laid_over(found[section], values)


@pytest.mark.parametrize("release", ["rel", "a" * 32, "a" * 33, "a" * 53, "a.b", "a-b", "a" * 22 + "." + "b" * 14])
@every_chart
def test_the_run_is_named_for_the_release(render: Any, tmp_path: Path, chart: str, release: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(only("ConfigMap", render(chart, SMALLEST, release))["data"]["run.yaml"])
    run = load_config(str(path)).run
    assert run == release if len(release) <= 32 and "." not in release else len(run) <= 32


# Objects


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


# Names


@every_chart
def test_releases_side_by_side_share_no_name(render: Any, chart: str) -> None:
    longest = "a" * 52
    releases = ["rel", "rel-controller", "rel-stages", "rel.x", "rel-x", longest + "b", longest + "c"]
    seen: dict[tuple[str, str], str] = {}
    for release in releases:
        for one in render(chart, SMALLEST, release):
            assert seen.setdefault((one["kind"], one["metadata"]["name"]), release) == release


@every_chart
@pytest.mark.parametrize("release", ["a" * 53, "a" * 51 + ".b", "a" * 43 + "-" * 9 + "b"])
def test_names_stay_short_enough(render: Any, chart: str, release: str) -> None:
    for one in render(chart, SMALLEST, release):
        name = one["metadata"]["name"]
        assert len(name) <= (52 if one["kind"] == "CronJob" else 63)
        assert name[-1].isalnum() and not name.startswith("-")
        assert all(len(value) <= 63 for value in one["metadata"]["labels"].values())


def name_of_job(render: Any, *changes: Object) -> str:
    values = copy.deepcopy(SMALLEST)
    for change in changes:
        values = laid_over(values, change)
    return str(only("Job", render("training-run", values))["metadata"]["name"])


def test_an_upgrade_without_a_change_keeps_the_controllers_job(render: Any) -> None:
    assert name_of_job(render) == name_of_job(render)
    assert name_of_job(render) == name_of_job(render, {"chart": {"network_policy": {"enabled": False}}})


@pytest.mark.parametrize(
    "change",
    [
        {"preset": "cluster"},
        {"store": "s3://bucket/other"},
        {"run": "other"},
        {"train": {"epochs": 3}},
        {"embed": {"revision": None}},
        {"inputs": {"dedup": "other"}},
        {"kubernetes": {"images": {"controller": "registry.test/c@sha256:22"}}},
        {"kubernetes": {"images": {"train": "registry.test/t@sha256:22"}}},
        {"kubernetes": {"credentials": "other"}},
        {"kubernetes": {"env": {"A": "b"}}},
        {"chart": {"controller": {"memory": "2Gi"}}},
        {"chart": {"attempt": 2}},
    ],
    ids=json.dumps,
)
def test_any_change_makes_another_job(render: Any, change: Object) -> None:
    assert name_of_job(render) != name_of_job(render, change)


# Around an installation


@every_chart
@every_set
def test_helm_test_asks_doctor_as_the_controller(render: Any, chart: str, values: Object) -> None:
    objects = render(chart, values)
    doctor, controller = only("Pod", objects), job_spec(objects)["template"]["spec"]
    assert doctor["metadata"]["annotations"]["helm.sh/hook"] == "test"
    (asked,) = doctor["spec"]["containers"]
    assert asked["args"] == ["doctor", "--preset", "/etc/image-to-prompts/run.yaml"]
    assert asked["image"] == controller["containers"][0]["image"]
    assert doctor["spec"]["serviceAccountName"] == controller["serviceAccountName"]


@every_chart
@every_set
def test_the_notes_name_what_is_there(charts: dict[str, helm_python.Chart], chart: str, values: Object) -> None:
    files = charts[chart].render(values, name="rel", namespace="here")
    notes = files[f"{chart}/templates/NOTES.txt"]
    (workload,) = (
        one
        for name, text in files.items()
        if not name.endswith("NOTES.txt")
        for one in yaml.safe_load_all(text)
        if one and one["kind"] in ("Job", "CronJob")
    )
    assert f"{workload['kind'].lower()}/{workload['metadata']['name']}" in notes
    assert "helm test rel -n here" in notes
    assert "<no value>" not in notes


@every_chart
def test_a_packaged_chart_needs_nothing_beside_it(tmp_path: Path, chart: str) -> None:
    assert [one["status"] for one in helm_python.dependency_list(CHARTS / chart)] in (["ok"], ["unpacked"])
    archive = Path(helm_python.package(CHARTS / chart, destination=tmp_path))
    with helm_python.Chart.load(archive) as packaged, helm_python.Chart.load(CHARTS / chart) as folder:
        assert packaged.render(EVERYTHING, name="rel", namespace="here") == folder.render(
            EVERYTHING, name="rel", namespace="here"
        )
