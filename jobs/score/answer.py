"""The scores as JSON values and as text, of one system or of several on the same pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from jobs.infer.ensemble_text import ensemble_lines
from jobs.regressor.intervals import CONFIDENCE, ENOUGH_IMAGES, NUM_RESAMPLES, PairedDifference
from jobs.regressor.values import EnsembleRecord
from jobs.report import formatting
from jobs.score.measuring import BASELINES, CONSTANT, Measured, Part
from jobs.score.pairs import ReadPairs, Unreadable

_DECIMALS = 6
_NAMED = 3  # pairs that cannot be read
_PARTS = 10  # sources that are shown in text
_NOT_NUMBERS = ("cosines", "best", "worst")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """All that was found: the first system is what is asked about, the others are compared with it."""

    address: str
    kind: str
    read: ReadPairs
    systems: Sequence[Measured]
    differences: Sequence[PairedDifference]  # of each further system to the first
    ensemble: EnsembleRecord | None = None  # where the first system is one

    def values(self) -> dict[str, Any]:
        """As JSON values: those of the first system, and all of them under `systems`."""
        systems = [_values(one) for one in self.systems]
        first = dict(systems[0])
        return {
            "pairs": self.address,
            "kind": self.kind,
            "readable": len(self.read.pairs),
            "unreadable": [asdict(one) for one in self.read.unreadable],
            "confidence_level": CONFIDENCE,
            "resamples": NUM_RESAMPLES,
            **first,
            **({"ensemble": self.ensemble.model_dump(mode="json")} if self.ensemble else {}),
            "systems": systems,
            "differences": [
                {"first": self.systems[0].system, "second": other.system, **_difference_values(one)}
                for other, one in zip(self.systems[1:], self.differences, strict=True)
            ],
        }

    def text(self) -> str:
        """For a terminal."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        pairs = formatting.plural(len(self.read.pairs), "pair")
        yield f"{pairs} of image and prompt in {self.address}, read as {self.kind}"
        if self.read.unreadable:
            yield f"{_not_read(self.read.unreadable)}"
        for one in self.systems:
            yield ""
            yield from _system_text(one)
        for other, found in zip(self.systems[1:], self.differences, strict=True):
            yield ""
            yield from _difference_text(self.systems[0].system, other.system, found)
        if self.ensemble:
            yield ""
            yield from ensemble_lines(self.ensemble)


def _values(one: Measured) -> dict[str, Any]:
    values = {name: value for name, value in asdict(one).items() if name not in _NOT_NUMBERS}
    confidence = values["confidence"]
    values["calibration_error"] = confidence["calibration_error"] if confidence else None
    rounded: dict[str, Any] = _rounded(values)
    return rounded


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, _DECIMALS)
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list | tuple) else value


def _difference_values(found: PairedDifference) -> dict[str, Any]:
    enough = found.interval is not None
    return {
        "mean": _rounded(found.mean) if enough else None,
        "interval": _rounded(found.interval),
        "samples": found.samples,
        "too_few": not enough,
    }


def _not_read(unreadable: Sequence[Unreadable]) -> str:
    named = "; ".join(f"{one.what}: {one.reason}" for one in unreadable[:_NAMED])
    more = "; …" if len(unreadable) > _NAMED else ""
    verb = "is" if len(unreadable) == 1 else "are"
    return f"{formatting.plural(len(unreadable), 'pair')} cannot be read and {verb} left out: {named}{more}"


def _system_text(one: Measured) -> Iterator[str]:
    yield f"{one.system}"
    if one.score is None:
        yield "  it has no prediction for any of these pairs"
    else:
        yield _line("mean cosine", f"{one.score:.6f}{_interval_text(one)}", one.samples)
    if one.unpredicted:
        yield f"  {formatting.plural(one.unpredicted, 'pair')} without a prediction, which do not enter the score"
    if one.foreign:
        yield f"  {formatting.plural(len(one.foreign), 'prediction')} of no pair: {', '.join(one.foreign[:_NAMED])}"
    if one.abstained:
        yield f"  abstained {one.abstained:,} times, which count in the score all the same"
        if one.answered.score is not None:
            yield _line("  of the others", f"{one.answered.score:.4f}", one.answered.samples)
    for name, score in one.baselines.items():
        above = one.above_baselines.get(name)
        more = f"   the system is {above[0]:+.4f} to {above[1]:+.4f} above" if above else ""
        yield f"  {'baseline':<24} {score:.4f}   {BASELINES[name]}{more}"
    if CONSTANT not in one.baselines and one.score is not None:
        yield "  no baseline of training prompts, which are known of a --model only"
    yield from _confidence_text(one)
    for title, parts in (("source", one.by_source), ("length", one.by_words)):
        if len(parts) > 1:
            for found in parts[:_PARTS]:
                yield _line(f"{title} {found.name or '(none)'}", _part_text(found), found.samples)
            if len(parts) > _PARTS:
                yield f"  {title}: {len(parts) - _PARTS:,} more, see --json"


def _line(name: str, text: str, samples: int) -> str:
    return f"  {name:<24} {text}, {formatting.plural(samples, 'pair')}"


def _interval_text(one: Measured) -> str:
    if one.interval is None:
        return ""
    few = f" (of fewer than {ENOUGH_IMAGES} pairs it is narrower than it says)" if one.samples < ENOUGH_IMAGES else ""
    return f"   95 % interval {one.interval[0]:.4f} to {one.interval[1]:.4f}{few}"


def _part_text(found: Part) -> str:
    interval = f"   {found.interval[0]:.4f} to {found.interval[1]:.4f}" if found.interval else ""
    return f"{found.score:.4f}{interval}"


def _confidence_text(one: Measured) -> Iterator[str]:
    found = one.confidence
    if found is None:
        return
    yield (
        f"  {'calibration error':<24} {found.calibration_error:.4f}   expected cosines are off by "
        f"{found.mean_absolute_error:.4f} on average, {found.bias:+.4f} with their sign, "
        f"{formatting.plural(found.samples, 'pair')}"
    )
    for point in found.coverage:
        yield (
            f"  {f'surest {100 * point.coverage:.0f} %':<24} mean cosine {1 - point.risk:.4f} where at least "
            f"{point.least_expected:.4f} is expected, {formatting.plural(point.samples, 'pair')}"
        )


def _difference_text(first: str, second: str, found: PairedDifference) -> Iterator[str]:
    if found.mean is None or found.interval is None:
        yield (
            f"{second} - {first}: no difference is given, {found.samples} pairs have a prediction of both; at least "
            f"{ENOUGH_IMAGES} are required"
        )
        return
    low, high = found.interval
    verdict = "no difference can be seen" if low <= 0 <= high else f"{second if low > 0 else first} is better"
    yield (
        f"{second} - {first}: {found.mean:+.4f}   95 % interval {low:+.4f} to {high:+.4f}, "
        f"{formatting.plural(found.samples, 'pair')} of both: {verdict}"
    )
