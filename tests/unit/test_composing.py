"""Texts composed of known prompts' fragments: how prompts are cut, what fits together, and what is found."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.composing.fragments import Fragment, Link, cut, joined, num_words, telling_words
from jobs.composing.moves import repeats
from jobs.composing.search import Start, compose
from jobs.composing.values import Candidate, SearchParams
from jobs.composing.vocabulary import EmbeddedVocabulary, joint, vocabulary_of
from jobs.shards.keys import normalise
from jobs.similarity.exact import Floats
from jobs.synthetic.grammar import prompts

KNOWN = list(dict.fromkeys(prompts(seed=1, start=0, count=600)))
HELD_OUT = [one for one in prompts(seed=2, start=0, count=60) if one not in KNOWN]
PARAMS = SearchParams()


def embed(texts: Sequence[str]) -> Floats:
    """The mean of fixed vectors of the words, of length 1; that of no word is an axis."""
    found = np.zeros((len(texts), 64), np.float32)
    for row, text in enumerate(texts):
        for word in re.findall(r"\w+", text.lower()):
            seed = int.from_bytes(blake2b(word.encode(), digest_size=8).digest(), "big")
            found[row] += np.random.default_rng(seed).standard_normal(64).astype(np.float32)
        if not found[row].any():
            found[row, 0] = 1
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found


class Counting:
    """Embeds, and keeps what it was asked."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def __call__(self, texts: Sequence[str]) -> Floats:
        self.calls.append(list(texts))
        return embed(texts)


@pytest.fixture(scope="module")
def vocabulary() -> EmbeddedVocabulary:
    found = vocabulary_of(KNOWN, 500)
    return EmbeddedVocabulary(found, embed([one.text for one in found.fragments]))


@pytest.fixture(scope="module")
def starts() -> list[list[Start]]:
    """The three closest known prompts of each held-out one."""
    vectors = embed(KNOWN)
    closest = np.argsort(-(embed(HELD_OUT) @ vectors.T), axis=1, kind="stable")[:, :3]
    return [[Start(KNOWN[row], vectors[row]) for row in rows] for rows in closest]


@pytest.fixture(scope="module")
def found(starts: list[list[Start]], vocabulary: EmbeddedVocabulary) -> list[list[Candidate]]:
    return compose(embed(HELD_OUT), starts, vocabulary, embed, PARAMS)


# Fragments


@pytest.mark.parametrize(
    ("prompt", "fragments"),
    [
        ("oil painting of a glass fox on the moon, confetti", "oil painting|of a glass fox|on the moon|, confetti"),
        ("A person riding a snowboard down a hill.", "A person|riding a snowboard down a hill"),
        ("a cat is sitting in front of a red and white wall", "a cat|is sitting|in front of a red and white wall"),
        ("a computer next to a phone and a mouse", "a computer|next to a phone|and a mouse"),
        ("portrait | octane render; 8 k", "portrait|, octane render|, 8 k"),
        ("a tall building with windows", "a tall building|with windows"),
        ('a sign that says "stop"', "a sign|that says stop"),
        ("in the style of monet", "in the style|of monet"),
        ("one dog.. a street...", "one dog|, a street"),
        (", . ;", ""),
        ("", ""),
    ],
)
def test_a_prompt_is_cut_into_clauses_and_phrases(prompt: str, fragments: str) -> None:
    found = cut(prompt)
    assert "|".join((", " if one.link is Link.CLAUSE else "") + one.text for one in found) == fragments
    assert [one.link for one in found[:1]] == [Link.FIRST for _ in found[:1]]


@given(st.text(st.sampled_from("ab ,.;|-") | st.characters(exclude_categories=["Cs"]), max_size=40).map(normalise))
def test_a_text_put_together_again_has_the_same_letters_in_order(prompt: str) -> None:
    fragments = cut(prompt)
    assert re.findall(r"\w", joined(fragments)) == re.findall(r"\w", prompt)
    assert all(one.text for one in fragments)


def test_words_that_say_something_are_known_again_in_the_plural() -> None:
    assert telling_words(cut("two bees are on a bee")) == ["bee", "be", "bee"]
    assert repeats(cut("two bees are on a bee")) == 1


# The vocabulary


def test_the_most_frequent_fragments_are_kept_whatever_the_order_of_the_prompts() -> None:
    mixed = [KNOWN[row] for row in np.random.default_rng(0).permutation(len(KNOWN))]
    vocabulary = vocabulary_of(KNOWN, 50)
    assert vocabulary_of(mixed, 50) == vocabulary
    assert len(vocabulary.fragments) == 50
    assert vocabulary_of(KNOWN, 20).fragments == vocabulary.fragments[:20]


def test_spellings_that_differ_in_capitals_are_one_fragment() -> None:
    some = ["a dog, Highly Detailed", "a cat, highly detailed", "a fox, highly detailed", "a cow, 4k render"]
    assert vocabulary_of(some, 1).fragments == (Fragment(Link.CLAUSE, "highly detailed"),)


def test_what_goes_on_is_no_fragment_for_elsewhere() -> None:
    some = ["a man. The bowl sits on a table", "a dog. The bowl sits on a chair, m", "a dog, salt and, pepper on a"]
    texts = {one.text for one in vocabulary_of(some, 50).fragments}
    assert texts == {"a man", "a dog", "on a table", "on a chair"}


def test_what_is_seen_now_and_then_after_a_word_is_not_written_after_it() -> None:
    vocabulary = vocabulary_of(["a man with a hat"] * 400 + ["a man are here"] * 3 + ["a dog of war"], 50)
    assert vocabulary.joints == {("man", "with")}
    assert vocabulary.fits(cut("a Man with it"), 1)
    assert not vocabulary.fits(cut("a man are here"), 1)


# The search


def test_most_texts_are_closer_than_the_closest_known_prompt_and_none_is_further(
    found: list[list[Candidate]], starts: list[list[Start]]
) -> None:
    targets = embed(HELD_OUT)
    before = np.array([target @ some[0].vector for target, some in zip(targets, starts, strict=True)])
    after = np.array([some[0].cosine for some in found])
    assert (after >= before - 1e-6).all()
    assert np.mean(after > before + PARAMS.least_gain / 2) >= 0.8


def test_cosines_are_those_of_the_texts_and_the_closest_come_first(found: list[list[Candidate]]) -> None:
    for target, some in zip(embed(HELD_OUT), found, strict=True):
        assert [one.cosine for one in some] == pytest.approx(embed([one.prompt for one in some]) @ target, abs=1e-6)
        assert all(left.cosine >= right.cosine for left, right in pairwise(some))


def test_candidates_say_which_they_are(found: list[list[Candidate]], starts: list[list[Start]]) -> None:
    for some, known in zip(found, starts, strict=True):
        retrieved = {one.prompt for one in some if one.kind == "retrieved"}
        assert retrieved == {one.prompt for one in known}
        assert len({one.prompt for one in some}) == len(some)
        assert not retrieved & {one.prompt for one in some if one.kind == "composed"}


def test_what_is_composed_reads_as_prompts_do(
    found: list[list[Candidate]], starts: list[list[Start]], vocabulary: EmbeddedVocabulary
) -> None:
    joints = vocabulary.vocabulary.joints
    for some, known in zip(found, starts, strict=True):
        of_starts = {joint(*pair) for one in known for pair in pairwise(cut(one.prompt))}
        most = max(repeats(cut(one.prompt)) for one in known)
        for text in (one.prompt for one in some if one.kind == "composed"):
            fragments = cut(text)
            assert repeats(fragments) <= most
            assert num_words(fragments) <= PARAMS.most_words
            phrases = [pair for pair in pairwise(fragments) if pair[1].link is Link.PHRASE]
            assert {joint(*pair) for pair in phrases} <= joints | of_starts


def test_one_image_alone_has_the_same_candidates(
    found: list[list[Candidate]], starts: list[list[Start]], vocabulary: EmbeddedVocabulary
) -> None:
    for row in range(0, len(HELD_OUT), 9):
        alone = compose(embed(HELD_OUT)[row : row + 1], starts[row : row + 1], vocabulary, embed, PARAMS)
        assert alone == found[row : row + 1]


def test_texts_of_all_images_are_embedded_together_and_each_once(
    starts: list[list[Start]], vocabulary: EmbeddedVocabulary
) -> None:
    counting = Counting()
    compose(embed(HELD_OUT), starts, vocabulary, counting, PARAMS)
    assert len(counting.calls) <= PARAMS.num_rounds + 1
    assert all(len(set(texts)) == len(texts) for texts in counting.calls)
    changed = sum(map(len, counting.calls[-PARAMS.num_rounds :]))
    assert changed <= len(HELD_OUT) * PARAMS.num_rounds * PARAMS.num_tries


def test_nothing_is_composed_where_a_known_prompt_is_what_is_looked_for(vocabulary: EmbeddedVocabulary) -> None:
    (vector,) = embed(KNOWN[:1])
    (some,) = compose(vector[None], [[Start(KNOWN[0], vector)]], vocabulary, embed, PARAMS)
    assert [(one.prompt, one.kind) for one in some] == [(KNOWN[0], "retrieved")]


@pytest.mark.parametrize("prompt", ["...", "fox"])
def test_a_start_with_nothing_to_change_is_no_obstacle(prompt: str, vocabulary: EmbeddedVocabulary) -> None:
    start = Start(prompt, embed([prompt])[0])
    (some,) = compose(embed(["a fox on the moon"]), [[start]], vocabulary, embed, PARAMS)
    assert start.prompt in {one.prompt for one in some}


def test_a_long_start_gets_no_longer(vocabulary: EmbeddedVocabulary) -> None:
    start = Start("a fox on the moon, confetti", embed(["a fox on the moon, confetti"])[0])
    params = SearchParams(most_words=3, least_gain=1e-6)
    (some,) = compose(embed(["oil painting of a fox on the moon, confetti"]), [[start]], vocabulary, embed, params)
    assert all(num_words(cut(one.prompt)) <= 6 for one in some)


def test_without_a_vocabulary_fragments_are_left_out_at_most() -> None:
    nothing = EmbeddedVocabulary(vocabulary_of([], 10), embed([]))
    start = Start("a fox on the moon, confetti", embed(["a fox on the moon, confetti"])[0])
    (some,) = compose(embed(["a fox on the moon"]), [[start]], nothing, embed, PARAMS)
    assert (some[0].prompt, some[0].kind) == ("a fox on the moon", "composed")
    assert some[0].cosine == pytest.approx(1.0)
