"""How well the network reads prompts, as the report shows it: score and baselines, leak check, best and worst cases."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.compare_images.contract import ComparedImages
from jobs.composing.values import Candidate
from jobs.contract.reading import ReadGroup, TypedSample
from jobs.contract.samples import TRAIN
from jobs.dedup.contract import Deduplicated
from jobs.evaluate import contract
from jobs.evaluate.contract import Evaluated, Histogram, Metrics, Reliability, SourceScore, Texts, ViewingGain
from jobs.report.page import RunView
from jobs.report.picture_pairs import PicturePair, picture_pair
from jobs.report.pictures import is_small, uri, within
from jobs.report.text_difference import Runs, marked
from jobs.shards.dataset import Dataset
from jobs.shards.records import Shard

CASES_BYTES = 1_000_000  # of the best cases' images, and again of the worst's
_CASES = 6
_CANDIDATES = 3
_ROUNDING = 2.5e-5  # evaluate multiplies 384 float32 numbers, which errs by up to 384 * 2^-24; dedup decides in float64
_SHARDS_READ = 4  # at most, to find the text of one prompt

NAMES = {"model": "network", "nearest_neighbour": "most alike image", "constant": "mean vector"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One held-out image, its prompt, and the texts closest to what the network read out of it."""

    uri: str
    small: bool
    prompt: str
    cosine: float
    rank: int
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureCheck:
    """How close the pictures that are trained with come to held-out ones, as compare-images found."""

    threshold: float
    left_out: int  # pictures for training, for being near-identical to a held-out one
    closest: float | None  # of those that stay; None where there was nothing to compare
    pair: PicturePair | None  # None where it was not stored


@dataclass(frozen=True, slots=True, kw_only=True)
class LeakCheck:
    """The held-out prompt that is closest to a training prompt, and how close all others are."""

    closest: float
    threshold: float
    prompts: int  # that came into the filter
    kept: int
    kept_keys_sha256: str
    held_out_prompts: int
    training_prompts: int
    keys: tuple[str, str]  # held-out, training
    texts: tuple[Runs, Runs] | None  # None where they stand in a shard that was not read
    cosines: tuple[float, ...]  # of the held-out prompts that were read, each to its closest training prompt
    pictures: PictureCheck | None  # None of a run from before pictures were compared

    @property
    def passed(self) -> bool:
        """Whether every held-out prompt, and picture, keeps the distance that the filter promises."""
        return self.prompts_passed and self.pictures_passed

    @property
    def prompts_passed(self) -> bool:
        """Whether every held-out prompt does."""
        return self.closest < self.threshold + _ROUNDING

    @property
    def pictures_passed(self) -> bool:
        """Whether every held-out picture does, as far as they were compared."""
        closest = self.pictures.closest if self.pictures else None
        return self.pictures is None or closest is None or closest < self.pictures.threshold

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
    differences: dict[str, tuple[float, float]]  # by baseline; empty of a run from before they were computed
    by_source: tuple[SourceScore, ...]
    neighbour_images: int
    edges: tuple[float, ...]
    counts: tuple[tuple[str, tuple[int, ...]], ...]  # (one of NAMES, images per bin)
    reliability: Reliability | None  # None of a run from before it was measured, or of a single held-out image
    texts: Texts | None  # None where no prompts were composed
    viewing: ViewingGain | None  # None where images are seen as in training
    leak: LeakCheck | None  # None while dedup is being made anew
    best: tuple[Case, ...]
    worst: tuple[Case, ...]

    @property
    def beaten(self) -> bool:
        """Whether the whole interval of the difference to every baseline is above 0."""
        return all(self.above(name, value)[0] > 0 for name, value in self.baselines)

    def above(self, name: str, value: float) -> tuple[float, float]:
        """The interval of the difference to a baseline; without one, how far the score's own lies above it."""
        low, high = self.interval
        return self.differences.get(name, (low - value, high - value))


def score_facts(evaluated: Evaluated[Dataset], view: RunView) -> ScoreFacts:
    """What evaluate measured, with what dedup promised for it."""
    metrics = evaluated.metrics.value()
    edges, counts = _cropped(metrics.histogram)
    baselines = metrics.baselines.model_dump()
    dedup = view.get(Deduplicated[Dataset])
    return ScoreFacts(
        score=metrics.score,
        interval=metrics.interval,
        confidence=metrics.confidence,
        resamples=metrics.resamples,
        samples=metrics.samples,
        split=metrics.split,
        baselines=tuple(sorted(baselines.items(), key=lambda item: -item[1])),
        differences=metrics.differences.model_dump() if metrics.differences else {},
        by_source=metrics.by_source,
        neighbour_images=metrics.neighbour_images,
        edges=edges,
        counts=counts,
        reliability=metrics.reliability,
        texts=metrics.texts,
        viewing=metrics.viewing,
        leak=_leak(metrics, evaluated, dedup, view) if dedup else None,
        best=_cases(evaluated.best),
        worst=_cases(evaluated.worst),
    )


def _cropped(histogram: Histogram) -> tuple[tuple[float, ...], tuple[tuple[str, tuple[int, ...]], ...]]:
    """The histogram from its first bin with an image to its end, and the series in the order of NAMES."""
    series = {
        "model": histogram.model,
        "nearest_neighbour": histogram.nearest_neighbour,
        "constant": histogram.constant,
    }
    filled = [bin_ for bin_ in range(len(histogram.edges) - 1) if any(counts[bin_] for counts in series.values())]
    first = filled[0] if filled else 0
    return histogram.edges[first:], tuple((name, counts[first:]) for name, counts in series.items())


def _leak(metrics: Metrics, evaluated: Evaluated[Dataset], dedup: Deduplicated[Dataset], view: RunView) -> LeakCheck:
    held_out, training = metrics.closest_pair[metrics.split], metrics.closest_pair[TRAIN]
    texts = _text(dedup, metrics.split, held_out), _text(dedup, TRAIN, training)
    scores = [sample.value for shard in evaluated.scores.shards()[:1] for sample in evaluated.scores.read(shard)]
    certificate = dedup.certificate.value()
    return LeakCheck(
        closest=metrics.max_cosine_to_train,
        threshold=certificate.threshold,
        prompts=certificate.prompts,
        kept=certificate.kept,
        kept_keys_sha256=certificate.kept_keys_sha256,
        held_out_prompts=metrics.samples,
        training_prompts=metrics.training_prompts,
        keys=(held_out, training),
        texts=marked(texts[0], texts[1]) if texts[0] is not None and texts[1] is not None else None,
        cosines=tuple(score.cosine_to_train for score in scores),
        pictures=_pictures(view),
    )


def _pictures(view: RunView) -> PictureCheck | None:
    compared = view.get(ComparedImages[Dataset])
    if compared is None:
        return None
    comparison = compared.comparison.value()
    closest = comparison.closest.get(TRAIN)
    shown = (one for one in compared.shown.samples() if closest and one.key == closest.picture)
    pairs = (picture_pair(one.key, one.value, one["png"], one["witness.png"]) for one in shown)
    return PictureCheck(
        threshold=comparison.threshold,
        left_out=comparison.left_out.get(TRAIN, 0),
        closest=closest.cosine if closest else None,
        pair=next(pairs, None),
    )


def _text(dedup: Deduplicated[Dataset], split: str, key: str) -> str | None:
    """The text of a kept prompt, if it is in one of the first shards that can hold it."""
    kept = dedup.splits[split]
    for shard in [shard for shard in kept.shards() if _can_hold(shard, key)][:_SHARDS_READ]:
        for sample in kept.read(shard):
            if sample.key == key:
                return sample.text()
    return None


def _can_hold(shard: Shard, key: str) -> bool:
    return (shard.first_key or "") <= key <= (shard.last_key or "")


def _cases(group: ReadGroup[contract.Case]) -> tuple[Case, ...]:
    found = sorted(group.samples(), key=lambda sample: sample.value.rank)
    return tuple(_case(sample) for sample in within(found, _CASES, CASES_BYTES))


def _case(sample: TypedSample[contract.Case]) -> Case:
    case = sample.value
    return Case(
        uri=uri(sample),
        small=is_small(sample),
        prompt=sample.text(),
        cosine=case.cosine,
        rank=case.rank,
        candidates=_few(case.candidates),
    )


def _few(candidates: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
    """The first one and the closest training prompts; others that are composed are much like the first."""
    others = [one for one in candidates[1:] if one.kind == "retrieved"]
    return (*candidates[:1], *others[: _CANDIDATES - 1])
