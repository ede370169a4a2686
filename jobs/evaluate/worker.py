"""Writes the score with its interval, baselines and leak check, every image's cosine, and the best and worst cases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.compare_images.contract import Staying
from jobs.contract.reading import ReadGroup, TypedSample
from jobs.contract.samples import TRAIN, Origin
from jobs.evaluate.contract import (
    Baselines,
    Case,
    Differences,
    Evaluated,
    EvaluateInputs,
    Metrics,
    MetricsSummary,
    Reliability,
    Score,
    SourceScore,
)
from jobs.evaluate.held_out import (
    Closest,
    HeldOut,
    closest_prompts,
    load_held_out,
    neighbour_vectors,
    predicted_images,
    prompts_numbered,
    training_features,
)
from jobs.evaluate.metrics import histogram
from jobs.evaluate.reliability import Measured, reliability
from jobs.evaluate.stage import CHECKED, SPLIT, EvaluateParams
from jobs.imaging.pixels import decode, image_in
from jobs.imaging.thumbnails import shown
from jobs.regressor.confidence import fit_confidence
from jobs.regressor.feature_statistics import FeatureStatistics, feature_statistics
from jobs.regressor.intervals import CONFIDENCE, ENOUGH_IMAGES, interval
from jobs.regressor.metric import cosines
from jobs.regressor.model import Regressor
from jobs.regressor.saved_model import load_regressor
from jobs.regressor.signals import Signals, signals
from jobs.regressor.values import Candidate
from jobs.runtime.device import prepare_torch
from jobs.runtime.task import Task
from jobs.shards.dataset import Writer
from jobs.shards.tar import Sample

_SCORES_PER_SHARD = 10_000
_DECIMALS = 6

Floats = NDArray[np.float64]
Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Cosines to the true vectors, of the network and of the baselines; float64 of shape (n,)."""

    model: Floats
    constant: Floats
    nearest_neighbour: Floats

    def of(self, rows: NDArray[np.bool_]) -> Scores:
        """Those of some images; `rows` of shape (n,)."""
        return Scores(
            model=self.model[rows], constant=self.constant[rows], nearest_neighbour=self.nearest_neighbour[rows]
        )

    @property
    def baselines(self) -> Baselines:
        """Their means."""
        return Baselines(
            constant=_rounded(self.constant.mean()), nearest_neighbour=_rounded(self.nearest_neighbour.mean())
        )


def run(task: Task[EvaluateInputs, Evaluated[Writer]], params: EvaluateParams) -> None:
    """Evaluate the network; the same inputs give the same bytes."""
    images, prompts = task.inputs.images.splits, task.inputs.prompts.splits[TRAIN]
    for unit in task.pending():
        device = prepare_torch(params)
        with task.writing(unit) as output:
            regressor = load_regressor(task.inputs.trained.model.sample()).to(device)
            held_out, thumbnails = load_held_out(images, regressor, params)
            checked = load_checked(images[CHECKED], regressor, params)
            closest = closest_prompts(prompts, held_out, checked, params)
            staying = Staying(images[TRAIN], task.inputs.compared)
            neighbours, num_seen = neighbour_vectors(staying, thumbnails, params)
            features = training_features(staying, regressor, params)
            scores = Scores(
                model=cosines(held_out.predicted, held_out.true),
                constant=cosines(np.broadcast_to(closest.constant, held_out.true.shape), held_out.true),
                nearest_neighbour=cosines(neighbours, held_out.true),
            )
            statistics = feature_statistics(features)
            fitted_on = measured(SPLIT, held_out, closest.to_predicted[0][:, 0], statistics)
            confidence = fit_confidence(
                fitted_on.signals, fitted_on.true, error_rate=params.error_rate, feature_images=len(features)
            )
            others = measured(CHECKED, checked, closest.to_checked, statistics) if checked else None
            checks = reliability(confidence, fitted_on, others)
            found = metrics(scores, held_out, closest, prompts, checks, params, num_neighbours=num_seen)
            output.metrics.write(found)
            output.confidence.write(confidence, safetensors=statistics.encode())
            write_scores(scores, held_out, fitted_on.signals, closest, output)
            write_cases(images[SPLIT], prompts, scores.model, held_out, closest, params, output)
            output.stats.write(
                MetricsSummary(
                    score=found.score, interval=found.interval, samples=found.samples, baselines=found.baselines
                )
            )


def load_checked(images: ReadGroup[Origin], regressor: Regressor, params: EvaluateParams) -> HeldOut | None:
    """Predict the images that confidence is checked on; None where there are none."""
    return predicted_images(images.samples(), images.num_samples, regressor, params) if images.num_samples else None


def measured(split: str, held_out: HeldOut, closest_cosines: Vectors, statistics: FeatureStatistics) -> Measured:
    """The signals of held-out images, with what they should say; `closest_cosines` of shape (n,)."""
    found = signals(held_out.outputs, closest_cosines, statistics)
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
) -> Metrics:
    """The numbers of the report."""
    to_train, numbers = closest.to_true
    leakiest = int(to_train[:, 0].argmax())
    neighbour = int(numbers[leakiest, 0])
    return Metrics(
        score=_rounded(scores.model.mean()),
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
        max_cosine_to_train=_rounded(to_train[leakiest, 0]),
        closest_pair={
            SPLIT: held_out.keys[leakiest],
            TRAIN: prompts_numbered(prompts, [neighbour])[neighbour].key,
        },
        training_prompts=closest.num_prompts,
        histogram=histogram(model=scores.model, constant=scores.constant, nearest_neighbour=scores.nearest_neighbour),
        neighbour_images=num_neighbours,
        reliability=checks,
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
                score=_rounded(own.model.mean()),
                interval=_interval(own.model, params) if len(own.model) >= ENOUGH_IMAGES else None,
                baselines=own.baselines,
            )
        )
    return tuple(found)


def _interval(values: Floats, params: EvaluateParams) -> tuple[float, float]:
    low, high = interval(values, num_resamples=params.num_resamples, seed=params.seed)
    return _rounded(low), _rounded(high)


def write_scores(
    scores: Scores, held_out: HeldOut, found: Signals, closest: Closest, output: Evaluated[Writer]
) -> None:
    """Write every image's cosines and signals, under its prompt's key."""
    samples = []
    for row, key in enumerate(held_out.keys):
        score = Score(
            cosine=_rounded(scores.model[row]),
            constant=_rounded(scores.constant[row]),
            nearest_neighbour=_rounded(scores.nearest_neighbour[row]),
            closest_cosine=_rounded(closest.to_predicted[0][row, 0]),
            cosine_to_train=_rounded(closest.to_true[0][row, 0]),
            feature_distance=_rounded(found.feature_distance[row]),
            detail=_rounded(found.detail[row]),
        )
        samples.append(output.scores.sample(key, score))
    output.scores.write(sorted(samples, key=lambda sample: sample.key), size=_SCORES_PER_SHARD)


def write_cases(
    images: ReadGroup[Origin],
    prompts: ReadGroup[Origin],
    model_cosines: Floats,
    held_out: HeldOut,
    closest: Closest,
    params: EvaluateParams,
    output: Evaluated[Writer],
) -> None:
    """Write the best and the worst predictions with their images and candidate prompts, in order of key."""
    order = np.argsort(-model_cosines, kind="stable").tolist()
    chosen = [(output.best, order[: params.num_cases]), (output.worst, order[::-1][: params.num_cases])]
    rows = sorted({row for _, ranked in chosen for row in ranked})
    candidates = prompts_numbered(prompts, closest.to_predicted[1][rows].ravel().tolist())
    samples = {held_out.keys[row]: row for row in rows}
    found = {samples[sample.key]: sample for sample in images.samples() if sample.key in samples}
    for group, ranked in chosen:
        cases: list[Sample] = []
        for rank, row in enumerate(ranked, 1):
            sample = found[row]
            picture = shown(decode(image_in(sample.raw), sample.key))
            case = _case(rank, row, model_cosines, closest, candidates)
            cases.append(group.sample(sample.key, case, txt=sample["txt"], png=picture))
        group.write(cases, size=params.num_cases)


def _case(
    rank: int, row: int, model_cosines: Floats, closest: Closest, prompts: dict[int, TypedSample[Origin]]
) -> Case:
    cosines_to, numbers = (found[row].tolist() for found in closest.to_predicted)
    candidates = tuple(
        Candidate(prompt=prompts[number].text(), cosine=_rounded(cosine))
        for number, cosine in zip(numbers, cosines_to, strict=True)
    )
    return Case(rank=rank, cosine=_rounded(model_cosines[row]), candidates=candidates)


def _rounded(number: float | np.floating[Any]) -> float:
    return round(float(number), _DECIMALS)
