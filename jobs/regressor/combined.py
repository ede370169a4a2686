"""Several trained networks run over the same images, and their vectors averaged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from jobs.imaging.pixels import Pixels, pixels
from jobs.regressor.ensemble import combine
from jobs.regressor.predict import Outputs
from jobs.regressor.viewer import Viewer


@dataclass(frozen=True, slots=True)
class Combined:
    """An ensemble of two networks or more: unit vectors are averaged with weights, and normalised again."""

    members: tuple[Viewer, ...]
    weights: tuple[float, ...]

    @property
    def largest(self) -> int:
        """The number of the member whose images are the largest, the first of several."""
        sizes = [member.image_size for member in self.members]
        return sizes.index(max(sizes))

    @property
    def image_size(self) -> int:
        """That of this member; for the others the images are resized."""
        return self.members[self.largest].image_size

    def outputs(self, images: Sequence[Pixels], precision: str) -> Outputs:
        """Vectors with their lengths of the ensemble, the members' features beside each other, detail of the images."""
        sizes = dict.fromkeys(member.image_size for member in self.members)
        resized = {size: list(_resized(images, size)) for size in sizes}
        found = [member.outputs(resized[member.image_size], precision) for member in self.members]
        vectors, lengths = combine([one.vectors for one in found], self.weights)
        return Outputs(
            vectors.astype(np.float32),
            np.concatenate([one.features for one in found], axis=1),
            found[self.largest].detail,
            lengths.astype(np.float32),
        )


def _resized(images: Sequence[Pixels], size: int) -> Iterator[Pixels]:
    for image in images:
        yield image if len(image) == size else pixels(Image.fromarray(image), size)
