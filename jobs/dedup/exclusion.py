"""What is left out before the filter, and so out of everything after it: whole sources, licences, single prompts."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import field_validator

from jobs.contract.samples import Given, Origin
from jobs.errors import BadConfiguration, BadData, NotFound
from jobs.runtime.environment import store_patience
from jobs.runtime.spec import Params
from jobs.shards.address import open_file
from jobs.shards.digests import digest_of
from jobs.shards.keys import KEY_DIGITS


class ExcludeParams(Params):
    """What is left out of everything downstream. What was made for all other prompts is taken over."""

    sources: tuple[str, ...] = ()
    """Sources by their names."""

    licences: tuple[str, ...] = ()
    """Licences, as sources state them."""

    keys: str | None = None
    """A file (a path or s3://BUCKET/KEY) with the keys of prompts, one a line; an empty line and what follows a `#` do
    not count."""

    @field_validator("sources", "licences")
    @classmethod
    def _in_any_order(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(set(names)))

    def settings(self) -> dict[str, Any]:
        """What is not the default, with the keys themselves in place of their file's name."""
        found = self.model_dump(mode="json", exclude_defaults=True)
        return {**found, "keys": digest_of(sorted(_keys_in(self.keys)))} if self.keys else found


@dataclass(frozen=True, slots=True)
class Exclusion:
    """The same, ready to be asked."""

    sources: Collection[str]
    licences: Collection[str]
    keys: Collection[str]

    def excludes(self, key: str, origin: Origin) -> bool:
        """Whether a prompt is left out."""
        licence = (origin.model_extra or {}).get("licence")
        return key in self.keys or origin.source in self.sources or licence in self.licences

    def excludes_image(self, given: Given) -> bool:
        """Whether an image that a source gave is."""
        return given.source in self.sources or given.licence in self.licences


def exclusion_of(params: ExcludeParams) -> Exclusion:
    """Raises BadConfiguration where the file of keys is missing, BadData where it holds something else."""
    keys = _keys_in(params.keys) if params.keys else frozenset[str]()
    return Exclusion(frozenset(params.sources), frozenset(params.licences), keys)


@cache  # a worker asks for each of its units
def _keys_in(address: str) -> frozenset[str]:
    store, name = open_file(address, patience_seconds=store_patience())
    try:
        text = store.read(name).data.decode()
    except NotFound as error:
        raise BadConfiguration(f"exclude.keys: there is no file {address!r}") from error
    except UnicodeDecodeError as error:
        raise BadData(f"exclude.keys: {address} is not text: {error}") from error
    keys = frozenset(key for line in text.splitlines() if (key := line.partition("#")[0].strip()))
    for key in keys:
        if len(key) != KEY_DIGITS or not set(key) <= set("0123456789abcdef"):
            raise BadData(
                f"exclude.keys: {address}: a key of {KEY_DIGITS} hexadecimal digits is required, given {key[:60]!r}; "
                "`i2p export dedup` lists those of a run"
            )
    return keys
