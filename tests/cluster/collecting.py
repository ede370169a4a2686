"""The cheapest run there is on a cluster, collect alone, as the tests of failures and of operation disturb it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.shards.s3 import S3Store
from tests.cluster.commands import written
from tests.cluster.conftest import SECRET, Cluster
from tests.waiting import wait_for

RUN = "small"
STAGE = "collect"
TINY = {"cpus": "200m", "memory": "400Mi", "scratch": "64Mi", "shared_memory": "16Mi", "grace_seconds": 5}
QUICK, SLOW = 200, 60_000  # prompts of a source; a core writes 10,000 to 15,000 a second
JOB_NAME = "batch.kubernetes.io/job-name"
FAILURES = "batch.kubernetes.io/job-index-failure-count"

Object = dict[str, Any]


def grammars(*sizes: int) -> list[Object]:
    """Sources without a file, each a unit of its own that takes as long as its size says."""
    return [
        {"kind": "grammar", "name": f"g{number}", "seed": number, "num_prompts": size}
        for number, size in enumerate(sizes)
    ]


@dataclass(frozen=True)
class Run:
    """A run of collect in a namespace and a folder of a bucket, both its own."""

    cluster: Cluster
    namespace: str
    store: S3Store
    folder: Path
    images: Mapping[str, str]

    def configured(
        self, sources: list[Object], *, kubernetes: Mapping[str, Any] = {}, name: str = "run", **resources: Any
    ) -> str:
        """A file with the configuration; of most prompts only the shortest are kept, so that little is uploaded."""
        resources = TINY | {"parallelism": len(sources)} | resources
        cluster = {
            "namespace": self.namespace,
            "images": {STAGE: self.images[STAGE]},
            "credentials": SECRET,
            "env": {"AWS_ENDPOINT_URL": self.cluster.endpoint_in_pods, "AWS_DEFAULT_REGION": "us-east-1"},
        }
        values = {
            "run": RUN,
            "store": self.store.url,
            "executor": "kubernetes",
            "stages": [STAGE],
            STAGE: {"sources": sources, "max_characters": 19, "resources": resources},
            "kubernetes": {**cluster, **kubernetes},
        }
        return written(values, self.folder, f"{name}.yaml")

    def jobs(self) -> list[Object]:
        return self.cluster.objects("jobs", self.namespace)

    def job(self) -> Object:
        """The only Job."""
        (job,) = self.jobs()
        return job

    def pods(self) -> list[Object]:
        return self.cluster.objects("pods", self.namespace, "-l", JOB_NAME)

    def working(self, index: int = 0, *, other_than: tuple[str, ...] = ()) -> str:
        """The name of the Pod that works on an index, once its log says that it began; empty before."""
        stage = self.store.at(RUN).at(STAGE)
        for pod in self.pods():
            name = pod["metadata"]["name"]
            runs = pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]
            mine = pod["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"] == str(index)
            if runs and mine and name not in other_than and stage.stat(f"logs/{index:05d}-{name}.jsonl"):
                return str(name)
        return ""

    def committed(self) -> set[str]:
        """The names of the units that have a record."""
        names = [stat.name.removeprefix("commits/") for stat in self.store.at(RUN).at(STAGE).list("commits/")]
        return {name.rpartition("-")[0] for name in names}

    def delete_jobs(self) -> None:
        """Remove every Job and Pod, and wait until they are gone."""
        self.cluster.kubectl("delete", "jobs", "--all", "--cascade=foreground", namespace=self.namespace)
        wait_for(lambda: not self.pods())

    def evict(self, pod: str) -> None:
        """Evict a Pod as a drain does."""
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}}
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod}/eviction"
        self.cluster.kubectl("create", "--raw", path, "-f", "-", text=json.dumps(eviction))
