"""The few verbs that the controller needs of a cluster, on plain dictionaries."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jobs.errors import BadConfiguration
from pipeline.executors.kubernetes.client.api_errors import Expired, Missing, Unreachable
from pipeline.executors.kubernetes.client.backoff import Gate

if TYPE_CHECKING:
    from pipeline.executors.kubernetes.client.connection import Connection, Request, Stream

FIELD_MANAGER = "i2p"
_PAGE = 500  # objects; what kubectl asks for
_FRESH_STARTS = 3  # of a list whose pages expire while they are read


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of object that lives in a namespace."""

    path: str  # of its API group and version: /apis/batch/v1
    plural: str


JOBS = Resource("/apis/batch/v1", "jobs")
PODS = Resource("/api/v1", "pods")
SERVICES = Resource("/api/v1", "services")
EVENTS = Resource("/api/v1", "events")
CONFIG_MAPS = Resource("/api/v1", "configmaps")


@dataclass(frozen=True, slots=True)
class Listing:
    """All objects that were asked for, as they were at one version, at which a watch may begin."""

    items: list[dict[str, Any]]
    resource_version: str


class Api:
    """One cluster and one namespace. Safe to use from several threads.

    Every call is one try. Unreachable (75) means that a later call may succeed: while the server fails, calls that
    come before `error.retry_in` seconds have passed are not sent and raise it at once, for all threads together, so
    that nothing ever sleeps in here. Forbidden, Refused and Untrusted (78) stay until something is changed.
    """

    def __init__(self, connection: Connection, namespace: str) -> None:
        self.namespace = namespace
        self._connection = connection

    @classmethod
    def connect(cls, *, context: str | None = None, namespace: str | None = None, gate: Gate | None = None) -> Api:
        """As the Pod's service account, or by kubeconfig when KUBECONFIG or a context is given or there is no Pod.

        Sends nothing. The namespace is the given one, else the context's or the Pod's, else `default`. Raises
        BadConfiguration when there is nothing to connect with.
        """
        from pipeline.executors.kubernetes.client.connection import (
            Connection,  # with the library behind it half a second
        )

        connection = Connection(context, gate)
        chosen = namespace or connection.namespace or "default"
        if not chosen.replace("-", "").isalnum() or chosen != chosen.lower():
            raise BadConfiguration(
                f"a namespace is a DNS label; {chosen!r} is none: use lower-case letters, digits and '-'"
            )
        return cls(connection, chosen)

    @property
    def server(self) -> str:
        """The server's address, for messages."""
        return self._connection.server

    @property
    def unreachable_since(self) -> float | None:
        """time.monotonic() of the first failure since the server last answered; None while it answers."""
        return self._connection.gate.unreachable_since

    def list(self, resource: Resource, *, labels: str = "", fields: str = "", page: int = _PAGE) -> Listing:
        """All objects that the selectors match, read in pages. Items carry no kind and apiVersion, as the server's."""
        query = {"labelSelector": labels, "fieldSelector": fields, "limit": str(page)}
        for _ in range(_FRESH_STARTS):
            try:
                return self._pages(resource, query)
            except Expired:
                continue
        raise Unreachable(
            f"list {resource.plural} in namespace {self.namespace} of {self.server}: its pages expired "
            f"{_FRESH_STARTS} times while they were read; the server or the way to it is too slow"
        )

    def get(self, resource: Resource, name: str) -> dict[str, Any] | None:
        """One object; None where there is none of that name."""
        try:
            return self._send("get", resource, name)
        except Missing:
            return None

    def apply(self, resource: Resource, manifest: Mapping[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        """Create the object or make it what the manifest says: server-side apply, strictly validated, as owner of
        all its fields. Doing it twice changes nothing. Needs the verbs patch and create. A dry run only validates.
        """
        query = {"fieldManager": FIELD_MANAGER, "force": "true", "fieldValidation": "Strict"}
        return self._send(
            "patch",
            resource,
            manifest["metadata"]["name"],
            method="PATCH",
            body=manifest,
            content_type="application/apply-patch+yaml",
            query=query | ({"dryRun": "All"} if dry_run else {}),
        )

    def patch(self, resource: Resource, name: str, change: Mapping[str, Any]) -> dict[str, Any] | None:
        """Merge a change into an object (None removes a field); None where there is none. With metadata.resourceVersion
        in the change, Conflict when the object is no longer at that version.
        """
        query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}
        try:
            return self._send(
                "patch",
                resource,
                name,
                method="PATCH",
                body=change,
                query=query,
                content_type="application/merge-patch+json",
            )
        except Missing:
            return None

    def delete(
        self,
        resource: Resource,
        name: str,
        *,
        propagation: str = "Foreground",
        grace_seconds: int | None = None,
        uid: str | None = None,
    ) -> bool:
        """Ask for an object's end; False where there was none. Conflict when it is not the one with that uid.

        The propagation is always sent: a Job deleted without one leaves its Pods behind. It also stays for a while:
        it is gone when get() says None.
        """
        body: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        if grace_seconds is not None:
            body["gracePeriodSeconds"] = grace_seconds
        if uid is not None:
            body["preconditions"] = {"uid": uid}
        try:
            self._send("delete", resource, name, method="DELETE", body=body)
        except Missing:
            return False
        return True

    def stream(
        self, resource: Resource, query: Mapping[str, str], silence_seconds: float
    ) -> AbstractContextManager[Stream]:
        """A watch's raw events; see watch.Watch for one that looks after itself."""
        request = self._request("watch", resource, query={**query, "watch": "true"})
        return self._connection.stream(request, silence_seconds)

    def close(self) -> None:
        """Close the connections that are kept open; a later call opens new ones."""
        self._connection.close()

    def _pages(self, resource: Resource, query: Mapping[str, str]) -> Listing:
        items: list[dict[str, Any]] = []
        rest = ""
        while True:
            answer = self._send("list", resource, query={**query, "continue": rest})
            meta = answer.get("metadata")
            if not isinstance(meta, dict) or not isinstance(answer.get("items", []) or [], list):
                raise Unreachable(
                    f"list {resource.plural} in namespace {self.namespace} of {self.server}: the answer "
                    f"is not a list; look for a proxy in between"
                )
            items += answer.get("items") or []
            rest = str(meta.get("continue") or "")
            if not rest:
                return Listing(items, str(meta.get("resourceVersion") or ""))

    def _send(self, verb: str, resource: Resource, name: str = "", **parts: Any) -> dict[str, Any]:
        return self._connection.send(self._request(verb, resource, name, **parts))

    def _request(self, verb: str, resource: Resource, name: str = "", **parts: Any) -> Request:
        from pipeline.executors.kubernetes.client.connection import Request  # see connect()

        return Request(
            verb=verb, path=resource.path, namespace=self.namespace, plural=resource.plural, name=name, **parts
        )
