"""Changes of a text by one fragment, and an estimate of the vector that each would have.

The vector of a text is nearly the mean of its fragments' vectors, weighted by their words, because the model averages
over word pieces. So of a text with vector e and fragments of n_i words with vectors g_i, where s is the length of
the sum of n_i g_i, the vector without fragment k and with another g of n words points about along
s e - n_k g_k + n g. Estimates only choose what is embedded: of what is written none is taken for a vector.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.composing.fragments import Fragment, Fragments, Link, first, telling_words
from jobs.composing.vocabulary import Vocabulary
from jobs.similarity.exact import Floats, products

_DECIMALS = 5  # of an estimate, so that texts that are equally good by it come in one order on most machines


@dataclass(frozen=True, slots=True)
class Shortlist:
    """The fragments that come into question for one target."""

    fragments: Fragments
    vectors: Floats  # of shape (n, d)
    cosines: Floats  # with the target, of shape (n,)
    words: Floats  # of shape (n,)
    clauses: NDArray[np.bool_]  # which are no phrases, of shape (n,)

    @classmethod
    def of(cls, fragments: Fragments, vectors: Floats, target: Floats) -> Shortlist:
        words = np.array([len(one) for one in fragments], np.float32)
        clauses = np.array([one.link is not Link.PHRASE for one in fragments], bool)
        return cls(fragments, vectors, vectors @ target, words, clauses)


@dataclass(frozen=True, slots=True)
class Text:
    """A text whose vector is known."""

    text: str
    fragments: Fragments
    vector: Floats
    cosine: float  # with the target


def text_of(text: str, fragments: Fragments, vector: Floats, target: Floats) -> Text:
    """A text with its cosine, which is the same on every machine for the same vectors."""
    return Text(text, fragments, vector, float(products(vector[None], target[None])[0]))


@dataclass(frozen=True, slots=True)
class Gap:
    """Where a fragment is left out, or nothing is, so that another may stand there."""

    rest: Fragments
    at: int
    weighted: Floats  # what is left of the text's vector, of shape (d,)
    takes_clauses: bool
    replaces: bool


def ranked(
    text: Text, target: Floats, shortlist: Shortlist, vector_of: Callable[[Fragment], Floats], vocabulary: Vocabulary
) -> Iterator[tuple[float, Fragments]]:
    """Changed texts with the cosines with the target that are estimated, the best first.

    `vector_of` gives the vectors of the text's own fragments. Only texts are given whose fragments fit together.
    """
    gaps = list(_gaps(text.fragments, text.vector, vector_of))
    estimates = np.stack([_estimates(gap, target, shortlist) for gap in gaps])
    for flat in np.argsort(-estimates, axis=None, kind="stable").tolist():
        number, column = divmod(flat, estimates.shape[1])
        estimate = float(estimates[number, column])
        if estimate <= 0:
            return
        gap = gaps[number]
        if changed := _filled(gap, shortlist.fragments[column - 1] if column else None, vocabulary):
            yield estimate, changed


def repeats(fragments: Fragments) -> int:
    """How many words say again what another one says."""
    return sum(count - 1 for count in Counter(telling_words(fragments)).values())


def _gaps(fragments: Fragments, vector: Floats, vector_of: Callable[[Fragment], Floats]) -> Iterator[Gap]:
    parts = np.stack([len(one) * vector_of(one) for one in fragments])
    whole = np.float32(np.linalg.norm(parts.sum(axis=0))) * vector
    for at, one in enumerate(fragments):
        rest = fragments[:at] + fragments[at + 1 :]
        yield Gap(rest, at, whole - parts[at], takes_clauses=one.link is not Link.PHRASE, replaces=True)
    yield Gap(fragments, len(fragments), whole, takes_clauses=True, replaces=False)
    yield Gap(fragments, _end_of_first_clause(fragments), whole, takes_clauses=False, replaces=False)


def _estimates(gap: Gap, target: Floats, shortlist: Shortlist) -> Floats:
    """The estimated cosines with nothing in the gap, and with each of the shortlist; of shape (1 + n,)."""
    along, squared = float(gap.weighted @ target), float(gap.weighted @ gap.weighted)
    words = shortlist.words
    lengths = np.sqrt(squared + 2 * words * (shortlist.vectors @ gap.weighted) + words**2)
    with_each = (along + words * shortlist.cosines) / np.maximum(lengths, 1e-6)
    with_each[shortlist.clauses != gap.takes_clauses] = -1
    with_none = along / max(squared**0.5, 1e-6) if gap.replaces and gap.rest else -1.0
    found: Floats = np.concatenate([[with_none], with_each]).astype(np.float32).round(_DECIMALS)
    return found


def _filled(gap: Gap, fragment: Fragment | None, vocabulary: Vocabulary) -> Fragments | None:
    """The text with the fragment in the gap, or None where it does not fit."""
    if fragment is None:
        changed = gap.rest
        if gap.at == 0 and changed[0].link is Link.PHRASE:
            return None
    elif fragment.link is Link.FIRST and gap.at > 0:
        return None  # "A man" after a comma begins a second sentence
    else:
        changed = (*gap.rest[: gap.at], fragment, *gap.rest[gap.at :])
    changed = (first(changed[0]), *changed[1:])
    fits = all(vocabulary.fits(changed, at) for at in (gap.at, gap.at + 1))
    return changed if fits else None


def _end_of_first_clause(fragments: Fragments) -> int:
    clauses = (at for at, one in enumerate(fragments) if at and one.link is Link.CLAUSE)
    return next(clauses, len(fragments))
