"""Texts close to target vectors: known prompts, changed fragment by fragment as long as that brings them closer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from jobs.composing.fragments import Fragment, Fragments, cut, joined, num_words
from jobs.composing.moves import Shortlist, Text, ranked, repeats, text_of
from jobs.composing.values import DECIMALS, Candidate, Kind, SearchParams
from jobs.composing.vocabulary import EmbeddedVocabulary, Vocabulary
from jobs.similarity.exact import Floats, Rows

Embed = Callable[[Sequence[str]], Floats]
"""Unit vectors of texts, float32 of shape (n, d); that of a text must not depend on the others."""


@dataclass(frozen=True, slots=True)
class Start:
    """A known prompt and its unit vector, float32 of shape (d,)."""

    prompt: str
    vector: Floats


@dataclass(slots=True)
class _Image:
    """What is searched for one target."""

    target: Floats
    starts: list[Text]
    kept: list[Text]
    shortlist: Shortlist
    most_words: int
    seen: set[str]  # in lower case
    finished: bool = False


def compose(
    targets: Floats,
    starts: Sequence[Sequence[Start]],
    vocabulary: EmbeddedVocabulary,
    embed: Embed,
    params: SearchParams,
) -> list[list[Candidate]]:
    """For each target its starts and what was composed of them, the closest first.

    Args:
        targets: unit vectors, float32 of shape (n, d).
        starts: of each target at least one known prompt, the closest first; no prompt twice.

    All images go through a round together, so that `embed` gets many texts at once. What is found for one does not
    depend on the others.
    """
    images = [_image(target, some, vocabulary, params) for target, some in zip(targets, starts, strict=True)]
    vector_of = _vectors_of_fragments(images, vocabulary, embed)
    for _ in range(params.num_rounds):
        proposed = [_proposed(one, vector_of, vocabulary.vocabulary, params) for one in images]
        texts = list(dict.fromkeys(text for some in proposed for text in some))
        if not texts:
            break
        vectors = dict(zip(texts, embed(texts), strict=True))
        for image, some in zip(images, proposed, strict=True):
            _take(image, [text_of(text, some[text], vectors[text], image.target) for text in some], params)
    return [_candidates(one) for one in images]


def _image(target: Floats, starts: Sequence[Start], vocabulary: EmbeddedVocabulary, params: SearchParams) -> _Image:
    texts = [text_of(one.prompt, cut(one.prompt), one.vector, target) for one in starts]
    kept = [one for one in texts[: params.num_starts] if one.fragments]
    rest = target - np.float32(texts[0].cosine) * texts[0].vector
    closest = [_largest(vocabulary.vectors @ towards, params.num_shortlisted) for towards in (target, rest)]
    rows = np.union1d(*closest)
    fragments = tuple(vocabulary.vocabulary.fragments[row] for row in rows)
    return _Image(
        target=target,
        starts=texts,
        kept=kept,
        shortlist=Shortlist.of(fragments, vocabulary.vectors[rows], target),
        most_words=max([params.most_words, *(num_words(one.fragments) for one in kept)]),
        seen={one.text.lower() for one in texts},
    )


def _largest(values: Floats, count: int) -> Rows:
    return np.argsort(-values, kind="stable")[:count]


def _vectors_of_fragments(
    images: Sequence[_Image], vocabulary: EmbeddedVocabulary, embed: Embed
) -> Callable[[Fragment], Floats]:
    """The vectors of all fragments that texts may have; those that the vocabulary lacks are embedded."""
    of_starts = {one for image in images for text in image.kept for one in text.fragments}
    missing = sorted({one.text.lower() for one in of_starts if vocabulary.vector(one) is None})
    embedded = dict(zip(missing, embed(missing), strict=True)) if missing else {}

    def vector_of(fragment: Fragment) -> Floats:
        found = vocabulary.vector(fragment)
        return embedded[fragment.text.lower()] if found is None else found

    return vector_of


def _proposed(
    image: _Image, vector_of: Callable[[Fragment], Floats], vocabulary: Vocabulary, params: SearchParams
) -> dict[str, Fragments]:
    """The changed texts to embed next: those with the best estimates over all texts that are kept."""
    found: dict[str, tuple[float, Fragments]] = {}
    for text in () if image.finished else image.kept:
        allowed = repeats(text.fragments)
        changes = (
            (estimate, joined(fragments), fragments)
            for estimate, fragments in ranked(text, image.target, image.shortlist, vector_of, vocabulary)
            if repeats(fragments) <= allowed and num_words(fragments) <= image.most_words
        )
        new = ((estimate, text, some) for estimate, text, some in changes if text.lower() not in image.seen)
        for estimate, changed, fragments in islice(new, params.num_tries):
            found.setdefault(changed, (estimate, fragments))
    best = sorted(found, key=lambda changed: (-found[changed][0], changed))[: params.num_tries]
    image.seen |= {changed.lower() for changed in best}
    return {changed: found[changed][1] for changed in best}


def _take(image: _Image, texts: list[Text], params: SearchParams) -> None:
    """Keep the best of the texts that were embedded and of those kept before, if they gain enough."""
    best = sorted([*image.kept, *texts], key=_best_first)[: params.num_kept]
    if texts and best[0].cosine >= image.kept[0].cosine + params.least_gain:
        image.kept = best
    else:
        image.finished = True


def _best_first(text: Text) -> tuple[float, str]:
    return -text.cosine, text.text


def _candidates(image: _Image) -> list[Candidate]:
    """The starts and what is kept, the closest first; of equals the start."""
    known = {one.text for one in image.starts}
    kinds: list[tuple[Kind, Text]] = [("retrieved", one) for one in image.starts]
    kinds += [("composed", one) for one in image.kept if one.text not in known]
    found = [Candidate(prompt=one.text, cosine=round(one.cosine, DECIMALS), kind=kind) for kind, one in kinds]
    return sorted(found, key=lambda one: -one.cosine)
