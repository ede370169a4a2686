"""Keys, splits and seeds are promises: the same in every process, on every machine, for as long as data lives."""

from __future__ import annotations

import itertools
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.shards.keys import KEY_DIGITS, key_of, normalise, seed_of, split_of

FOX = "a red fox in the snow, oil painting"
KEYS = [key_of(f"prompt number {number}") for number in range(20_000)]
PROMPTS = st.text(st.characters(exclude_categories=["Cs"]))


def test_keys_splits_and_seeds_never_change() -> None:
    assert key_of(FOX) == "a6d5d5baeaf3166d475ce658"
    assert key_of("Ünïcödé – 雪") == "5a1125a751f0310ed9636f5d"
    assert seed_of(key_of(FOX)) == 8_042_886_099_918_110_860
    assert seed_of(key_of(FOX), image=1) == 2_088_970_698_876_242_878
    splits = [split_of(key, {"val": 0.3, "test": 0.3}) for key in KEYS[:8]]
    assert splits == ["train", "test", "val", "train", "train", "train", "train", "test"]


@pytest.mark.parametrize(
    ("given_", "stored"),
    [
        ("  a  red\tfox\n", "a red fox"),
        ("a\u00a0red\u2003fox\u3000", "a red fox"),
        ("cafe\u0301", "café"),
        ("\u212b", "Å"),
        ("", ""),
        ("a\u200bb", "a\u200bb"),  # a zero-width space is not white space
    ],
)
def test_a_prompt_is_normalised(given_: str, stored: str) -> None:
    assert normalise(given_) == stored


@given(PROMPTS)
def test_normalising_twice_changes_nothing(prompt: str) -> None:
    once = normalise(prompt)
    assert normalise(once) == once
    assert key_of(once) == key_of(prompt)
    assert key_of(unicodedata.normalize("NFD", prompt)) == key_of(prompt)


@given(PROMPTS)
def test_a_key_is_short_hexadecimal_text(prompt: str) -> None:
    key = key_of(prompt)
    assert len(key) == KEY_DIGITS
    assert int(key, 16) >= 0


def test_different_words_have_different_keys() -> None:
    assert len(set(KEYS)) == len(KEYS)
    assert key_of("a red fox") != key_of("A red fox")


def test_splits_hold_their_fractions() -> None:
    held_out = {"val": 0.05, "test": 0.1}
    counts = {name: sum(split_of(key, held_out) == name for key in KEYS) for name in ("train", "val", "test")}
    for name, fraction in {"train": 0.85, **held_out}.items():
        deviation = (len(KEYS) * fraction * (1 - fraction)) ** 0.5
        assert abs(counts[name] - len(KEYS) * fraction) < 5 * deviation


def test_adding_or_resizing_test_never_moves_a_key_of_val() -> None:
    val = {key for key in KEYS if split_of(key, {"val": 0.1}) == "val"}
    for fraction in (0.0, 0.1, 0.5, 0.9):
        assert {key for key in KEYS if split_of(key, {"test": fraction, "val": 0.1}) == "val"} == val


def test_enlarging_a_split_only_takes_from_train() -> None:
    for key in KEYS:
        before, after = split_of(key, {"val": 0.1, "test": 0.1}), split_of(key, {"val": 0.1, "test": 0.2})
        assert after == before or (before, after) == ("train", "test")


def test_the_order_of_the_fractions_does_not_matter() -> None:
    fractions = {"test": 0.2, "holdout": 0.2, "val": 0.2, "another": 0.2}
    orders = [dict(order) for order in itertools.permutations(fractions.items())]
    for key in KEYS[:200]:
        assert len({split_of(key, order) for order in orders}) == 1


def test_without_fractions_all_is_for_training() -> None:
    assert {split_of(key, {}) for key in KEYS[:1000]} == {"train"}
    assert {split_of(key, {"val": 1.0}) for key in KEYS[:1000]} == {"val"}


def test_seeds_fit_a_generator_and_differ_between_images() -> None:
    seeds = [seed_of(key, image) for key in KEYS[:1000] for image in range(3)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert max(seeds) > 2**62  # the whole range is used
