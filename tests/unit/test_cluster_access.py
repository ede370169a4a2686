"""Which cluster the tests of tests/cluster use: decided from variables and programs, and said where there is none."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from pathlib import Path

import pytest

from tests.cluster import access, kind
from tests.cluster.access import GIVEN
from tests.fakes.programs import Calls, install
from tests.s3_servers import new_bucket
from tests.sharing import folder_of


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with nothing: no variables, no ../shared, and an empty search path; returns its only folder."""
    for name in GIVEN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(access, "CLUSTER", tmp_path / "shared" / "kube" / "cluster")
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    return programs


def test_without_anything_the_reason_says_what_would_do(bare: Path, tmp_path: Path) -> None:
    reason = access.choose(tmp_path)
    assert isinstance(reason, str)
    assert all(name in reason for name in GIVEN)
    assert "install kind, docker and kubectl (not found: kind, docker, kubectl)" in reason
    assert "shared/kube/cluster (it is not there)" in reason


def test_a_cluster_that_is_given_comes_first_and_has_to_be_given_whole(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {name: f"value of {name}" for name in GIVEN}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    way = access.choose(tmp_path)
    assert callable(way)
    with way() as found:
        assert found == access.Access(given, can_be_disturbed=False)
    monkeypatch.delenv("S3_ENDPOINT_IN_PODS")
    with pytest.raises(RuntimeError, match=r"set \['S3_ENDPOINT_IN_PODS'\] as well"):
        way()


def test_kind_without_a_docker_daemon_is_not_enough(bare: Path, tmp_path: Path) -> None:
    install(bare, {"kind": "", "docker": "exit 1", "kubectl": ""})
    reason = access.choose(tmp_path)
    assert isinstance(reason, str)
    assert "docker's daemon does not answer" in reason


def test_kind_is_asked_for_two_nodes_that_know_the_registry(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With programs that only note what they are asked: no machine of the project's developers has docker."""
    monkeypatch.setattr(kind, "NAME", f"i2p-unit-{uuid.uuid4().hex[:8]}")
    network = json.dumps([{"IPAM": {"Config": [{"Gateway": "fc00::1"}, {"Gateway": "127.0.0.2"}]}}])
    programs = {
        "kind": '[ "$2" = nodes ] && echo one && echo two || true',
        "docker": f"[ \"$1\" = network ] && echo '{network}' || true",
        "kubectl": "",
    }
    calls = install(bare, programs)
    monkeypatch.setenv("PATH", f"{bare}:{os.defpath}")
    way = access.choose(tmp_path / "models")
    assert callable(way)
    with way() as found:
        assert set(GIVEN) <= set(found.variables)
        assert found.variables["S3_ENDPOINT"] == found.variables["S3_ENDPOINT_IN_PODS"]
        with new_bucket(found.variables | {"AWS_ENDPOINT_URL": found.variables["S3_ENDPOINT_IN_PODS"]}) as bucket:
            assert bucket.create("name", b"x"), "its S3 server is a real one"
    shutil.rmtree(folder_of(kind.NAME))
    _check(calls, tmp_path / "models")


def _check(calls: Calls, models: Path) -> None:
    (made,) = calls.of("kind", "create")
    config = json.loads(made.input)
    assert [node["role"] for node in config["nodes"]] == ["control-plane", "worker"]
    assert {mount["containerPath"] for node in config["nodes"] for mount in node["extraMounts"]} == {str(models)}
    copied = calls.of("docker", "exec", "--interactive")
    assert [call.arguments[3] for call in copied] == ["one", "two"]
    assert {call.input for call in copied} == {'[host."http://i2p-tests-registry:5000"]\n'}
    assert calls.of("kind", "delete"), "nothing is left"
    assert calls.of("docker", "rm")
