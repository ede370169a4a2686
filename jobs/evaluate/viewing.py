"""How images are shown to the network, and what other views or another size than those of training gain."""

from __future__ import annotations

import numpy as np

from jobs.contract.reading import ReadGroup
from jobs.contract.samples import Origin
from jobs.evaluate.contract import ViewingGain
from jobs.evaluate.scores import Floats, rounded
from jobs.evaluate.stage import EvaluateParams
from jobs.imaging.pixels import image_in
from jobs.regressor.intervals import paired_difference
from jobs.regressor.metric import cosines
from jobs.regressor.model import Regressor
from jobs.regressor.predict import predict
from jobs.regressor.values import Viewing
from jobs.regressor.viewer import Viewer, viewer_of
from jobs.runtime import log
from jobs.runtime.arrays import vectors_of


def viewing_of(params: EvaluateParams, regressor: Regressor) -> Viewing | None:
    """How images are to be shown; None where that is plainly, however the parameters say so."""
    size = None if params.image_size == regressor.architecture.image_size else params.image_size
    viewing = Viewing(views=params.views, image_size=size)
    return None if viewing == Viewing() else viewing


def viewing_gain(images: ReadGroup[Origin], viewer: Viewer, viewed: Floats, params: EvaluateParams) -> ViewingGain:
    """By how much the cosines of the images, of shape (n,), are above those of the image alone in training's size."""
    regressor, plain, done = viewer.regressor, list[Floats](), 0
    samples = predict(viewer_of(regressor), images.samples(), lambda one: (one.key, image_in(one.raw)), params)
    for batch, found in samples:
        plain.append(cosines(found.vectors, vectors_of(sample.raw for sample in batch)))
        done += len(batch)
        log.progress(done, len(viewed), "held-out images, as in training")
    before = np.concatenate(plain)
    found_interval = paired_difference(before, viewed, num_resamples=params.num_resamples, seed=params.seed).interval
    return ViewingGain(
        views=params.views,
        image_size=viewer.image_size,
        trained_image_size=regressor.architecture.image_size,
        plain_score=rounded(before.mean()),
        gain=rounded((viewed - before).mean()),
        interval=found_interval and (rounded(found_interval[0]), rounded(found_interval[1])),
    )
