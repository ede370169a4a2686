"""Trained models to predict with: of a run, or of a folder that one was exported to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from jobs.composing.values import VocabularyRecord
from jobs.contract.reading import TypedSample
from jobs.contract.samples import TRAIN
from jobs.cut_prompts.contract import CutPrompts
from jobs.errors import BadConfiguration, NotFound
from jobs.infer.contract import InferInputs, ModelInputs
from jobs.infer.model_folder import MODEL, FolderModel
from jobs.infer.stage import reads_of_model
from jobs.regressor.values import Architecture, Confidence, HeldOutRecord
from jobs.runtime.arrays import vectors_of
from jobs.runtime.environment import store_patience
from jobs.shards.address import open_store
from jobs.shards.dataset import Dataset, load_manifest
from jobs.shards.records import Manifest
from jobs.shards.store import Store

Floats = NDArray[np.float32]


class Model(Protocol):
    """All that a trained model is."""

    @property
    def name(self) -> str:
        """Of the run that trained it."""

    @property
    def reads(self) -> Mapping[str, str]:
        """Digests of its parts, the same of a run and of what is exported of it."""

    def network(self) -> TypedSample[Architecture]:
        """The network, with its weights as `safetensors`."""

    def confidence(self) -> TypedSample[Confidence]:
        """How sure it is, with the statistics of features as `safetensors`."""

    def held_out(self) -> TypedSample[HeldOutRecord] | None:
        """Its vectors of held-out images as `safetensors`; None of one that was evaluated before they were kept."""

    def prompts(self) -> Iterator[tuple[list[str], Floats]]:
        """Its training prompts in order, some at a time, with their unit vectors, float32 of shape (n, 384)."""

    def vocabulary(self) -> TypedSample[VocabularyRecord] | None:
        """What prompts are composed of, with the vectors as `npy`; None of a model from before prompts were cut."""


@dataclass(frozen=True, slots=True)
class RunModel:
    """The model of a run."""

    name: str
    inputs: InferInputs | ModelInputs

    @property
    def reads(self) -> Mapping[str, str]:
        return reads_of_model(self.inputs)

    def network(self) -> TypedSample[Architecture]:
        return self.inputs.trained.model.sample()

    def confidence(self) -> TypedSample[Confidence]:
        return self.inputs.evaluated.confidence.sample()

    def held_out(self) -> TypedSample[HeldOutRecord] | None:
        return next(self.inputs.evaluated.held_out.samples(), None)

    def prompts(self) -> Iterator[tuple[list[str], Floats]]:
        prompts = self.inputs.prompts.splits[TRAIN]
        for shard in prompts.shards():
            if samples := list(prompts.read(shard)):
                yield [sample.text() for sample in samples], vectors_of(sample.raw for sample in samples)

    def vocabulary(self) -> TypedSample[VocabularyRecord] | None:
        return next(self.inputs.cut.vocabulary.samples(), None)


def open_model(model: str, store: str) -> Model:
    """The model of that name: a folder or s3://… of an exported model or of a run, or the name of a run in the store.

    Raises BadConfiguration where there is none, NotFound where a run lacks a part of one, StoreError.
    """
    tried = [model] if "/" in model else [f"{store.rstrip('/')}/{model}", model]
    for address in tried:
        at = open_store(address, patience_seconds=store_patience())
        if at.stat(MODEL):
            return FolderModel.at(at)
        if any(load_manifest(at.at(stage)) for stage in ModelInputs.stages()):
            return _of_run(address, at)
    raise BadConfiguration(
        f"--model: there is no trained run and no exported model in {' or '.join(tried)}; name a run that has been "
        "evaluated (`i2p runs` lists them; --store says where they are), or a folder of `i2p export model`"
    )


def _of_run(address: str, store: Store) -> RunModel:
    datasets = []
    for stage in ModelInputs.stages():
        manifest = load_manifest(store.at(stage))
        if manifest is None and stage == CutPrompts.stage:  # of a run from before there was this stage
            manifest = Manifest(stage, ())
        if manifest is None:
            raise NotFound(
                f"the run {address} has no {stage} yet, of which a model is made; `i2p run` makes it. A run that takes "
                "it from another one by `inputs` has no model of its own: name the other"
            )
        datasets.append(Dataset(store.at(stage), manifest))
    return RunModel(address.rstrip("/").rpartition("/")[2], ModelInputs(datasets))
