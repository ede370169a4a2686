"""The cluster client against a real API server: what server-side apply, deletion, paging and RBAC really do."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from jobs.errors import BAD_CONFIGURATION
from pipeline.executors.kubernetes.client import watch as watch_module
from pipeline.executors.kubernetes.client.api import CONFIG_MAPS, JOBS, PODS, SERVICES, Api
from pipeline.executors.kubernetes.client.api_errors import Conflict, Forbidden, Refused, Unauthenticated, Untrusted
from pipeline.executors.kubernetes.client.watch import Watch
from tests.fakes.fake_apiserver import write_kubeconfig
from tests.waiting import wait_for

LABELS = {"i2p-test": "client"}
SELECTOR = "i2p-test=client"


@pytest.fixture
def api(namespace: str) -> Api:
    return Api.connect(namespace=namespace)


@pytest.fixture
def admin() -> dict[str, str]:
    """Server, certificate authority and the administrator's certificate, from the real kubeconfig."""
    config = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
    return dict(config["clusters"][0]["cluster"]) | dict(config["users"][0]["user"])


def job(name: str = "a", *, suspend: bool = True, secret: str = "", **spec: Any) -> dict[str, Any]:
    """A Job whose Pods never start: their image is nowhere."""
    container = {
        "name": "main",
        "image": "localhost:5000/no-such-image:1",
        "imagePullPolicy": "Never",
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "env": [{"name": "KEY", "value": secret}] if secret else [],
    }
    security = {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}
    template = {
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "securityContext": security,
            "containers": [container],
        }
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": LABELS},
        "spec": {"suspend": suspend, "backoffLimit": 0, "template": template, **spec},
    }


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": LABELS}, "data": data}


def settled(api: Api, name: str) -> str:
    """The version of a suspended Job when its controller has noted that it is suspended."""
    wait_for(lambda: (api.get(JOBS, name) or {}).get("status", {}).get("conditions"))
    return str((api.get(JOBS, name) or {})["metadata"]["resourceVersion"])


def kubectl(namespace: str, *arguments: str) -> str:
    return subprocess.run(["kubectl", "-n", namespace, *arguments], check=True, capture_output=True, text=True).stdout


def test_applying_twice_changes_nothing(api: Api) -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "s"},
        "spec": {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": LABELS},
    }
    for resource, manifest in ((CONFIG_MAPS, config_map("c", x="1")), (SERVICES, service)):
        first = api.apply(resource, manifest)
        assert api.apply(resource, manifest)["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    api.apply(JOBS, job())
    version = settled(api, "a")
    assert api.apply(JOBS, job())["metadata"]["resourceVersion"] == version


def test_applying_takes_back_what_is_no_longer_said_and_leaves_what_others_say(api: Api) -> None:
    api.apply(CONFIG_MAPS, config_map("c", ours="1", dropped="1"))
    kubectl(api.namespace, "patch", "configmap", "c", "--type=merge", "-p", '{"data": {"theirs": "1"}}')
    assert api.apply(CONFIG_MAPS, config_map("c", ours="2"))["data"] == {"ours": "2", "theirs": "1"}


def test_an_immutable_change_is_refused_in_words_and_without_the_environment(api: Api) -> None:
    api.apply(JOBS, job(secret="one"))  # noqa: S106
    with pytest.raises(Refused, match=r"patch jobs/a in namespace .*spec\.template: .*field is immutable") as caught:
        api.apply(JOBS, job(secret="hunter2"))  # noqa: S106
    assert caught.value.exit_code == BAD_CONFIGURATION
    assert "hunter2" not in str(caught.value)


def test_a_misspelt_field_is_refused_by_name(api: Api) -> None:
    with pytest.raises(Refused, match=r"\.spec\.backofLimit: field not declared in schema"):
        api.apply(JOBS, job(backofLimit=3))
    api.apply(JOBS, job())
    with pytest.raises(Refused, match=r"unknown field .*spec\.suspendd"):
        api.patch(JOBS, "a", {"spec": {"suspendd": False}})


def test_every_mistake_in_a_manifest_is_reported(api: Api) -> None:
    with pytest.raises(Refused) as caught:
        api.apply(JOBS, job("B_x", completions=-1))
    assert "metadata.name: Invalid value" in str(caught.value)
    assert "spec.completions: Invalid value: -1" in str(caught.value)


def test_a_dry_run_fills_in_and_validates_and_creates_nothing(api: Api) -> None:
    assert api.apply(JOBS, job(), dry_run=True)["spec"]["parallelism"] == 1
    with pytest.raises(Refused):
        api.apply(JOBS, job(completions=-1), dry_run=True)
    assert api.get(JOBS, "a") is None
    assert api.list(JOBS).items == []


def test_a_patch_changes_one_thing_and_may_insist_on_a_version(api: Api) -> None:
    api.apply(JOBS, job())
    old = settled(api, "a")
    patched = api.patch(JOBS, "a", {"metadata": {"annotations": {"x": "1"}}})
    assert patched and patched["metadata"]["annotations"] == {"x": "1"} and patched["spec"]["suspend"]
    with pytest.raises(Conflict, match="has been modified"):
        api.patch(JOBS, "a", {"metadata": {"resourceVersion": old, "annotations": {"x": "2"}}})
    assert api.patch(JOBS, "none", {}) is None


def test_a_deleted_job_takes_its_pods_along(api: Api) -> None:
    api.apply(JOBS, job(suspend=False, completions=2, parallelism=2))
    wait_for(lambda: len(api.list(PODS, labels="job-name=a").items) == 2)
    assert api.delete(JOBS, "a")
    wait_for(lambda: api.get(JOBS, "a") is None)
    assert api.list(PODS).items == [], "a Job deleted in the foreground is gone after its Pods"
    assert api.delete(JOBS, "a") is False


def test_only_the_object_that_was_meant_is_deleted(api: Api) -> None:
    uid = api.apply(CONFIG_MAPS, config_map("c"))["metadata"]["uid"]
    with pytest.raises(Conflict):
        api.delete(CONFIG_MAPS, "c", uid="00000000-0000-0000-0000-000000000000")
    assert api.get(CONFIG_MAPS, "c")
    assert api.delete(CONFIG_MAPS, "c", uid=uid)
    wait_for(lambda: api.get(CONFIG_MAPS, "c") is None)


def test_small_pages_make_the_same_list_as_one_large(api: Api) -> None:
    for number in range(23):
        api.apply(CONFIG_MAPS, config_map(f"c-{number:02}"))
    whole, paged = (api.list(CONFIG_MAPS, labels=SELECTOR, page=page) for page in (500, 4))
    assert [item["metadata"]["name"] for item in whole.items] == [f"c-{number:02}" for number in range(23)]
    assert paged.items == whole.items
    assert int(paged.resource_version) >= int(whole.items[-1]["metadata"]["resourceVersion"])
    one = api.list(CONFIG_MAPS, labels=SELECTOR, fields="metadata.name=c-07").items
    assert [item["metadata"]["name"] for item in one] == ["c-07"]


def test_a_watch_wakes_within_a_second_of_every_kind_of_change(api: Api) -> None:
    def rest() -> None:
        while watch.wait(1.5):
            pass

    def wakes_after(change: Callable[[], Any]) -> float:
        rest()
        began = time.monotonic()
        change()
        assert watch.wait(10)
        return time.monotonic() - began

    api.apply(JOBS, job("before"))
    with Watch(api, JOBS, labels=SELECTOR, version=api.list(JOBS, labels=SELECTOR).resource_version) as watch:
        assert wakes_after(lambda: api.apply(JOBS, job("a"))) < 1
        assert wakes_after(lambda: api.patch(JOBS, "a", {"spec": {"suspend": False}})) < 1
        assert wakes_after(lambda: api.delete(JOBS, "a")) < 1
        assert watch.age < 5 and not watch.trouble
        rest()
        elsewhere = job("other")
        elsewhere["metadata"]["labels"] = {}
        api.apply(JOBS, elsewhere)
        assert not watch.wait(1.5), "another run's Jobs are not this one's business"


def test_a_watch_gets_over_a_version_of_before_the_server_was_restored(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in (("_SHORTEST", 2), ("_LONGEST", 2), ("_LIVED", 1.0)):
        monkeypatch.setattr(watch_module, name, seconds)
    with Watch(api, JOBS, version=str(2**62)) as watch:
        api.apply(JOBS, job())
        assert not watch.wait(1), "the server waits, and does not say that it has no such version"
        assert watch.wait(10)


def test_without_rights_the_missing_verb_is_named(
    api: Api, admin: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubectl(api.namespace, "create", "serviceaccount", "poor")
    kubectl(api.namespace, "create", "role", "reader", "--verb=list", "--resource=jobs")
    kubectl(api.namespace, "create", "rolebinding", "reader", "--role=reader", f"--serviceaccount={api.namespace}:poor")
    token = kubectl(api.namespace, "create", "token", "poor").strip()
    file = write_kubeconfig(
        tmp_path / "poor",
        admin["server"],
        {"token": token},
        namespace=api.namespace,
        **{"certificate-authority-data": admin["certificate-authority-data"]},
    )
    monkeypatch.setenv("KUBECONFIG", str(file))
    poor = Api.connect()
    wait_for(lambda: may(poor.list, JOBS), 30)  # rights take a moment
    for verb, attempt in (
        ("patch", lambda: poor.apply(JOBS, job())),
        ("get", lambda: poor.get(JOBS, "a")),
        ("delete", lambda: poor.delete(JOBS, "a")),
    ):
        with pytest.raises(Forbidden, match=f"verb '{verb}' on 'jobs' is required") as caught:
            attempt()
        assert f"in namespace {api.namespace}" in str(caught.value) and token not in str(caught.value)
        assert caught.value.exit_code == BAD_CONFIGURATION
    with Watch(poor, JOBS) as watch:
        wait_for(lambda: "'watch' on 'jobs'" in watch.trouble)


def may(attempt: Callable[..., Any], *arguments: Any) -> bool:
    try:
        attempt(*arguments)
    except Forbidden:
        return False
    return True


def test_a_pods_service_account_is_enough(
    api: Api, admin: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubectl(api.namespace, "create", "serviceaccount", "controller")
    kubectl(
        api.namespace,
        "create",
        "rolebinding",
        "e",
        "--clusterrole=edit",
        f"--serviceaccount={api.namespace}:controller",
    )
    library = import_module("kubernetes.config.incluster_config")
    files = {
        "token": kubectl(api.namespace, "create", "token", "controller").strip(),
        "namespace": api.namespace,
        "ca.crt": base64.b64decode(admin["certificate-authority-data"]).decode(),
    }
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    monkeypatch.setattr(library, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(library, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", str(urlsplit(admin["server"]).hostname))
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(urlsplit(admin["server"]).port))
    monkeypatch.delenv("KUBECONFIG")
    inside = Api.connect()
    assert inside.namespace == api.namespace
    wait_for(lambda: may(inside.list, JOBS))
    inside.apply(JOBS, job())
    assert api.get(JOBS, "a")


def test_a_plugins_client_certificate_is_enough(
    api: Api, admin: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = (base64.b64decode(admin[f"client-{name}-data"]).decode() for name in ("certificate", "key"))
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"clientCertificateData": certificate, "clientKeyData": key},
    }
    (tmp_path / "credential.json").write_text(json.dumps(credential))
    plugin = {"apiVersion": credential["apiVersion"], "command": "cat", "args": [str(tmp_path / "credential.json")]}
    file = write_kubeconfig(
        tmp_path / "plugin",
        admin["server"],
        {"exec": plugin},
        **{"certificate-authority-data": admin["certificate-authority-data"]},
    )
    monkeypatch.setenv("KUBECONFIG", str(file))
    assert Api.connect(namespace=api.namespace).list(JOBS).items == []


def test_who_is_wrong_is_said_for_a_wrong_token_and_for_a_wrong_server(
    api: Api, admin: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = {"certificate-authority-data": admin["certificate-authority-data"]}
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "k"))
    write_kubeconfig(tmp_path / "k", admin["server"], {"token": "wrong"}, **authority)
    with pytest.raises(Unauthenticated, match="does not accept the credentials"):
        Api.connect(namespace=api.namespace).list(JOBS)
    write_kubeconfig(tmp_path / "k", admin["server"], {"token": "x"})
    with pytest.raises(Untrusted, match="certificate cannot be trusted"):
        Api.connect(namespace=api.namespace).list(JOBS)


def test_a_namespace_that_is_not_there_is_named(api: Api) -> None:
    with pytest.raises(Refused, match='namespaces "no-such-namespace" not found'):
        Api.connect(namespace="no-such-namespace").apply(JOBS, job())
