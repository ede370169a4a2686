"""Writes the score with its interval, baselines and leak check, every image's cosine, and the best and worst cases."""

from __future__ import annotations

from itertools import islice

import numpy as np
from numpy.typing import NDArray

from jobs.compare_images.contract import Staying
from jobs.contract.reading import ReadGroup
from jobs.contract.samples import TRAIN, Origin
from jobs.evaluate.contract import (
    Differences,
    Evaluated,
    EvaluateInputs,
    Metrics,
    MetricsSummary,
    Reliability,
    SourceScore,
    Texts,
    ViewingGain,
)
from jobs.evaluate.held_out import (
    Closest,
    HeldOut,
    closest_prompts,
    load_held_out,
    neighbour_vectors,
    predicted_images,
    prompts_numbered,
    require_held_out,
    training_features,
)
from jobs.evaluate.kept_vectors import write_held_out
from jobs.evaluate.metrics import histogram
from jobs.evaluate.reliability import Measured, reliability
from jobs.evaluate.scores import Ranked, Scores, rounded, write_cases, write_scores
from jobs.evaluate.stage import CHECKED, SPLIT, EvaluateParams
from jobs.evaluate.texts import candidates_of, composer_of, measured_texts
from jobs.evaluate.viewing import viewing_gain, viewing_of
from jobs.regressor.confidence import fit_confidence, judged
from jobs.regressor.feature_statistics import FeatureStatistics, feature_statistics
from jobs.regressor.intervals import CONFIDENCE, ENOUGH_IMAGES, interval
from jobs.regressor.metric import cosines
from jobs.regressor.saved_model import load_regressor
from jobs.regressor.signals import Signals
from jobs.regressor.values import Viewing
from jobs.regressor.viewer import Viewer, viewer_of
from jobs.runtime.device import prepare_torch
from jobs.runtime.task import Task
from jobs.shards.dataset import Writer

Floats = NDArray[np.float64]
Vectors = NDArray[np.float32]


def run(task: Task[EvaluateInputs, Evaluated[Writer]], params: EvaluateParams) -> None:
    """Evaluate the network; the same inputs give the same bytes."""
    images, prompts = task.inputs.images.splits, task.inputs.prompts.splits[TRAIN]
    for unit in task.pending():
        device = prepare_torch(params)
        with task.writing(unit) as output:
            regressor = load_regressor(task.inputs.trained.model.sample()).to(device)
            viewing = viewing_of(params, regressor)
            viewer = viewer_of(regressor, viewing or Viewing())
            require_held_out(images)
            composer = composer_of(task.inputs, params)  # first, as it may be refused
            staying = Staying(images[TRAIN], task.inputs.compared)
            features = training_features(staying, viewer, params)
            statistics = feature_statistics(features)
            held_out, thumbnails = load_held_out(images, viewer, statistics, params)
            checked = load_checked(images[CHECKED], viewer, statistics, params)
            num_closest = max(params.num_candidates, composer.search.num_starts if composer else 0)
            closest = closest_prompts(prompts, held_out, checked, num_closest, params)
            neighbours, num_seen = neighbour_vectors(staying, thumbnails, params)
            scores = Scores(
                model=cosines(held_out.predicted, held_out.true),
                constant=cosines(np.broadcast_to(closest.constant, held_out.true.shape), held_out.true),
                nearest_neighbour=cosines(neighbours, held_out.true),
            )
            fitted_on = measured(SPLIT, held_out, closest.to_predicted[0][:, 0])
            confidence = fit_confidence(
                fitted_on.signals, fitted_on.true, error_rate=params.error_rate, feature_images=len(features)
            )
            others = measured(CHECKED, checked, closest.to_checked) if checked else None
            checks = reliability(confidence, fitted_on, others)
            chosen = Ranked.of(scores.model, params.num_cases)
            abstained = {row for row, one in enumerate(judged(confidence, fitted_on.signals)) if one.abstained}
            first = enumerate(islice(images[SPLIT].samples(), params.num_composed))
            true_prompts = {row: sample.text() for row, sample in first if row not in abstained}
            rows = sorted({*true_prompts, *chosen.rows})
            candidates = candidates_of(rows, abstained, held_out, closest, prompts, composer, params)
            read = (
                measured_texts(true_prompts, held_out, candidates, composer, params)
                if true_prompts and composer
                else None
            )
            gain = viewing_gain(images[SPLIT], viewer, scores.model, params) if viewing else None
            found = metrics(
                scores, held_out, closest, prompts, checks, params, num_neighbours=num_seen, texts=read, viewing=gain
            )
            output.metrics.write(found)
            if viewing:
                confidence = confidence.model_copy(update={"viewing": viewing})
            output.confidence.write(confidence, safetensors=statistics.encode())
            write_held_out(images, held_out, checked, params, output)
            write_scores(scores, held_out, fitted_on.signals, closest, output)
            write_cases(images[SPLIT], scores.model, held_out, chosen, candidates, output)
            output.stats.write(
                MetricsSummary(
                    score=found.score, interval=found.interval, samples=found.samples, baselines=found.baselines
                )
            )


def load_checked(
    images: ReadGroup[Origin], viewer: Viewer, statistics: FeatureStatistics, params: EvaluateParams
) -> HeldOut | None:
    """Predict the images that confidence is checked on; None where there are none."""
    total = images.num_samples
    return predicted_images(images.samples(), total, viewer, statistics, params) if total else None


def measured(split: str, held_out: HeldOut, closest_cosines: Vectors) -> Measured:
    """The signals of held-out images, with what they should say; `closest_cosines` of shape (n,)."""
    found = Signals(closest_cosines.astype(np.float64), held_out.feature_distance, held_out.detail)
    return Measured(split, found, cosines(held_out.predicted, held_out.true))


def metrics(
    scores: Scores,
    held_out: HeldOut,
    closest: Closest,
    prompts: ReadGroup[Origin],
    checks: Reliability | None,
    params: EvaluateParams,
    *,
    num_neighbours: int,
    texts: Texts | None,
    viewing: ViewingGain | None,
) -> Metrics:
    """The numbers of the report."""
    to_train, numbers = closest.to_true
    leakiest = int(to_train[:, 0].argmax())
    neighbour = int(numbers[leakiest, 0])
    return Metrics(
        score=rounded(scores.model.mean()),
        interval=_interval(scores.model, params),
        confidence=CONFIDENCE,
        resamples=params.num_resamples,
        samples=len(held_out.keys),
        split=SPLIT,
        baselines=scores.baselines,
        differences=Differences(
            constant=_interval(scores.model - scores.constant, params),
            nearest_neighbour=_interval(scores.model - scores.nearest_neighbour, params),
        ),
        by_source=by_source(scores, held_out.sources, params),
        max_cosine_to_train=rounded(to_train[leakiest, 0]),
        closest_pair={
            SPLIT: held_out.keys[leakiest],
            TRAIN: prompts_numbered(prompts, [neighbour])[neighbour].key,
        },
        training_prompts=closest.num_prompts,
        histogram=histogram(model=scores.model, constant=scores.constant, nearest_neighbour=scores.nearest_neighbour),
        neighbour_images=num_neighbours,
        reliability=checks,
        texts=texts,
        viewing=viewing,
    )


def by_source(scores: Scores, sources: tuple[str, ...], params: EvaluateParams) -> tuple[SourceScore, ...]:
    """The score of each source by itself; `sources` are those of the images, in their order."""
    of_images = np.array(sources)
    found = []
    for source in sorted(set(sources)):
        own = scores.of(of_images == source)
        found.append(
            SourceScore(
                source=source,
                samples=len(own.model),
                score=rounded(own.model.mean()),
                interval=_interval(own.model, params) if len(own.model) >= ENOUGH_IMAGES else None,
                baselines=own.baselines,
            )
        )
    return tuple(found)


def _interval(values: Floats, params: EvaluateParams) -> tuple[float, float]:
    low, high = interval(values, num_resamples=params.num_resamples, seed=params.seed)
    return rounded(low), rounded(high)
