"""What says how far a prediction can be trusted, all of it from one pass of the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jobs.regressor.feature_statistics import FeatureStatistics, mean_distances
from jobs.regressor.predict import Outputs
from jobs.regressor.values import SignalName

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Signals:
    """Of n images, float64 of shape (n,) each."""

    closest_cosine: Floats  # of the prediction to the closest training prompt
    feature_distance: Floats  # of the tower's features to those of training images; about 1 for these
    detail: Floats  # mean difference of neighbouring pixels, 0 to 255

    def of(self, name: SignalName) -> Floats:
        """One of them by its name."""
        match name:
            case "closest_cosine":
                return self.closest_cosine
            case "feature_distance":
                return self.feature_distance
            case "detail":
                return self.detail
            case _:
                assert_never(name)

    def rows(self, rows: NDArray[np.bool_]) -> Signals:
        """Those of some images; `rows` of shape (n,)."""
        return Signals(self.closest_cosine[rows], self.feature_distance[rows], self.detail[rows])


def signals(outputs: Outputs, closest_cosines: ArrayLike, *statistics: FeatureStatistics) -> Signals:
    """The signals of the images that the outputs are for; `closest_cosines` of shape (n,).

    `statistics` are those of the network's features, or of each network's of an ensemble.
    """
    return Signals(
        closest_cosine=np.asarray(closest_cosines, np.float64),
        feature_distance=mean_distances(statistics, outputs.features),
        detail=outputs.detail,
    )
