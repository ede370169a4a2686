"""What an operator wishes of a run, kept in its store: to be paused, or to be cancelled. Controllers follow it."""

from __future__ import annotations

from contextlib import suppress
from typing import Literal

from pydantic import BaseModel, TypeAdapter

from jobs.errors import NotFound
from jobs.shards.store import Store, overwrite
from jobs.shards.strict_json import STRICT, decode

Wish = Literal["run", "pause", "cancel"]

CONTROL = "control.json"


class _Control(BaseModel):
    model_config = STRICT

    wish: Wish


_MODEL = TypeAdapter(_Control)


def read_wish(store: Store) -> Wish:
    """What was last wished of the run; `store` is the run's. Raises Corrupt for what nobody wrote like this."""
    with suppress(NotFound):
        where, what_to_do = f"{store.url}/{CONTROL}", "`i2p pause`, `i2p resume` or `i2p cancel` writes it anew"
        return decode(_MODEL, store.read(CONTROL).data, where, "a wish", what_to_do).wish
    return "run"


def write_wish(store: Store, wish: Wish) -> None:
    """Wish something else of the run; the last one counts."""
    if wish == "run":
        store.delete(CONTROL)
    else:
        overwrite(store, CONTROL, _Control(wish=wish).model_dump_json().encode())
