"""The cluster client against a server that misbehaves; what a real API server does is in tests/cluster."""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from jobs.errors import BAD_CONFIGURATION, TRY_AGAIN, BadConfiguration, I2PError
from pipeline.executors.kubernetes.client import connection
from pipeline.executors.kubernetes.client.api import CONFIG_MAPS, JOBS, PODS, Api
from pipeline.executors.kubernetes.client.api_errors import Conflict, Forbidden, Refused, Unauthenticated, Unreachable
from pipeline.executors.kubernetes.client.backoff import Gate
from tests.fakes.fake_apiserver import (
    TOKEN,
    FakeApiServer,
    Reply,
    connected,
    in_turn,
    listing,
    status,
    write_kubeconfig,
)


@pytest.fixture
def server() -> Iterator[FakeApiServer]:
    with FakeApiServer() as fake:
        yield fake


@pytest.fixture
def connect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Api]:
    """A client of any address."""
    return partial(connected, monkeypatch, tmp_path)


@pytest.fixture
def api(server: FakeApiServer, connect: Callable[..., Api]) -> Api:
    return connect(server.address)


# Connecting


def test_reading_the_module_costs_neither_the_library_nor_an_http_client() -> None:
    heavy = ("kubernetes", "urllib3", "yaml", "boto3")
    modules = "pipeline.executors.kubernetes.client.api, pipeline.executors.kubernetes.client.watch"
    code = f"import sys, {modules}; print([m for m in sys.modules if m in {heavy}])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "there is no"),
        ("", "empty"),
        ("just text", "cannot be used"),
        ("{a: [", "cannot be used"),
        (
            "{current-context: x, contexts: [{name: x, context: {cluster: c}}], clusters: [{name: c, cluster: {}}]}",
            "names none",
        ),
        ("{contexts: [{name: one, context: {}}]}", "choose one of one"),
    ],
)
def test_a_kubeconfig_that_cannot_work_says_what_is_required(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, words: str
) -> None:
    file = tmp_path / "kubeconfig"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv("KUBECONFIG", str(file))
    with pytest.raises(BadConfiguration, match="required") as caught:
        Api.connect()
    assert words in str(caught.value) and str(file) in str(caught.value)


def test_an_unknown_context_is_answered_with_those_there_are(connect: Callable[..., Api]) -> None:
    connect("http://localhost")
    with pytest.raises(BadConfiguration, match=r"'other' is asked for; .* has fake"):
        Api.connect(context="other")


def test_the_namespace_is_the_given_one_or_the_contexts_or_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(write_kubeconfig(tmp_path / "k", "http://localhost", namespace="of-context")))
    assert (Api.connect().namespace, Api.connect(namespace="given").namespace) == ("of-context", "given")
    write_kubeconfig(tmp_path / "k", "http://localhost")
    assert Api.connect().namespace == "default"
    with pytest.raises(BadConfiguration, match="DNS label"):
        Api.connect(namespace="../pods")


def test_in_a_pod_its_service_account_is_used_unless_a_kubeconfig_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = import_module("kubernetes.config.incluster_config")
    for name, content in (("token", TOKEN), ("ca.crt", "x"), ("namespace", "of-pod\n")):
        (tmp_path / name).write_text(content)
    monkeypatch.setattr(library, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(library, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    monkeypatch.delenv("KUBECONFIG", raising=False)
    api = Api.connect()
    assert (api.server, api.namespace) == ("https://10.0.0.1:443", "of-pod")
    monkeypatch.setenv("KUBECONFIG", str(write_kubeconfig(tmp_path / "k", "http://elsewhere")))
    assert Api.connect().server == "http://elsewhere"
    (tmp_path / "namespace").unlink()
    monkeypatch.delenv("KUBECONFIG")
    with pytest.raises(BadConfiguration, match="service account is required"):
        Api.connect()


def _plugin(tmp_path: Path, script: str) -> dict[str, Any]:
    file = tmp_path / "plugin"
    file.write_text(f"#!/bin/sh\necho run >> {tmp_path}/runs\n{script}\n")
    file.chmod(0o700)
    return {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(file)}}


def test_an_exec_plugins_token_is_sent_and_renewed_when_it_expires(
    server: FakeApiServer, connect: Callable[..., Api], tmp_path: Path
) -> None:
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": TOKEN, "expirationTimestamp": "2020-01-01T00:00:00Z"},
    }
    api = connect(server.address, user=_plugin(tmp_path, f"echo '{json.dumps(credential)}'"))
    api.list(JOBS)
    assert server.asked[-1].headers["authorization"] == f"Bearer {TOKEN}"
    assert (tmp_path / "runs").read_text().count("run") == 2


def test_an_exec_plugin_that_fails_is_bad_configuration_in_its_own_words(
    connect: Callable[..., Api], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(BadConfiguration, match=r"credentials are required.*session has expired"):
        connect("https://localhost", user=_plugin(tmp_path, "echo session has expired >&2; exit 1"))
    assert not capfd.readouterr().err, "the library's own log is not for the terminal"


def test_a_token_that_was_renewed_in_its_file_is_read_again(
    server: FakeApiServer, connect: Callable[..., Api], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("old")
    api = connect(server.address, user={"tokenFile": str(tmp_path / "token")})
    server.answer = lambda asked: listing("a") if asked.headers["authorization"] == "Bearer new" else status(401, "no")
    (tmp_path / "token").write_text("new")
    with pytest.raises(Unauthenticated, match="log in anew"):
        api.list(JOBS)  # what was just read is not read again: it is wrong, not old
    monkeypatch.setattr(connection, "_OLD_CREDENTIALS", 0.0)
    assert len(api.list(JOBS).items) == 1


# Requests


def test_what_is_asked_for_is_what_is_sent(server: FakeApiServer, api: Api) -> None:
    server.answer = lambda asked: Reply({"kind": "Job"})
    api.get(PODS, "a/../b")
    api.apply(JOBS, {"metadata": {"name": "a"}}, dry_run=True)
    api.patch(CONFIG_MAPS, "a", {"data": {"x": None}})
    api.delete(JOBS, "a")
    api.delete(PODS, "a", propagation="Background", grace_seconds=0, uid="u")
    get, apply, patch, delete, force = server.asked
    assert get.path == "/api/v1/namespaces/n/pods/a%2F..%2Fb"
    assert (apply.method, apply.path) == ("PATCH", "/apis/batch/v1/namespaces/n/jobs/a")
    assert apply.query == {"fieldManager": "i2p", "force": "true", "fieldValidation": "Strict", "dryRun": "All"}
    assert apply.headers["content-type"] == "application/apply-patch+yaml"
    assert patch.headers["content-type"] == "application/merge-patch+json" and patch.query["fieldManager"] == "i2p"
    assert delete.body == {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Foreground"}
    assert force.body.items() >= {"gracePeriodSeconds": 0, "propagationPolicy": "Background"}.items()
    assert force.body["preconditions"] == {"uid": "u"}


def test_a_list_is_all_its_pages(server: FakeApiServer, api: Api) -> None:
    server.answer = in_turn(listing("a", "b", rest="two"), listing("c", rest="three"), listing("d", version=7))
    found = api.list(JOBS, labels="x=y", fields="status.phase!=Failed", page=2)
    assert [item["metadata"]["name"] for item in found.items] == ["a", "b", "c", "d"]
    assert found.resource_version == "7"
    assert [asked.query.get("continue") for asked in server.asked] == [None, "two", "three"]
    assert {asked.query["labelSelector"] for asked in server.asked} == {"x=y"}


def test_a_list_whose_pages_expire_starts_again_and_does_not_do_so_for_ever(server: FakeApiServer, api: Api) -> None:
    page, expired = listing("a", rest="two"), status(410, "too old", "Expired")
    server.answer = in_turn(page, expired, page, listing("b"))
    assert [item["metadata"]["name"] for item in api.list(JOBS).items] == ["a", "b"]
    server.answer = lambda asked: expired if "continue" in asked.query else page
    with pytest.raises(Unreachable, match="expired 3 times"):
        api.list(JOBS)


def test_nothing_of_that_name_is_distinguished_from_a_wrong_address(server: FakeApiServer, api: Api) -> None:
    server.answer = lambda asked: status(404, 'jobs.batch "a" not found', "NotFound", name="a", kind="jobs")
    assert api.get(JOBS, "a") is None
    assert api.patch(JOBS, "a", {}) is None
    assert api.delete(JOBS, "a") is False
    for other in (
        status(404, 'namespaces "n" not found', "NotFound", name="n", kind="namespaces"),
        Reply(b"404 page not found", 404),
        Reply(b"<html>", 404),
    ):
        server.answer = in_turn(other)
        with pytest.raises(Refused):
            api.get(JOBS, "a")
        with pytest.raises(Refused):
            api.delete(JOBS, "a")


# Refusals


def _quota() -> Reply:
    return status(403, 'jobs.batch "a" is forbidden: exceeded quota: q, used: 5, limited: 5', "Forbidden")


@pytest.mark.parametrize(
    ("answer", "kind", "code", "words"),
    [
        (status(401, "Unauthorized"), Forbidden, BAD_CONFIGURATION, ["credentials", "log in"]),
        (
            status(403, 'jobs.batch is forbidden: User "u" cannot create resource "jobs" in API group "batch"'),
            Forbidden,
            BAD_CONFIGURATION,
            ["'create' on 'jobs' is required", "namespace n", 'User "u"', "grant"],
        ),
        (status(403, "violates PodSecurity"), Forbidden, BAD_CONFIGURATION, ["PodSecurity"]),
        (_quota(), Conflict, TRY_AGAIN, ["exceeded quota", "raise it"]),
        (status(409, "the object has been modified", "Conflict"), Conflict, TRY_AGAIN, ["has been modified"]),
        (status(400, "strict decoding error: unknown field"), Refused, BAD_CONFIGURATION, ["unknown field"]),
        (
            status(500, "failed to create typed patch object: .spec.x: field not declared in schema"),
            Refused,
            BAD_CONFIGURATION,
            [".spec.x: field not declared in schema"],
        ),
        (
            status(
                422,
                "is invalid",
                "Invalid",
                causes=[
                    {"field": "spec.a", "message": 'Invalid value: "B_x": must be lower case'},
                    {"field": "spec.b", "message": "Required value"},
                ],
            ),
            Refused,
            BAD_CONFIGURATION,
            ['spec.a: Invalid value: "B_x": must be lower case; spec.b: Required value'],
        ),
    ],
)
def test_a_refusal_says_what_was_wanted_what_the_server_said_and_what_to_do(
    server: FakeApiServer, api: Api, answer: Reply, kind: type[I2PError], code: int, words: list[str]
) -> None:
    server.answer = lambda asked: answer
    with pytest.raises(kind) as caught:
        api.apply(JOBS, {"metadata": {"name": "a"}})
    assert caught.value.exit_code == code
    assert f"patch jobs/a in namespace n of {server.address}" in str(caught.value)
    assert [text for text in words if text not in str(caught.value)] == []
    assert api.unreachable_since is None, "a server that refuses is there"


def test_a_refusal_does_not_repeat_the_pod_template_with_its_environment(server: FakeApiServer, api: Api) -> None:
    template = json.dumps({"Spec": {"Containers": [{"Env": [{"Name": "KEY", "Value": "hunter2: x"}] * 3}]}})
    message = f"Invalid value: {template}: field is immutable"
    for details in ({"causes": [{"field": "spec.template", "message": message}]}, {}):
        answer = status(422, f'Job.batch "a" is invalid: spec.template: {message}', "Invalid", **details)
        server.answer = in_turn(answer)
        with pytest.raises(Refused, match=r"spec\.template: Invalid value: …: field is immutable") as caught:
            api.apply(JOBS, {"metadata": {"name": "a"}})
        assert "hunter2" not in str(caught.value)


# A server that does not answer as it should


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Reply(fault="reset"), "connection reset"),
        (Reply(fault="hang"), "no answer comes in time"),
        (Reply({"items": ["a"] * 100}, fault="cut"), "broke off"),
        (Reply({"items": ["a"] * 100}, fault="drip"), "not complete after"),
        (Reply(b"<html>sign in</html>", headers={"Content-Type": "text/html"}), "not a JSON object but text/html"),
        (Reply(b"[]"), "not a JSON object"),
        (Reply({"items": 3, "metadata": {}}), "not a list"),
        (Reply(b"", 302, {"Location": "http://127.0.0.1:1/"}), "redirect"),
        (status(500, "etcdserver: request timed out"), "etcdserver: request timed out"),
        (Reply(b"bad gateway", 502), "502"),
        (status(503, "shutting down"), "shutting down"),
        (status(429, "too many requests"), "too many requests"),
    ],
)
def test_what_is_no_proper_answer_is_unreachable_after_one_try(
    server: FakeApiServer, api: Api, monkeypatch: pytest.MonkeyPatch, answer: Reply, words: str
) -> None:
    monkeypatch.setattr(connection, "READ_SECONDS", 0.3)
    monkeypatch.setattr(connection, "_ANSWER_SECONDS", 0.5)
    server.answer = lambda asked: answer
    with pytest.raises(Unreachable, match=words) as caught:
        api.list(JOBS)
    assert caught.value.exit_code == TRY_AGAIN
    assert "list jobs in namespace n" in str(caught.value)
    assert len(server.asked) == 1


def test_a_server_that_is_not_there_is_distinguished_from_one_that_is_silent(
    connect: Callable[..., Api], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(Unreachable, match="connection refused"):
            connect(f"http://{address}").list(JOBS)
        silent.listen()  # the kernel takes connections for a frozen process, and nobody speaks TLS
        began = time.monotonic()
        with pytest.raises(Unreachable, match="no answer comes in time"):
            connect(f"https://{address}", **{"insecure-skip-tls-verify": True}).list(JOBS)
        assert time.monotonic() - began < 2
    with pytest.raises(Unreachable, match="does not resolve"):
        connect("http://no.such.host.invalid").list(JOBS)


def test_the_token_is_in_no_message_and_no_log(
    server: FakeApiServer, api: Api, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    for answer in (Reply(fault="reset"), status(401, "no"), Reply(b"x")):
        server.answer = in_turn(answer)
        with pytest.raises(I2PError) as caught:
            Api(api._connection, "n").get(JOBS, "a")
        assert TOKEN not in repr(caught.value) + str(caught.value) + repr(caught.value.__cause__)
        api._connection.gate = Gate()
    assert any(asked.headers["authorization"] == f"Bearer {TOKEN}" for asked in server.asked)
    assert TOKEN not in caplog.text + "".join(capfd.readouterr())
