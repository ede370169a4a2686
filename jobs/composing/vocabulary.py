"""What texts are composed of: the fragments that many prompts have, and which words go before which connecting ones."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, zip_longest

from jobs.composing.fragments import Fragment, Fragments, Link, cut
from jobs.composing.frequent import Frequent
from jobs.similarity.exact import Floats

_MOST_WORDS = 10  # of a fragment; longer ones are seldom there twice
_LEAST_LETTERS = 3  # of a fragment: "m" and "8" are left of decorated words and of "8 k"
_LEAST_SHARE = 0.01  # of the joints of a word


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Fragments, the most frequent first, and joints: a word with a connecting word that was seen after it."""

    fragments: Fragments
    joints: frozenset[tuple[str, str]]

    def fits(self, fragments: Fragments, at: int) -> bool:
        """Whether the fragment at that position may stand after the one before it; a clause may after any."""
        if at == 0 or at >= len(fragments) or fragments[at].link is not Link.PHRASE:
            return True
        return joint(fragments[at - 1], fragments[at]) in self.joints


@dataclass(frozen=True)
class EmbeddedVocabulary:
    """A vocabulary with the unit vectors of its fragments, float32 of shape (n, d), in their order."""

    vocabulary: Vocabulary
    vectors: Floats

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {one.text.lower(): row for row, one in enumerate(self.vocabulary.fragments)}

    def vector(self, fragment: Fragment) -> Floats | None:
        """The fragment's vector, of shape (d,), if it is there; how it is linked and spelled is no matter."""
        row = self._rows.get(fragment.text.lower())
        return None if row is None else self.vectors[row]


def joint(left: Fragment, right: Fragment) -> tuple[str, str]:
    """The last word of a fragment, and the word that connects the next one with it."""
    return left.last_word, right.connecting_word


def vocabulary_of(prompts: Iterable[str], num_fragments: int, *, least_joints: int = 2) -> Vocabulary:
    """The vocabulary of normalised prompts.

    Args:
        prompts: each counts a fragment once.
        num_fragments: so many fragments are kept, of equally frequent ones those that come first by text. Spellings
            that differ in capital letters count as one, the most frequent: to MiniLM they are the same.
        least_joints: what was seen less often after a word, or in less than 1 of 100 cases, is not written after it.
    """
    counts, joints = Frequent[Fragment](), Frequent[tuple[str, str]]()
    for prompt in prompts:
        fragments = cut(prompt)
        counts.update(dict.fromkeys(_usable(fragments)))  # in order, as what is forgotten depends on it
        joints.update(joint(left, right) for left, right in pairwise(fragments) if right.link is Link.PHRASE)
    return Vocabulary(_most_frequent(counts.counts, num_fragments), _usual(joints.counts, least_joints + joints.times))


def _usable(fragments: Fragments) -> Iterator[Fragment]:
    """Those that can stand elsewhere: none that ends with "and", and no clause with a phrase after it, which is seldom
    whole without that.
    """
    for one, following in zip_longest(fragments, fragments[1:]):
        is_whole = one.link is not Link.CLAUSE or following is None or following.link is Link.CLAUSE
        if is_whole and not one.goes_on and len(one) <= _MOST_WORDS and len(one.text) >= _LEAST_LETTERS:
            yield one


def _usual(joints: Mapping[tuple[str, str], int], least: int) -> frozenset[tuple[str, str]]:
    """Those seen often enough, and not just now and then after that word: "man are" is, "men are" is not."""
    of_word: Counter[str] = Counter()
    for (word, _), count in joints.items():
        of_word[word] += count
    return frozenset(
        (word, connecting)
        for (word, connecting), count in joints.items()
        if count >= max(least, _LEAST_SHARE * of_word[word])
    )


def _most_frequent(counts: Mapping[Fragment, int], num_fragments: int) -> Fragments:
    spellings: defaultdict[Fragment, list[tuple[int, Fragment]]] = defaultdict(list)
    for fragment, count in counts.items():
        spellings[Fragment(fragment.link, fragment.text.lower())].append((-count, fragment))
    best = sorted((sum(count for count, _ in found), min(found)[1]) for found in spellings.values())
    return tuple(fragment for _, fragment in best[:num_fragments])
