"""What an operator wishes of a run, kept in its store: to be paused, or to be cancelled. Controllers follow it."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Literal

from jobs.errors import NotFound
from jobs.shards.digests import canonical_json
from jobs.shards.store import Store, overwrite

Wish = Literal["run", "pause", "cancel"]

_CONTROL = "control.json"


def read_wish(store: Store) -> Wish:
    """What was last wished of the run; `store` is the run's."""
    with suppress(NotFound):
        wish: Wish = json.loads(store.read(_CONTROL).data)["wish"]
        return wish
    return "run"


def write_wish(store: Store, wish: Wish) -> None:
    """Wish something else of the run; the last one counts."""
    if wish == "run":
        store.delete(_CONTROL)
    else:
        overwrite(store, _CONTROL, canonical_json({"wish": wish}))
