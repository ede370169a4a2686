"""How well the network reads prompts: score and baselines, leak check, learning curve, best and worst cases."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.runtime.groups import CERTIFICATE
from jobs.shards.dataset import Dataset
from jobs.shards.records import Shard
from jobs.shards.tar import Sample
from pipeline.report.duplicates import marked
from pipeline.report.pictures import uri, within
from pipeline.report.stage_facts import Datasets

CASES_BYTES = 1_000_000  # of the best cases' images, and again of the worst's
_CASES = 6
_CANDIDATES = 3
_ROUNDING = 2.5e-5  # evaluate multiplies 384 float32 numbers, which errs by up to 384 * 2^-24; dedup decides in float64
_SHARDS_READ = 4  # at most, to find the text of one prompt

NAMES = {"model": "network", "nearest_neighbour": "most alike image", "constant": "mean vector"}

Runs = tuple[tuple[str, bool], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One held-out image, its prompt, and the training prompts closest to what the network read out of it."""

    uri: str
    prompt: str
    cosine: float
    rank: int
    candidates: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LeakCheck:
    """The held-out prompt that is closest to a training prompt, and how close all others are."""

    closest: float
    threshold: float
    held_out_prompts: int
    training_prompts: int
    keys: tuple[str, str]  # held-out, training
    texts: tuple[Runs, Runs] | None  # None where they stand in a shard that was not read
    cosines: tuple[float, ...]  # of the held-out prompts that were read, each to its closest training prompt

    @property
    def passed(self) -> bool:
        """Whether every held-out prompt keeps the distance that the filter promises."""
        return self.closest < self.threshold + _ROUNDING

    @property
    def margin(self) -> str:
        """How the closest cosine of a check that passed stands to the threshold."""
        return "below" if self.closest < self.threshold else "within float32's rounding of"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreFacts:
    """What evaluate measured."""

    score: float
    interval: tuple[float, float]
    confidence: float
    resamples: int
    samples: int
    split: str
    baselines: tuple[tuple[str, float], ...]  # (one of NAMES, mean cosine), the strongest first
    neighbour_images: int
    edges: tuple[float, ...]
    counts: tuple[tuple[str, tuple[int, ...]], ...]  # (one of NAMES, images per bin)
    leak: LeakCheck | None  # None while dedup is being made anew
    best: tuple[Case, ...]
    worst: tuple[Case, ...]

    @property
    def beaten(self) -> bool:
        """Whether the whole interval lies above every baseline."""
        return all(self.interval[0] > value for _, value in self.baselines)


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveFacts:
    """How the network learned."""

    points: tuple[dict[str, float], ...]  # step, images, loss, cosine, learning_rate
    steps: int
    epochs: int
    batch_size: int


def score_facts(datasets: Datasets) -> ScoreFacts | None:
    """None before evaluate is done."""
    evaluate = datasets.get("evaluate")
    if evaluate is None:
        return None
    (told,) = (sample.json() for sample in evaluate.samples("metrics"))
    edges, counts = _cropped(told["histogram"])
    return ScoreFacts(
        score=told["score"],
        interval=(told["interval"][0], told["interval"][1]),
        confidence=told["confidence"],
        resamples=told["resamples"],
        samples=told["samples"],
        split=told["split"],
        baselines=tuple(sorted(told["baselines"].items(), key=lambda item: -item[1])),
        neighbour_images=told["neighbour_images"],
        edges=edges,
        counts=counts,
        leak=_leak(told, datasets["evaluate"], datasets.get("dedup")),
        best=_cases(evaluate, "best"),
        worst=_cases(evaluate, "worst"),
    )


def curve_facts(datasets: Datasets) -> CurveFacts | None:
    """None before train is done."""
    train = datasets.get("train")
    if train is None:
        return None
    (told,) = (sample.json() for sample in train.samples("curve"))
    return CurveFacts(
        points=tuple(told["points"]), steps=told["steps"], epochs=told["epochs"], batch_size=told["batch_size"]
    )


def _cropped(histogram: dict[str, Any]) -> tuple[tuple[float, ...], tuple[tuple[str, tuple[int, ...]], ...]]:
    """The histogram from its first bin with an image to its end, and the series in the order of NAMES."""
    named = [(name, histogram[name]) for name in NAMES if name in histogram]
    filled = [place for place in range(len(histogram["edges"]) - 1) if any(counts[place] for _, counts in named)]
    first = filled[0] if filled else 0
    return tuple(histogram["edges"][first:]), tuple((name, tuple(counts[first:])) for name, counts in named)


def _leak(told: dict[str, Any], evaluate: Dataset, dedup: Dataset | None) -> LeakCheck | None:
    if dedup is None:
        return None
    (certificate,) = (sample.json() for sample in dedup.samples(CERTIFICATE))
    held_out, training = told["closest_pair"][told["split"]], told["closest_pair"]["train"]
    texts = _text(dedup, told["split"], held_out), _text(dedup, "train", training)
    scores = [sample.json() for shard in evaluate.shards("scores")[:1] for sample in evaluate.read(shard)]
    return LeakCheck(
        closest=told["max_cosine_to_train"],
        threshold=certificate["threshold"],
        held_out_prompts=told["samples"],
        training_prompts=told["training_prompts"],
        keys=(held_out, training),
        texts=marked(texts[0], texts[1]) if texts[0] is not None and texts[1] is not None else None,
        cosines=tuple(score["cosine_to_train"] for score in scores),
    )


def _text(dedup: Dataset, split: str, key: str) -> str | None:
    """The text of a kept prompt, if it stands in one of the first shards that can hold it."""
    for shard in [shard for shard in dedup.shards(split) if _can_hold(shard, key)][:_SHARDS_READ]:
        for sample in dedup.read(shard):
            if sample.key == key:
                return sample.text()
    return None


def _can_hold(shard: Shard, key: str) -> bool:
    return (shard.first_key or "") <= key <= (shard.last_key or "")


def _cases(evaluate: Dataset, group: str) -> tuple[Case, ...]:
    found: Iterable[Sample] = sorted(evaluate.samples(group), key=lambda sample: sample.json()["rank"])
    return tuple(_case(sample) for sample in within(list(found), _CASES, CASES_BYTES))


def _case(sample: Sample) -> Case:
    told = sample.json()
    candidates: Sequence[dict[str, Any]] = told["candidates"]
    return Case(
        uri=uri(sample),
        prompt=sample.text(),
        cosine=told["cosine"],
        rank=told["rank"],
        candidates=tuple((candidate["prompt"], candidate["cosine"]) for candidate in candidates[:_CANDIDATES]),
    )
