"""Checkpoints with the discipline of shards: an object named by its digest first, then the record that counts.

A record says `size` and `sha256`, so that a checkpoint that is torn, damaged or half deleted is passed over for the
one before it. Names carry the unit's fingerprint: other parameters or images never continue from here.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Annotated

import safetensors.torch
import torch
from pydantic import Field
from safetensors import SafetensorError
from torch import Tensor

from jobs.errors import Corrupt, NotFound
from jobs.runtime import log
from jobs.shards.digests import sha256
from jobs.shards.records import NAME_DIGITS
from jobs.shards.removal import ensure
from jobs.shards.store import Store, verified
from jobs.shards.strict_json import Count, Digest, JsonModel
from jobs.train.contract import LearnerState

_KEPT = 2  # the newest, and the one before it in case that is damaged
_STATE = "told"  # the tensor of bytes with the JSON, so that one digest covers all; named so since the first checkpoint


class CheckpointRecord(JsonModel):
    """What makes a checkpoint count."""

    object: Annotated[str, Field(pattern=r"^checkpoints/[^\x00-\x1f\x7f]+\.safetensors$")]
    size: Count
    sha256: Digest


class Checkpoints:
    """The checkpoints of one unit, uploaded in the background while training goes on."""

    def __init__(self, store: Store, fingerprint: str) -> None:
        self.store = store
        self.folder = f"checkpoints/{fingerprint[:NAME_DIGITS]}/"
        self._uploads = ThreadPoolExecutor(1)
        self._upload: Future[None] | None = None

    def newest(self) -> tuple[dict[str, Tensor], LearnerState] | None:
        """Tensors and JSON of the newest whole checkpoint, or None; damaged ones are passed over and logged."""
        for record in sorted(self._records(), reverse=True):
            try:
                tensors = safetensors.torch.load(self._object(record))
                state = LearnerState.decode(tensors.pop(_STATE).numpy().tobytes(), f"{self.store.url}/{record}")
            except (Corrupt, NotFound, SafetensorError, KeyError, ValueError) as error:
                log.note("checkpoint passed over", record=record, error=str(error))
                continue
            return tensors, state
        return None

    def save(self, step: int, tensors: dict[str, Tensor], state: LearnerState) -> None:
        """Take the state after `step` steps as it is now and begin to upload it; raises what the last upload did."""
        self.wait()
        state_bytes = torch.frombuffer(bytearray(state.encode()), dtype=torch.uint8)
        contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        body = safetensors.torch.save({**contiguous, _STATE: state_bytes})
        self._upload = self._uploads.submit(self._put, step, body)

    def wait(self) -> None:
        """Return when what was saved is there."""
        if self._upload:
            upload, self._upload = self._upload, None
            upload.result()

    def delete(self) -> None:
        """Delete all of them, records first, when the unit is committed and nothing will continue from here."""
        self._delete([*self._records(), *(stat.name for stat in self.store.list(self.folder))])

    def _put(self, step: int, body: bytes) -> None:
        digest = sha256(body)
        object_ = f"{self.folder}{step:09d}-{digest[:NAME_DIGITS]}.safetensors"
        ensure(self.store, object_, body, size=len(body), sha256_=digest)
        record = f"{self.folder}{step:09d}.json"
        content = CheckpointRecord(object=object_, size=len(body), sha256=digest).encode()
        if not self.store.create(record, content) and not self._is_whole(record):
            self.store.replace(record, content, version=self.store.version(record))
        log.note("checkpoint", step=step, bytes=len(body))
        self._forget_old()

    def _forget_old(self) -> None:
        kept = sorted(self._records())[-_KEPT:]
        oldest = kept[0].removesuffix(".json")
        older = [stat.name for stat in self.store.list(self.folder) if stat.name < oldest]
        self._delete(sorted(older, key=lambda name: not name.endswith(".json")))

    def _delete(self, names: list[str]) -> None:
        for name in names:
            self.store.delete(name)

    def _records(self) -> list[str]:
        return [stat.name for stat in self.store.list(self.folder) if stat.name.endswith(".json")]

    def _object(self, record: str) -> bytes:
        """The bytes that a record stands for; raises Corrupt, NotFound."""
        found = CheckpointRecord.decode(self.store.read(record).data, f"{self.store.url}/{record}")
        return verified(self.store, found.object, size=found.size, sha256_=found.sha256)

    def _is_whole(self, record: str) -> bool:
        try:
            self._object(record)
        except (Corrupt, NotFound):
            return False
        return True
