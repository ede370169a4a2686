"""What a trained run predicts for images. The one seam to inference: all else works on `Predicted` alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from jobs.contract.declaration import Contract
from jobs.contract.samples import TRAIN
from jobs.dedup.contract import Deduplicated
from jobs.errors import NotFound
from jobs.evaluate.contract import Evaluated
from jobs.imaging.foreign import READERS, decoders
from jobs.imaging.limits import ImageLimits
from jobs.imaging.pixels import BadImage, Pixels
from jobs.regressor.calibration import expected
from jobs.regressor.params import PredictParams
from jobs.regressor.predict import in_batches, predict_batches
from jobs.regressor.saved_model import load_regressor
from jobs.runtime.arrays import vectors_of
from jobs.runtime.device import prepare_torch
from jobs.runtime.prefetch import prefetch
from jobs.shards.address import open_store
from jobs.shards.dataset import Dataset, load_manifest
from jobs.shards.store import Store
from jobs.similarity.closest import closest_in, index_of
from jobs.train.contract import Trained

RUNS = "runs"  # the store of the presets, in which a run is found by its name

Floats = NDArray[np.float32]
C = TypeVar("C", bound=Contract[Any])


@dataclass(frozen=True, slots=True)
class Image:
    """An image to be read: its name, and its bytes."""

    id: str
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """What was read out of an image; `vector` is a unit vector, float32 of shape (384,)."""

    id: str
    vector: Floats
    expected_cosine: float | None
    """None where the model abstained."""

    abstained: str | None = None
    """Why the model does not vouch for it."""

    candidates: tuple[tuple[str, float], ...] = ()
    """Training prompts and their cosines to the vector, the closest first."""


@dataclass(frozen=True)
class Model:
    """A trained run, by its name in RUNS or its address."""

    address: str
    params: PredictParams
    limits: ImageLimits = field(default_factory=ImageLimits)
    num_candidates: int = 3

    @cached_property
    def store(self) -> Store:
        return open_store(self.address if "/" in self.address else f"{RUNS}/{self.address}")

    def predictions(self, images: Iterable[Image]) -> Iterator[Predicted]:
        """The predictions for images that can be decoded, in their order; others are left out.

        Raises NotFound where the run has no network, training prompts or scores.
        """
        device = prepare_torch(self.params)
        calibration = self._get(Evaluated[Dataset]).calibration.value()
        regressor = load_regressor(self._get(Trained[Dataset]).model.sample()).to(device)
        prompts: list[str] = []
        index = index_of(self._training_vectors(prompts), self.params.device)
        size, threads = regressor.architecture.image_size, self.params.threads
        with decoders(self.limits, threads) as decode:

            def decoded(image: Image) -> tuple[Image, Pixels | BadImage]:
                try:
                    rgb = decode(image.data, image.id, size).rgb
                except BadImage as error:
                    return image, error
                return image, np.frombuffer(rgb, np.uint8).reshape(size, size, 3)

            ready = prefetch(decoded, images, threads=threads + READERS, depth=2 * threads * self.params.batch_size)
            batches = in_batches(ready, self.params.batch_size)
            for batch, vectors in predict_batches(regressor, batches, self.params, lambda image, error: None):
                cosines, rows = closest_in(index, vectors, self.num_candidates, threads=threads)
                sure = expected(calibration, cosines[:, 0]).tolist()
                for number, image in enumerate(batch):
                    candidates = tuple(
                        (prompts[row], cosine)
                        for row, cosine in zip(rows[number].tolist(), cosines[number].tolist(), strict=True)
                    )
                    yield Predicted(
                        id=image.id, vector=vectors[number], expected_cosine=sure[number], candidates=candidates
                    )

    def training_mean(self) -> Floats:
        """The normalised mean vector of the training prompts, float32 of shape (384,): what needs no image at all."""
        total = sum(vectors.sum(axis=0, dtype=np.float64) for vectors in self._training_vectors([]))
        mean: Floats = (total / np.linalg.norm(total)).astype(np.float32)
        return mean

    def _training_vectors(self, prompts: list[str]) -> Iterator[Floats]:
        """The vectors of all training prompts, shard by shard; their texts are added to `prompts`."""
        training = self._get(Deduplicated[Dataset]).splits[TRAIN]
        if not training.num_samples:
            raise NotFound(f"the run {self.address!r} has no training prompts to explain predictions with")
        for shard in training.shards():
            if samples := list(training.read(shard)):
                prompts.extend(sample.text() for sample in samples)
                yield vectors_of(sample.raw for sample in samples)

    def _get(self, contract: type[C]) -> C:
        home = self.store.at(contract.stage)
        manifest = load_manifest(home)
        if manifest is None:
            raise NotFound(
                f"--model: the run {self.address!r} ({self.store.url}) has not finished {contract.stage}, which a "
                "model needs; name a run that is trained and evaluated, by its name in ./runs or its address"
            )
        return contract(Dataset(home, manifest))
