"""Pausing, cancelling, deploying, looking: what an operator does to a run leaves nothing behind and loses nothing."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from jobs.errors import BAD_CONFIGURATION, OK
from jobs.shards.dataset import load_manifest
from jobs.shards.local import LocalStore
from jobs.shards.s3 import S3Store
from tests.cluster.collecting import FAILURES, QUICK, RUN, SLOW, STAGE, Run, grammars
from tests.cluster.commands import answer, begun, i2p
from tests.cluster.conftest import Cluster
from tests.waiting import wait_for


@pytest.fixture
def run(cluster: Cluster, namespace: str, images: Mapping[str, str], bucket: S3Store, tmp_path: Path) -> Run:
    return Run(cluster, namespace, bucket.at(namespace), tmp_path, images)


def digest(store: S3Store | LocalStore) -> str:
    """The digest of what collect published."""
    manifest = load_manifest(store.at(RUN).at(STAGE))
    assert manifest
    return manifest.digest


def test_pausing_ends_the_pods_without_a_retry_and_resuming_finishes_with_the_right_result(run: Run) -> None:
    preset = run.configured(grammars(QUICK, 5 * SLOW), retries=0)
    with begun(preset, "run") as controller:
        wait_for(lambda: run.committed() == {"g0"} and run.working(1))
        assert f"{run.job()['metadata']['name']}: paused" in i2p(preset, "pause").stdout
        wait_for(lambda: not [pod for pod in run.pods() if pod["status"]["phase"] in ("Pending", "Running")])
        assert run.job()["spec"]["suspend"] is True
        assert controller.poll() is None, "it waits"
        assert "paused" in answer(preset, "status")[0]["job"]["summary"]
        i2p(preset, "resume")
        out, err = controller.communicate(timeout=300)
    assert controller.returncode == OK, out + err
    job = run.job()
    assert "failed" not in job["status"] or not job["status"].get("failedIndexes")
    assert {pod["metadata"]["annotations"].get(FAILURES, "0") for pod in run.pods()} == {"0"}
    local = run.folder / "local"
    i2p(preset, "run", "--executor", "local", "--set", f"store={local}")
    assert digest(run.store) == digest(LocalStore(local))


def test_cancelling_removes_jobs_and_pods_and_is_remembered_until_resume(run: Run) -> None:
    preset = run.configured(grammars(QUICK, 20 * SLOW))
    with begun(preset, "run") as controller:
        wait_for(lambda: run.committed() == {"g0"} and run.working(1))
        name = run.job()["metadata"]["name"]
        assert f"{name}: stopped" in i2p(preset, "cancel").stdout
        out, err = controller.communicate(timeout=300)
    assert controller.returncode == BAD_CONFIGURATION, out + err
    assert "`i2p resume` allows it again" in err
    wait_for(lambda: not run.jobs() and not run.pods())
    again = i2p(preset, "run", check=False)
    assert again.returncode == BAD_CONFIGURATION
    assert "cancelled" in again.stderr
    assert not run.jobs()
    i2p(preset, "resume")
    assert "started: 1 of 2 units to make" in i2p(run.configured(grammars(QUICK, QUICK), name="less"), "run").stdout
    assert run.committed() == {"g0", "g1"}


def test_logs_and_reasons_outlive_their_pods(run: Run) -> None:
    preset = run.configured(grammars(QUICK, 20 * SLOW), retries=0, grace_seconds=60)
    i2p(preset, "deploy", STAGE)
    pod = wait_for(lambda: run.committed() == {"g0"} and run.working(1))
    assert pod
    run.cluster.kubectl("delete", "pod", pod, "--wait=false", namespace=run.namespace)
    wait_for(lambda: run.job()["status"].get("failedIndexes") == "1")
    run.delete_jobs()
    events = answer(preset, "logs", STAGE)
    assert {event["index"] for event in events if event["event"] == "started"} == {0, 1}
    assert {event["event"] for event in answer(preset, "logs", STAGE, "--index", "0")} >= {"committed", "finished"}
    (reason,) = answer(preset, "why", STAGE, "g1")
    assert reason["action"] == "run"
    assert "asked to stop by SIGTERM" in reason["failure"]["error"]


def test_the_plan_says_what_the_server_thinks_of_it_and_what_differs_from_what_runs(run: Run) -> None:
    sources = grammars(20 * SLOW)
    preset = run.configured(sources)
    (row,) = answer(preset, "plan")["jobs"]
    assert (row["change"], row["dry run"]) == ("to be created", "accepted")
    assert not run.jobs(), "it was only asked"
    i2p(preset, "deploy", STAGE)
    (row,) = answer(preset, "plan")["jobs"]
    assert row == {"stage": STAGE, "job": run.job()["metadata"]["name"], "change": "unchanged, it runs"}
    other = run.configured(sources, name="other", memory="450Mi")
    (row,) = answer(other, "plan")["jobs"]
    assert row["change"] == f"replaces {run.job()['metadata']['name']}, which runs"
    assert row["dry run"] == "accepted"
    changed = [line for line in row["difference"].splitlines() if "memory: " in line]
    assert {line.replace(" ", "") for line in changed} == {"-memory:400Mi", "+memory:450Mi"}


def test_deploying_a_stage_twice_changes_nothing(run: Run) -> None:
    preset = run.configured(grammars(20 * SLOW))
    first = i2p(preset, "deploy", STAGE).stdout
    assert "to be created" in first
    wait_for(lambda: run.job()["status"].get("ready") == 1)  # from then on nobody writes to it
    before = run.job()
    second = i2p(preset, "deploy", STAGE).stdout
    assert "unchanged" in second
    after = run.job()
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


def test_what_render_prints_is_yaml_that_the_server_takes(run: Run) -> None:
    """Of the whole graph, also of the stages that wait for others."""
    preset = run.configured(grammars(QUICK), kubernetes={"images": dict(run.images)})
    text = i2p(preset, "render", "--set", "stages=null", "--set", "train.resources.pods=2").stdout
    kinds = [document["kind"] for document in yaml.safe_load_all(text)]
    assert (kinds.count("Job"), kinds.count("Service")) == (11, 1)
    said = run.cluster.kubectl("apply", "--dry-run=server", "-f", "-", namespace=run.namespace, text=text)
    assert said.count("created (server dry run)") == 12


def test_a_second_controller_beside_the_first_is_harmless(run: Run) -> None:
    preset = run.configured(grammars(QUICK, SLOW))
    with ExitStack() as both:
        controllers = [both.enter_context(begun(preset, "run")) for _ in range(2)]
        ends = [controller.communicate(timeout=300) for controller in controllers]
    assert [controller.returncode for controller in controllers] == [OK, OK], ends
    assert run.job()["metadata"]["labels"]["image-to-prompts/generation"] == "1"
    assert len(run.pods()) == 2, "one Pod for each index"
    local = run.folder / "local"
    i2p(preset, "run", "--executor", "local", "--set", f"store={local}")
    assert digest(run.store) == digest(LocalStore(local))
