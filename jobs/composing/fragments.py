"""Prompts cut into fragments, which are clauses and phrases, and put together again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

_CLAUSE = re.compile(r"\s*[,;|]+\s*|\s*\.+(?:\s+|$)|\s+-\s+")  # "8 - bit" is cut, too; joined again it reads "8, bit"
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_CONNECTING = {
    *("with", "in", "on", "at", "by", "under", "over", "near", "beside", "behind", "above", "below", "inside"),
    *("outside", "from", "against", "around", "through", "across", "along", "between", "during", "while", "among"),
    *("into", "onto", "beneath", "underneath", "of", "is", "are", "that", "who", "which", "has", "for", "to", "as"),
    *("next", "close", "and"),
}
_COUNTING = {
    *("a", "an", "the", "two", "three", "four", "five", "six", "some", "many", "several", "his", "her", "their"),
    *("its", "one", "another"),
}
_ENDING = "ing"
_NO_VERBS = {
    *("building", "painting", "ceiling", "wedding", "clothing", "railing", "drawing", "string", "evening"),
    *("morning", "spring", "living", "dining", "lighting", "setting", "nothing", "something", "everything"),
}
_MORE_WORDS = re.compile(r"(?:in front|on top|on the side|in the middle|on the back|at the top|inside) of\b", re.I)
_SAY_LITTLE = _CONNECTING | _COUNTING | {"it", "up", "down", "out", "being", "have", "front", "top"}
_FORMS = {"is": "be", "are": "be"}


class Link(StrEnum):
    """How a fragment is linked to what stands before it."""

    FIRST = "first"  # nothing does
    CLAUSE = "clause"  # after a comma
    PHRASE = "phrase"  # after a space; it begins with a word that connects


@dataclass(frozen=True, slots=True, order=True)
class Fragment:
    """A piece of a prompt: "oil painting", "of a glass fox", "highly detailed"."""

    link: Link
    text: str

    def __len__(self) -> int:
        """Its words."""
        return self.text.count(" ") + 1

    @property
    def last_word(self) -> str:
        return self.text.rpartition(" ")[2].lower()

    @property
    def goes_on(self) -> bool:
        """Whether it ends with a word that needs another one after it."""
        return self.last_word in _CONNECTING | _COUNTING

    @property
    def connecting_word(self) -> str:
        """What a phrase begins with; all verbal forms in -ing count as one."""
        word = self.text.partition(" ")[0].lower()
        return word if word in _CONNECTING else _ENDING


Fragments = tuple[Fragment, ...]


def cut(prompt: str) -> Fragments:
    """The fragments of a normalised prompt, in order; none of one without a word.

    Clauses end at commas, semicolons, bars and full stops; phrases begin at prepositions, relative pronouns, forms of
    `be`, an `and` before an article or a number, and verbs in -ing before a preposition, an article or a number.
    """
    found: list[Fragment] = []
    for clause in filter(None, map(str.strip, _CLAUSE.split(prompt.replace('"', "")))):
        words = clause.split(" ")
        starts = [0, *_beginnings(words)]
        for start, end in zip(starts, [*starts[1:], len(words)], strict=True):
            link = Link.PHRASE if start else Link.CLAUSE if found else Link.FIRST
            found.append(Fragment(link, " ".join(words[start:end])))
    return tuple(found)


def joined(fragments: Sequence[Fragment]) -> str:
    """The fragments as one text."""
    return "".join((", " if one.link is Link.CLAUSE else " ") + one.text for one in fragments).lstrip(", ")


def first(fragment: Fragment) -> Fragment:
    """The fragment at the beginning of a text."""
    return replace(fragment, link=Link.FIRST)


def num_words(fragments: Sequence[Fragment]) -> int:
    return sum(map(len, fragments))


def telling_words(fragments: Sequence[Fragment]) -> list[str]:
    """The words that say something, in lower case and without the plural's s, each as often as it is there.

    `is` and `are` are one of them: a prompt with two has two verbs.
    """
    words = (_FORMS.get(word, word) for one in fragments for word in _WORD.findall(one.text.lower()))
    return [word.removesuffix("s") for word in words if word not in _SAY_LITTLE]


def _beginnings(words: Sequence[str]) -> list[int]:
    """Where phrases begin in a clause; a connecting word right after another belongs to the same phrase."""
    found: list[int] = []
    free_from = 1 + int(_connects(words, 0))
    for at in range(1, len(words)):
        if at >= free_from and _connects(words, at):
            found.append(at)
            free_from = at + 1 + _width(words, at)
    return found


def _width(words: Sequence[str], at: int) -> int:
    """Of a connecting word or several: how many words follow the first before another phrase can begin."""
    several = _MORE_WORDS.match(" ".join(words[at : at + 4]))
    return several[0].count(" ") + 1 if several else 1


def _connects(words: Sequence[str], at: int) -> bool:
    word = words[at].lower()
    following = words[at + 1].lower() if at + 1 < len(words) else ""
    if word == "and":
        return following in _COUNTING
    if word in _CONNECTING:
        return True
    is_verb = word.endswith(_ENDING) and len(word) > 5 and word not in _NO_VERBS
    return is_verb and (not following or following in _COUNTING | _CONNECTING)
