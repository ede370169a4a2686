"""A trained model as a folder of plain files, which needs neither a run nor a store.

model.json                what it is: the run, digests of all files, sources and licences of its prompts
network.json, network.safetensors          architecture and weights
confidence.json, confidence.safetensors    when to expect what, and the statistics of features that takes
held_out.json, held_out.safetensors        its vectors of held-out images, which an ensemble needs; not always there
prompts.jsonl, prompts.npy                 the training prompts, and their vectors, float32 of shape (n, 384)
vocabulary.json, vocabulary.npy            fragments of them to compose prompts of, and their vectors
README.md
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from jobs.composing.values import VocabularyRecord
from jobs.contract.reading import TypedSample
from jobs.contract.samples import DIMENSIONS
from jobs.errors import Corrupt
from jobs.infer.npy import npy_header
from jobs.regressor.values import Architecture, Confidence, HeldOutRecord
from jobs.shards.store import Store, verified
from jobs.shards.strict_json import Count, Digest, JsonModel
from jobs.shards.tar import Sample

MODEL = "model.json"
NETWORK, CONFIDENCE, VOCABULARY, HELD_OUT = "network", "confidence", "vocabulary", "held_out"
PROMPTS, VECTORS = "prompts.jsonl", "prompts.npy"
_BLOCK = 16_384  # prompts
_AGAIN = "export the model again"

Floats = NDArray[np.float32]
M = TypeVar("M", bound=JsonModel)


class ModelFile(JsonModel):
    """A file of the folder; `size` is in bytes."""

    size: Count
    sha256: Digest


class KnownPrompt(JsonModel):
    """A line of `prompts.jsonl`."""

    prompt: str
    source: str
    licence: str | None = None


class ModelRecord(JsonModel):
    """What `model.json` says."""

    format: Literal[1] = 1
    run: str
    """The name of the run that trained it."""

    reads: dict[str, str]
    """Digests of its parts in that run."""

    prompts: Count
    origins: tuple[tuple[str, str, Count], ...]
    """Training prompts by source and licence, which is empty where the source states none."""

    files: dict[str, ModelFile]


@dataclass(frozen=True, slots=True)
class FolderModel:
    """The model of a folder; its files are verified as they are read."""

    store: Store
    record: ModelRecord

    @classmethod
    def at(cls, store: Store) -> FolderModel:
        """The model in that folder; raises Corrupt, NotFound."""
        return cls(store, ModelRecord.decode(store.read(MODEL).data, f"{store.url}/{MODEL}"))

    @property
    def name(self) -> str:
        return self.record.run

    @property
    def reads(self) -> Mapping[str, str]:
        return self.record.reads

    def network(self) -> TypedSample[Architecture]:
        return self._sample(NETWORK, "safetensors", Architecture)

    def confidence(self) -> TypedSample[Confidence]:
        return self._sample(CONFIDENCE, "safetensors", Confidence)

    def held_out(self) -> TypedSample[HeldOutRecord] | None:
        return self._sample(HELD_OUT, "safetensors", HeldOutRecord) if f"{HELD_OUT}.json" in self.record.files else None

    def prompts(self) -> Iterator[tuple[list[str], Floats]]:
        count = self.record.prompts
        with self._open(PROMPTS) as texts, self._open(VECTORS) as vectors:
            vectors.read(len(npy_header(count)))
            for start in range(0, count, _BLOCK):
                size = min(_BLOCK, count - start)
                prompts = [KnownPrompt.decode(texts.readline(), f"a line of {PROMPTS}").prompt for _ in range(size)]
                block = np.frombuffer(vectors.read(4 * DIMENSIONS * size), "<f4")
                yield prompts, block.reshape(size, DIMENSIONS).astype(np.float32)

    def vocabulary(self) -> TypedSample[VocabularyRecord] | None:
        there = f"{VOCABULARY}.json" in self.record.files  # not of a folder from before prompts were composed
        return self._sample(VOCABULARY, "npy", VocabularyRecord) if there else None

    def _sample(self, name: str, arrays: str, model: type[M]) -> TypedSample[M]:
        files = {field: f"{name}.{field}" for field in ("json", arrays)}
        content = {field: self._content(file) for field, file in files.items()}
        return TypedSample(Sample(name, content), model)

    def _content(self, name: str) -> bytes:
        file = self._recorded(name)
        return verified(self.store, name, size=file.size, sha256_=file.sha256)

    def _open(self, name: str) -> BinaryIO:
        file = self._recorded(name)
        if not self.store.holds(name, size=file.size, sha256=file.sha256):
            raise Corrupt(f"{self.store.url}/{name} is not the file that {MODEL} names; {_AGAIN}")
        return self.store.open(name)

    def _recorded(self, name: str) -> ModelFile:
        if name not in self.record.files:
            raise Corrupt(f"{self.store.url}/{MODEL} names no {name}; {_AGAIN}")
        return self.record.files[name]
