"""The images of a unit that could not be predicted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from jobs.errors import NotFound
from jobs.imaging.decoding import BadImage
from jobs.infer.contract import Predicted, Prediction
from jobs.infer.files import escaped
from jobs.infer.pictures import Picture
from jobs.shards.dataset import Writer
from jobs.shards.keys import key_of_id
from jobs.shards.tar import Sample

_GONE = "deleted before it was read"


@dataclass(slots=True)
class BadImages:
    """A sample for each image that could not be predicted, which holds no vector.

    What is stored has fixed words, so that it is the same wherever and whenever it is made; `note` is told more.
    """

    output: Predicted[Writer]
    note: Callable[[int, str], None]  # how many there are so far, and the error
    samples: list[Sample] = field(default_factory=list)

    def add(self, picture: Picture, error: BadImage) -> None:
        """Record what is no image, or takes too much."""
        self._record(picture.id, error.reason, str(error))

    def add_gone(self, id_: str, error: NotFound) -> None:
        """Record what is not there any more."""
        self._record(id_, _GONE, str(error))

    def add_refused(self, name: str, reason: str) -> None:
        """Record a file that is not read for its name; no other record can have this id, so it is nobody's key."""
        self._record(escaped(name), reason, f"{name!a}: {reason}")

    def _record(self, id_: str, reason: str, error: str) -> None:
        self.samples.append(self.output.predictions.sample(key_of_id(id_), Prediction(id=id_, error=reason)))
        self.note(len(self.samples), error)
