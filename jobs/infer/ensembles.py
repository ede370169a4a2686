"""Several trained models that predict together: opened by their names, and the weights fitted for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jobs.composing.values import VocabularyRecord
from jobs.contract.reading import TypedSample
from jobs.errors import BadConfiguration, BadData
from jobs.evaluate.stage import CHECKED, SPLIT
from jobs.infer.models import Model, open_model
from jobs.regressor.confidence import fit_confidence
from jobs.regressor.ensemble import combine
from jobs.regressor.ensemble_gain import ensemble_record
from jobs.regressor.held_out_vectors import HeldOutVectors, decode_held_out
from jobs.regressor.metric import cosines
from jobs.regressor.signals import Signals
from jobs.regressor.values import Confidence, EnsembleRecord, HeldOutRecord
from jobs.shards.digests import digest_of, sha256

_BETWEEN = ","

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class EnsembleModel:
    """Two models or more. What explains predictions, all but the confidence, is the first one's."""

    name: str
    members: tuple[Model, ...]
    record: EnsembleRecord
    fitting: tuple[HeldOutVectors, ...]  # of each member, of the images that the weights were fitted on
    held_out: tuple[str, ...]  # digests of all that each member has kept of held-out images

    @property
    def weights(self) -> tuple[float, ...]:
        """Of the members, in their order."""
        return self.record.normalised.weights

    @property
    def reads(self) -> Mapping[str, str]:
        """Digests of all members' parts, and of the vectors that weights and confidence follow from."""
        parts = {
            f"{number}/{label}": digest
            for number, member in enumerate(self.members, 1)
            for label, digest in member.reads.items()
        }
        return {**parts, "held-out": digest_of(list(self.held_out))}

    def prompts(self) -> Iterator[tuple[list[str], Floats]]:
        """The first one's training prompts."""
        return self.members[0].prompts()

    def vocabulary(self) -> TypedSample[VocabularyRecord] | None:
        """What the first one composes prompts of."""
        return self.members[0].vocabulary()

    def confidence(self, closest_cosines: Callable[[Floats], Floats], largest: int) -> Confidence:
        """How sure the ensemble is, fitted as each member's was.

        `closest_cosines` gives for vectors, float32 of shape (n, 384), their cosines to the closest training prompts.
        An image's feature distance is the mean of the members', its detail what the member with this number sees, whose
        images are the largest.
        """
        first = self.members[0].confidence().value
        together = combine([one.vectors for one in self.fitting], self.weights)[0].astype(np.float32)
        found = Signals(
            closest_cosines(together).astype(np.float64),
            np.mean([one.feature_distance for one in self.fitting], axis=0, dtype=np.float64),
            self.fitting[largest].detail.astype(np.float64),
        )
        return fit_confidence(
            found,
            cosines(together, self.fitting[0].true),
            error_rate=first.error_rate,
            feature_images=first.feature_images,
        )


AnyModel = Model | EnsembleModel


def open_models(names: str, store: str) -> AnyModel:
    """The model of that name, as `open_model` has it; or of several, "A,B", the ensemble.

    Raises what `open_model` does, and BadConfiguration for models that were not evaluated on the same images.
    """
    if _BETWEEN not in names or Path(names).is_dir():
        return open_model(names, store)
    listed = [name.strip() for name in names.split(_BETWEEN)]
    if not all(listed) or len(set(listed)) < len(listed):
        raise BadConfiguration(
            f"--model: different models with a comma between two of them are required, given {names!r}"
        )
    members = tuple(open_model(name, store) for name in listed)
    for (first, one), (second, other) in combinations(zip(listed, members, strict=True), 2):
        if one.reads == other.reads:
            raise BadConfiguration(f"--model: {first} and {second} are the same model; different ones are required")
    return ensemble_of(listed, members)


def ensemble_of(names: Sequence[str], members: Sequence[Model]) -> EnsembleModel:
    """The ensemble of models that were opened by these names; raises BadConfiguration, Corrupt."""
    samples = [_held_out(name, member) for name, member in zip(names, members, strict=True)]
    records = [sample.value for sample in samples]
    for name, record in zip(names[1:], records[1:], strict=True):
        if record.reads != records[0].reads:
            raise BadConfiguration(
                f"--model: {names[0]} and {name} were evaluated on different images, so that no weights can be fitted "
                "and no gain measured: train both from the same data, the second with the first one's configuration, "
                "another `run` and other settings of train alone (`i2p run --run SECOND --set train.seed=1`)"
            )
    found = [decode_held_out(sample["safetensors"], sample.value) for sample in samples]
    splits = {split: _common(split, records, [one[split] for one in found]) for split in records[0].keys}
    own = [member.name for member in members]
    shown = own if len(set(own)) == len(own) else names  # runs of different stores may have one name
    measured = ensemble_record(shown, splits, fitted_on=SPLIT, checked_on=CHECKED)
    digests = tuple(digest_of([sha256(sample[field]) for field in ("json", "safetensors")]) for sample in samples)
    return EnsembleModel(_BETWEEN.join(shown), tuple(members), measured, tuple(splits[SPLIT]), digests)


def _held_out(name: str, member: Model) -> TypedSample[HeldOutRecord]:
    sample = member.held_out()
    if sample is None:
        raise BadConfiguration(
            f"--model: {name} was evaluated before vectors of held-out images were kept, from which an ensemble's "
            "weights come: run evaluate anew (`i2p run`), and export the model again if it is an exported one"
        )
    return sample


def _common(split: str, records: Sequence[HeldOutRecord], found: Sequence[HeldOutVectors]) -> list[HeldOutVectors]:
    """Of the images that all have kept, which are the first ones of the split."""
    count = min(len(one.keys[split]) for one in records)
    if any(one.keys[split][:count] != records[0].keys[split][:count] for one in records):
        raise BadData(f"the vectors of held-out images of {split} are in different orders; run evaluate anew")
    return [one.rows(slice(count)) for one in found]
