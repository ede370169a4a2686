"""What an ensemble is and gains, in lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from jobs.regressor.values import EnsembleGain, EnsembleRecord
from jobs.report import formatting


def ensemble_lines(record: EnsembleRecord) -> Iterator[str]:
    """The networks with their weights and scores, and the gain over the best of them, normalised and not."""
    how = ", cross-fitted" if record.cross_fitted else ""
    on = f"{formatting.plural(record.images, 'image')} of {record.split}{how}"
    yield f"ensemble of {len(record.members)} networks, measured on {on}"
    width = max(len("normalisation off"), *(len(member.model) for member in record.members))
    for member in record.members:
        yield f"  {member.model:<{width}}  {member.score:.4f}   weight {member.weight:.4f}"
    yield f"  {'together':<{width}}  {_gain(record.normalised, record.best)}"
    yield f"  {'normalisation off':<{width}}  {_gain(record.not_normalised, record.best)}"


def _gain(gain: EnsembleGain, best: str) -> str:
    interval = f", 95 % interval {gain.interval[0]:+.4f} to {gain.interval[1]:+.4f}" if gain.interval else ""
    return f"{gain.score:.4f}   {gain.gain:+.4f} against {best}{interval}"
