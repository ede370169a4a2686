"""The held-out images with all that is predicted for them, and their closest training prompts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.contract.reading import ReadGroup, ReadSplits, TypedSample
from jobs.contract.samples import DIMENSIONS, Origin
from jobs.errors import BadData
from jobs.evaluate.stage import SPLIT, EvaluateParams
from jobs.imaging.pixels import decode, image_in
from jobs.imaging.thumbnails import centred, thumbnail
from jobs.regressor.feature_statistics import FeatureStatistics, feature_distances
from jobs.regressor.predict import predict
from jobs.regressor.viewer import Viewer
from jobs.runtime import log
from jobs.runtime.arrays import from_npy, vectors_of
from jobs.shards.records import Shard
from jobs.similarity.closest import closest

Floats = NDArray[np.float32]
Samples = ReadGroup[Origin]


@dataclass(frozen=True, slots=True)
class HeldOut:
    """n held-out images, in the dataset's order."""

    keys: tuple[str, ...]
    sources: tuple[str, ...]  # of their prompts
    true: Floats  # unit vectors of their prompts, float32 of shape (n, 384)
    predicted: Floats  # unit vectors the network gives for the images, float32 of shape (n, 384)
    feature_distance: NDArray[np.float64]  # to training images, of shape (n,); all features would be 1 GB of 300,000
    detail: NDArray[np.float64]  # of shape (n,)
    lengths: Floats  # of what the head gave for them, before it was normalised, float32 of shape (n,)


def require_held_out(images: ReadSplits[Origin]) -> None:
    """Raise BadData where there are no images to score."""
    if not images[SPLIT].num_samples:
        raise BadData(
            f"there are no held-out images to score: the dataset {images.stage} has none of split {SPLIT!r}; make more "
            "prompts, or hold out a larger fraction in dedup"
        )


def load_held_out(
    images: ReadSplits[Origin], viewer: Viewer, statistics: FeatureStatistics, params: EvaluateParams
) -> tuple[HeldOut, Floats]:
    """Predict all images that are scored; with their `centred` thumbnails, float32 of shape (n, 768)."""
    group = images[SPLIT]
    small = []

    def samples() -> Iterator[TypedSample[Origin]]:
        for sample in group.samples():
            small.append(thumbnail(decode(image_in(sample.raw), sample.key)))
            yield sample

    held_out = predicted_images(samples(), group.num_samples, viewer, statistics, params)
    return held_out, centred(small)


def predicted_images(
    samples: Iterable[TypedSample[Origin]],
    total: int,
    viewer: Viewer,
    statistics: FeatureStatistics,
    params: EvaluateParams,
) -> HeldOut:
    """Predict `total` images, at least one."""
    keys: list[str] = []
    sources: list[str] = []
    true: list[Floats] = []
    predicted: list[Floats] = []
    distances, detail, lengths = [], [], []
    for batch, found in predict(viewer, samples, lambda sample: (sample.key, image_in(sample.raw)), params):
        keys += [sample.key for sample in batch]
        sources += [sample.value.source for sample in batch]
        true.append(vectors_of(sample.raw for sample in batch))
        predicted.append(found.vectors)
        distances.append(feature_distances(statistics, found.features))
        detail.append(found.detail)
        lengths.append(found.lengths)
        log.progress(len(keys), total, "held-out images")
    return HeldOut(
        tuple(keys),
        tuple(sources),
        np.concatenate(true),
        np.concatenate(predicted),
        np.concatenate(distances),
        np.concatenate(detail),
        np.concatenate(lengths),
    )


def training_features(images: Samples, viewer: Viewer, params: EvaluateParams) -> Floats:
    """The tower's features of the first training images, float32 of shape (n, d); raises BadData without one."""
    shards = first_shards(images.shards(), params.num_feature_images)
    total = sum(shard.samples for shard in shards)
    if not total:
        raise BadData(f"the dataset {images.stage} has no training images to compare features with")
    samples = (sample for shard in shards for sample in images.read(shard))
    features: list[Floats] = []
    done = 0
    for batch, found in predict(viewer, samples, lambda sample: (sample.key, image_in(sample.raw)), params):
        features.append(found.features)
        done += len(batch)
        log.progress(done, total, "training images, for their features")
    return np.concatenate(features)


@dataclass(frozen=True, slots=True)
class Closest:
    """What a pass over all training prompts' vectors gives; prompts are numbered through all shards."""

    num_prompts: int
    constant: Floats  # the prompts' mean vector, normalised, float32 of shape (384,)
    to_true: tuple[Floats, NDArray[np.int64]]  # of each true vector: cosine and number of the closest, shape (n, 1)
    to_predicted: tuple[Floats, NDArray[np.int64]]  # of each prediction: the same of several, shape (n, candidates)
    to_checked: Floats  # of each prediction of the images that confidence is checked on: cosine of the closest, (m,)


def closest_prompts(
    prompts: Samples, held_out: HeldOut, checked: HeldOut | None, num_closest: int, params: EvaluateParams
) -> Closest:
    """Compare with every training prompt, a shard at a time; raises BadData where there are none."""
    total, done = np.zeros(held_out.true.shape[1]), 0
    num_prompts = prompts.num_samples
    if not num_prompts:
        raise BadData(f"the dataset {prompts.stage} has no training prompts to compare with")

    def blocks() -> Iterator[Floats]:
        nonlocal total, done
        for shard in prompts.shards():
            if shard.samples:
                vectors = vectors_of(sample.raw for sample in prompts.read(shard))
                total = total + vectors.sum(axis=0, dtype=np.float64)
                yield vectors
            done += shard.samples
            log.progress(done, num_prompts, "training prompts")

    count = len(held_out.true)
    queries = np.concatenate([held_out.true, held_out.predicted, *([checked.predicted] if checked else [])])
    cosines, numbers = closest(blocks(), queries, num_closest, threads=params.threads, device=params.device)
    constant = (total / np.linalg.norm(total)).astype(np.float32)
    return Closest(
        num_prompts=num_prompts,
        constant=constant,
        to_true=(cosines[:count, :1], numbers[:count, :1]),
        to_predicted=(cosines[count : 2 * count], numbers[count : 2 * count]),
        to_checked=cosines[2 * count :, 0],
    )


def prompts_numbered(prompts: Samples, numbers: Iterable[int]) -> dict[int, TypedSample[Origin]]:
    """The training prompts of these numbers, reading only the shards they stand in."""
    wanted = set(numbers)
    found: dict[int, TypedSample[Origin]] = {}
    start = 0
    for shard in prompts.shards():
        here = wanted.intersection(range(start, start + shard.samples))
        if here:
            found |= {number: sample for number, sample in enumerate(prompts.read(shard), start) if number in here}
        start += shard.samples
    return found


def neighbour_vectors(images: Samples, thumbnails: Floats, params: EvaluateParams) -> tuple[Floats, int]:
    """For each held-out image the vector of the training prompt whose image looks most alike, and how many were seen.

    `thumbnails` are those of the held-out images. Alike is the distance of 16 x 16 thumbnails; of equally close ones
    the first counts.
    """
    shards = first_shards(images.shards(), params.num_neighbour_images)
    seen, total = 0, sum(shard.samples for shard in shards)
    best = np.full(len(thumbnails), np.inf)
    vectors = np.zeros((len(thumbnails), DIMENSIONS), np.float32)
    for shard in shards:
        samples = list(images.read(shard))
        others = centred([thumbnail(decode(image_in(sample.raw), sample.key)) for sample in samples])
        distances, rows = closest_rows(thumbnails, others)
        for better in np.flatnonzero(distances < best):
            vectors[better] = from_npy(samples[rows[better]]["npy"])
        best = np.minimum(best, distances)
        seen += len(samples)
        log.progress(seen, total, "training images, for the nearest-neighbour baseline")
    return vectors, seen


def closest_rows(queries: Floats, others: Floats) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Squared distance to, and row of, the closest of `others` for each query; exact for `centred` thumbnails."""
    products = (queries @ others.T).astype(np.float64)
    distances = (others.astype(np.float64) ** 2).sum(axis=1) - 2 * products
    rows = distances.argmin(axis=1)
    own = (queries.astype(np.float64) ** 2).sum(axis=1)
    return distances[np.arange(len(queries)), rows] + own, rows


def first_shards(shards: Sequence[Shard], count: int) -> list[Shard]:
    """As many whole shards from the beginning as hold `count` samples, or all."""
    taken: list[Shard] = []
    for shard in shards:
        if sum(one.samples for one in taken) >= count:
            break
        if shard.samples:
            taken.append(shard)
    return taken
