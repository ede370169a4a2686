"""What a store is known by, and from where it was proved to keep what the commit protocol needs: `store.json`."""

from __future__ import annotations

import secrets
import time
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from jobs.errors import BadConfiguration, NotFound
from jobs.shards.store import Store
from jobs.shards.store_checks import Check, prove_quickly

NAME = "store.json"
_TRIES = 10  # of writing it while others do


class Identity(BaseModel):
    """The object at the root of a store, shared by all its runs."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    format: Literal[1] = 1
    id: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    """Random: one store that is reached by two endpoints is one, and two stores of one address are two."""

    proved: dict[str, Annotated[FiniteFloat, Field(ge=0)]] = {}
    """Endpoint -> Unix time at which the store kept its promises, asked through it."""


def read_identity(root: Store) -> Identity | None:
    """The store's identity in one request, or None where none is noted or the note is damaged."""
    found, _ = _read(root)
    return found


def proved(root: Store) -> Identity:
    """The store's identity, after proving conditional writes unless that was noted; one request where it was.

    Raises BadConfiguration where the store ignores a condition: then nothing else has been written. Two at once both
    prove, and agree on one identity.
    """
    endpoint = root.endpoint
    found, version = _read(root)
    if found and endpoint in found.proved:
        return found
    failed = [check for check in prove_quickly(root) if not check.ok]
    if failed:
        raise BadConfiguration("\n".join(f"{check.name}: {check.detail}" for check in failed))
    for _ in range(_TRIES):
        wanted = _with_proof(found, endpoint)
        body = wanted.model_dump_json().encode()
        if root.create(NAME, body) if version is None else root.replace(NAME, body, version=version):
            return wanted
        found, version = _read(root)  # somebody else was first, and chose the id
        if found and endpoint in found.proved:
            return found
    if found:
        return found  # it is proved, and known to this process at least
    raise BadConfiguration(f"{root.url}/{NAME} cannot be written: others replace or damage it all the time")


def identity_check(root: Store) -> Check:
    """What is noted of the store, for people."""
    found, endpoint = read_identity(root), root.endpoint
    if found is None:
        return Check("identity", True, f"nothing is noted in {root.url}/{NAME} yet; the first run proves the store")
    if endpoint not in found.proved:
        return Check("identity", True, f"store {found.id}, not proved by way of {endpoint} yet; the next run does it")
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(found.proved[endpoint]))
    return Check("identity", True, f"store {found.id}, proved by way of {endpoint} at {when} UTC")


def _read(root: Store) -> tuple[Identity | None, str | None]:
    try:
        body = root.read(NAME)
    except NotFound:
        return None, None
    try:
        return Identity.model_validate_json(body.data), body.version
    except ValidationError:
        return None, body.version


def _with_proof(found: Identity | None, endpoint: str) -> Identity:
    before = found or Identity(id=secrets.token_hex(8))
    return Identity(id=before.id, proved={**before.proved, endpoint: time.time()})
