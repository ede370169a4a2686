"""What a controller asks of a worker: the same JSON for all indexes of a Job, in one variable of their environment."""

from __future__ import annotations

import base64
import zlib
from typing import Any, Literal

from pydantic import Field

from jobs.errors import BadConfiguration, Corrupt
from jobs.runtime.environment import TASK_VARIABLE
from jobs.shards.strict_json import JsonModel

_LONGEST_PLAIN = 32 << 10
_PACKED = "zlib:"


class TaskDescription(JsonModel):
    """One stage's task; the index is not part of it."""

    store: str
    run: str
    stage: str
    action: Literal["make", "check"] = "make"
    """Make what is missing, or read back and check what there is."""

    params: dict[str, Any]
    inputs: dict[str, str]
    """Stage -> digest of its manifest when this task was planned; of a check also the stage's own."""

    completions: int
    units: tuple[str, ...] | None = None
    """Names of the units that had no commit when planned; None for all of the stage's."""

    runs: dict[str, str] = Field(default_factory=dict)
    """Stage -> run of this store that its dataset is taken from, where that is another one."""

    earlier: tuple[str, ...] = ()
    """Other runs of this store from which samples of the stage may be taken over."""

    gang: bool = False
    """Whether all indexes work on the same units, as one world of torch.distributed."""

    settings: str | None = None
    """The digest of the parameters' settings as the controller found them."""

    ship_logs: bool = True
    """Whether the log and the reason of a failure are kept in the store."""

    def to_variable(self) -> str:
        """As JSON, and packed where that is long: one variable of an environment holds 128 KiB at most."""
        text = self.encode()
        if len(text) <= _LONGEST_PLAIN:
            return text.decode()
        return _PACKED + base64.b85encode(zlib.compress(text, 9)).decode()

    @classmethod
    def from_variable(cls, text: str) -> TaskDescription:
        """Raises BadConfiguration when the text is not a description."""
        if not text:
            raise BadConfiguration(f"{TASK_VARIABLE} is required, the description of a task that a controller sets")
        try:
            packed = text.startswith(_PACKED)
            data = zlib.decompress(base64.b85decode(text.removeprefix(_PACKED))) if packed else text.encode()
            return cls.decode(data, TASK_VARIABLE)
        except (ValueError, zlib.error, Corrupt) as error:
            raise BadConfiguration(f"{TASK_VARIABLE} is not the description of a task: {error}") from error
