"""The manifests of a stage: names that hold for whoever looks, the exit contract, gangs, queues, and no secrets."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
import yaml

from jobs.errors import BAD_CONFIGURATION, BAD_DATA, PEER_LOST, BadConfiguration
from jobs.runtime.environment import TASK_VARIABLE
from jobs.runtime.task_description import TaskDescription
from pipeline.cli.manifests_text import NumberQuotingDumper
from pipeline.configuration.resources import Kubernetes, Resources
from pipeline.configuration.run_config import check_config
from pipeline.executors.kubernetes import manifests
from pipeline.planning.job_plan import JobPlan, taking_over

DNS_LABEL = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
LONGEST_PREFIX_OF_A_POD = 58  # Kubernetes cuts the Job's name so that index and five random letters fit into 63
STAGE = "generate-prompts"  # the longest name


def plan(stage: str = STAGE, **changes: Any) -> JobPlan:
    """A Job; values of its task and generation by their names, all others are of its resources."""
    generation = changes.pop("generation", 1)
    known = {"run": "small", "units": None, "completions": 1, "gang": False, "params": {"seed": 1}}
    noted = {name: changes.pop(name, value) for name, value in known.items()}
    task = TaskDescription(store="s3://bucket/runs", stage=stage, inputs={"collect": "0" * 64}, **noted)
    return JobPlan(task=task, generation=generation, resources=Resources.model_validate(changes))


def cluster(**values: Any) -> Kubernetes:
    images = {stage: f"registry.example.com/{stage}:1" for stage in (STAGE, "collect", "train")}
    return Kubernetes.model_validate({"images": images} | values)


def job(one: JobPlan, **values: Any) -> dict[str, Any]:
    return manifests.job(one, cluster(**values))


def pod(one: JobPlan, **values: Any) -> dict[str, Any]:
    found: dict[str, Any] = job(one, **values)["spec"]["template"]["spec"]
    return found


def env(one: JobPlan, **values: Any) -> dict[str, str]:
    (container,) = pod(one, **values)["containers"]
    return {each["name"]: each.get("value", "") for each in container["env"]}


@pytest.mark.parametrize("run", ["a", "r" + "0" * 47, "ab" + "-" * 40 + "cd", "2" * 48, "7"])
def test_a_name_is_a_dns_label_with_any_index_and_leaves_a_pod_s_name_whole(run: Any) -> None:
    name = job(plan(run=run, generation=999))["metadata"]["name"]
    assert DNS_LABEL.fullmatch(f"{name}-9999")
    assert len(f"{name}-9999-") <= LONGEST_PREFIX_OF_A_POD


def test_long_names_of_runs_that_begin_alike_are_kept_apart() -> None:
    one, other = (manifests.job_name(plan(run="r" * 40 + end), cluster()) for end in "ab")
    assert one != other


def test_the_same_work_has_the_same_name_whatever_is_left_of_it_and_however_much_is_done_at_once() -> None:
    names = {
        manifests.job_name(one, cluster())
        for one in (
            plan(),
            plan(completions=7, parallelism=7),
            plan(units=("a", "b"), completions=2, parallelism=64),
            plan(max_disruptions=3),
        )
    }
    assert len(names) == 1


def test_whoever_submits_it_and_wherever_from_the_name_is_the_same() -> None:
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "controller", "uid": "1"}
    mine = manifests.job(plan(), cluster(), invocation="mine", owner=owner)
    yours = manifests.job(plan(), cluster(context="desk", namespace="team"), invocation="yours")
    assert mine["metadata"]["name"] == yours["metadata"]["name"]


@pytest.mark.parametrize(
    ("other", "values"),
    [
        (plan(), {"images": {STAGE: "registry.example.com/generate-prompts:2"}}),
        (plan(params={"seed": 2}), {}),
        (plan(memory="8Gi"), {}),
        (plan(gpus=1), {}),
        (plan(retries=0), {}),
        (plan(max_failed_indexes=5), {}),
        (plan(deadline_seconds=60), {}),
        (plan(node_selector={"pool": "gpu"}), {}),
        (plan(), {"credentials": "storage"}),
        (plan(), {"env": {"A": "b"}}),
        (plan(), {"queue": "team"}),
        (plan(), {"ttl_seconds": 60}),
        (plan(generation=2), {}),
        (replace(plan(), store_label="another"), {}),
    ],
    ids=[
        "image",
        "parameter",
        "memory",
        "GPUs",
        "retries",
        "failed indexes",
        "deadline",
        "nodes",
        "credentials",
        "environment",
        "queue",
        "ttl",
        "generation",
        "store",
    ],
)
def test_anything_that_shapes_the_job_gives_another_name(other: Any, values: Any) -> None:
    assert manifests.job_name(other, cluster(**values)) != manifests.job_name(plan(), cluster())


def test_the_other_runs_to_take_over_from_are_asked_of_workers_and_do_not_name_the_job() -> None:
    one, other = (taking_over(plan(), runs) for runs in (("a", "b"), ("c",)))
    assert manifests.job_name(one, cluster()) == manifests.job_name(other, cluster())
    assert manifests.job_name(one, cluster()) == manifests.job_name(plan(), cluster())
    description = TaskDescription.from_variable(env(one)[TASK_VARIABLE])
    assert description.earlier == ("a", "b")
    assert TaskDescription.from_variable(env(plan())[TASK_VARIABLE]).earlier == ()
    assert '"earlier"' not in env(plan())[TASK_VARIABLE]


def test_two_limits_of_failed_indexes_are_two_jobs_also_when_fewer_indexes_are_left() -> None:
    five, ten = plan(max_failed_indexes=5), plan(max_failed_indexes=10)
    assert manifests.job_name(five, cluster()) != manifests.job_name(ten, cluster())
    assert job(ten)["spec"]["maxFailedIndexes"] == 1, "the API server takes no more than there are indexes"
    assert job(replace(ten, task=ten.task.model_copy(update={"completions": 40})))["spec"]["maxFailedIndexes"] == 10


def test_the_exit_contract_looks_at_disruptions_first_then_at_the_whole_job_then_at_the_index() -> None:
    disrupted, whole, index = job(plan())["spec"]["podFailurePolicy"]["rules"]
    assert disrupted == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    assert (whole["action"], whole["onExitCodes"]["values"]) == ("FailJob", [BAD_CONFIGURATION])
    assert (index["action"], index["onExitCodes"]["values"]) == ("FailIndex", [BAD_DATA])
    (container,) = pod(plan())["containers"]
    assert {rule["onExitCodes"]["containerName"] for rule in (whole, index)} == {container["name"]}


def test_a_job_runs_no_more_at_once_than_it_has_indexes() -> None:
    assert job(plan(completions=3, parallelism=64))["spec"]["parallelism"] == 3
    assert job(plan(completions=100, parallelism=64))["spec"]["parallelism"] == 64


def test_a_gang_has_a_service_of_its_job_s_name_and_is_done_when_its_first_pod_is() -> None:
    gang = job(plan("train", gang=True, completions=2, pods=2, gpus=8))
    name = gang["metadata"]["name"]
    assert manifests.is_gang(gang)
    assert gang["spec"]["parallelism"] == 2
    assert gang["spec"]["maxFailedIndexes"] == 0
    peers = {"action": "Ignore", "onExitCodes": {"containerName": "worker", "operator": "In", "values": [PEER_LOST]}}
    assert peers in gang["spec"]["podFailurePolicy"]["rules"], "why the other one ended is what counts"
    assert peers not in job(plan("collect"))["spec"]["podFailurePolicy"]["rules"]
    assert gang["spec"]["successPolicy"] == {"rules": [{"succeededIndexes": "0"}]}
    assert gang["spec"]["template"]["spec"]["subdomain"] == name
    service = manifests.service(gang, "uid")
    assert service["metadata"]["name"] == name
    assert service["metadata"]["ownerReferences"][0]["uid"] == "uid"
    assert service["spec"]["selector"] == {"batch.kubernetes.io/job-name": name}
    assert service["spec"]["publishNotReadyAddresses"] is True
    noted = env(plan("train", gang=True, completions=2, pods=2, gpus=8))
    host, _, port = noted["I2P_MASTER"].partition(":")
    assert host == f"{name}-0.{name}"
    assert int(port) == service["spec"]["ports"][0]["port"]
    assert noted["I2P_PROCESSES"] == "8"


def test_a_gang_in_one_pod_meets_at_home_and_needs_no_service() -> None:
    one = plan("train", gang=True, gpus=4)
    assert env(one)["I2P_MASTER"].startswith("localhost:")
    assert not manifests.is_gang(job(one))


def test_a_stage_that_is_no_gang_has_neither_master_nor_success_policy() -> None:
    assert "I2P_MASTER" not in env(plan())
    assert "successPolicy" not in job(plan())["spec"]


def test_a_queue_is_a_label_and_suspending_is_left_to_it() -> None:
    queued = job(plan(), queue="team")
    assert queued["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team"
    assert "suspend" not in queued["spec"]
    assert "suspend" not in job(plan())["spec"], "or applying it again would let a paused Job go on"


def test_pods_get_no_token_of_the_api() -> None:
    assert pod(plan(), service_account="with-bucket")["automountServiceAccountToken"] is False


def test_secrets_are_named_and_never_written() -> None:
    found = job(plan(), credentials="storage", image_pull_secrets=["registry"])
    (container,) = found["spec"]["template"]["spec"]["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": "storage"}}]
    assert found["spec"]["template"]["spec"]["imagePullSecrets"] == [{"name": "registry"}]


@pytest.mark.parametrize("name", ["AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "my_password", "AWS_ACCESS_KEY_ID"])
def test_a_variable_that_looks_like_a_secret_is_refused(name: str) -> None:
    with pytest.raises(BadConfiguration, match=r"looks like a secret.*kubernetes\.credentials") as raised:
        check_config({"run": "a", "kubernetes": {"env": {name: "hunter2"}}})
    assert "hunter2" not in str(raised.value)


def test_the_task_s_own_variables_win_over_those_of_the_configuration() -> None:
    assert env(plan(), env={"I2P_TASK": "mine"})["I2P_TASK"] == plan().task.to_variable()


def test_a_stage_without_an_image_is_reported_how_to_get_one() -> None:
    with pytest.raises(BadConfiguration, match=r"kubernetes\.images\.dedup.*make images"):
        job(plan("dedup"))


def test_requests_and_limits_agree_but_for_the_cpu() -> None:
    (container,) = pod(plan(gpus=2, cpus="4"), gpu_resource="amd.com/gpu")["containers"]
    asked, most = container["resources"]["requests"], container["resources"]["limits"]
    assert asked == most | {"cpu": "4"}
    assert most["amd.com/gpu"] == "2"


def test_the_same_toleration_of_stage_and_cluster_stands_once() -> None:
    gpu = {"key": "nvidia.com/gpu", "operator": "Exists"}
    found = pod(plan(tolerations=[gpu]), tolerations=[gpu])["tolerations"]
    assert [one for one in found if one["key"] == "nvidia.com/gpu"] == [gpu]


def test_what_a_stage_says_of_its_nodes_and_priority_goes_before_what_the_cluster_says() -> None:
    one = plan(node_selector={"pool": "gpu"}, priority_class="high")
    found = pod(one, node_selector={"pool": "any", "zone": "a"}, priority_class="low")
    assert found["nodeSelector"] == {"pool": "gpu", "zone": "a"}
    assert found["priorityClassName"] == "high"


def test_a_digest_that_kubectl_would_read_as_a_number_is_quoted() -> None:
    text = yaml.dump({"a": "72e49071", "b": "1234", "c": "small"}, Dumper=NumberQuotingDumper)
    assert text == 'a: "72e49071"\nb: "1234"\nc: small\n'


def test_a_manifest_is_plain_data() -> None:
    for one in (job(plan()), manifests.service(job(plan("train", gang=True, completions=2, pods=2)))):
        assert yaml.safe_load(yaml.safe_dump(one)) == one
