"""What an operator wants of a run, kept in its store: to be paused, or to be cancelled. Controllers follow it."""

from __future__ import annotations

from contextlib import suppress
from typing import Literal

from pydantic import Field

from jobs.errors import NotFound
from jobs.shards.store import Store, overwrite
from jobs.shards.strict_json import JsonModel

DesiredState = Literal["run", "pause", "cancel"]

CONTROL = "control.json"


class Control(JsonModel):
    """The object in the run's folder."""

    desired: DesiredState = Field(validation_alias="wish", serialization_alias="wish")


def read_desired_state(store: Store) -> DesiredState:
    """What was last wanted of the run; `store` is the run's. Raises Corrupt for what nobody wrote like this."""
    with suppress(NotFound):
        where, what_to_do = f"{store.url}/{CONTROL}", "`i2p pause`, `i2p resume` or `i2p cancel` writes it anew"
        return Control.decode(store.read(CONTROL).data, where, what_to_do).desired
    return "run"


def write_desired_state(store: Store, desired: DesiredState) -> None:
    """Want something else of the run; the last one counts."""
    if desired == "run":
        store.delete(CONTROL)
    else:
        overwrite(store, CONTROL, Control(desired=desired).encode())
