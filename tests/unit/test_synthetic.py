"""The synthetic components of the demo: any shard of prompts alone, the same picture everywhere, every phrase seen."""

from hashlib import sha256
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from jobs.synthetic.drawing import LIGHT_LOOKS, PHRASES, SCENE_LOOKS, draw
from jobs.synthetic.grammar import LIGHTS, SCENES, SLOTS, prompts

SENTENCE = "oil painting of a glass fox with a lantern on the moon, at golden hour, confetti"
OTHER_ORDER = "on the moon, a glass fox and a lantern, confetti, at golden hour, oil painting"
SAID = {
    "material": "glass",
    "subject": "fox",
    "companion": "a lantern",
    "place": "on the moon",
    "medium": "oil painting",
    "light": "at golden hour",
    "detail": "confetti",
}


def picture(prompt: str, size: int = 64) -> NDArray[np.uint8]:
    return np.asarray(draw(prompt, size=size))


def first(count: int, *, seed: int = 0) -> list[str]:
    return list(prompts(seed=seed, start=0, count=count))


def test_a_prompt_depends_only_on_the_seed_and_its_number() -> None:
    assert list(prompts(seed=3, start=120, count=40)) == first(200, seed=3)[120:160]


def test_the_first_prompts_of_seed_0_stay_what_they_are() -> None:
    digest = sha256("\n".join(first(100)).encode()).hexdigest()
    assert digest == "06843186c4daab3655ac76c9631d8252d8c43bc636e1f2f5c3cb1b5e70517ba1"


def test_two_seeds_write_different_prompts() -> None:
    assert len(set(first(500, seed=1)) & set(first(500, seed=2))) < 5


def test_most_prompts_are_new_and_a_few_repeat_an_earlier_one() -> None:
    distinct = len(set(first(3000)))
    assert 2800 < distinct < 2980


def test_every_phrase_is_said_and_the_subject_never_left_out() -> None:
    texts = first(3000)
    everything = "\n".join(texts)
    assert [phrase for phrases in SLOTS.values() for phrase in phrases if phrase not in everything] == []
    assert all(any(subject in text for subject in SLOTS["subject"]) for text in texts)


def test_no_two_phrases_read_alike_and_each_scene_and_light_has_a_look() -> None:
    assert len(PHRASES) == sum(map(len, SLOTS.values()))
    assert tuple(SCENE_LOOKS) == SCENES
    assert tuple(LIGHT_LOOKS) == LIGHTS


@pytest.mark.parametrize(
    ("prompt", "size", "digest"),
    [
        (SENTENCE, 64, "5f1b18e02cf018070e4274cc3ddcccd3214f836f85319fb8dc68b3aafff038da"),
        (SENTENCE, 96, "98a3dc99fddc14097d60910322bdb6893e28cbfdc0f22d79ab4c81876292e538"),
        ("A dog sleeps on a red sofa 🐶", 64, "bae75304cabd66e6cc16bcba70b7cf73bcd01f1e92924e2051db966dbe4765bf"),
    ],
)
def test_a_prompt_is_the_same_pixels_on_every_machine(prompt: str, size: int, digest: str) -> None:
    assert sha256(picture(prompt, size).tobytes()).hexdigest() == digest


def test_a_phrase_is_drawn_alike_in_either_word_order() -> None:
    assert np.array_equal(picture(SENTENCE), picture(OTHER_ORDER))


@pytest.mark.parametrize("slot", SLOTS)
def test_any_two_phrases_of_a_slot_make_pictures_that_differ_visibly(slot: str) -> None:
    pictures = [picture(SENTENCE.replace(SAID[slot], phrase)).astype(np.int16) for phrase in SLOTS[slot]]
    changed = [np.abs(one - other).max(axis=2) > 24 for one, other in combinations(pictures, 2)]
    assert min(pixels.sum() for pixels in changed) >= 40


def test_changing_the_companion_leaves_the_rest_of_the_picture_alone() -> None:
    changed = picture(SENTENCE) != picture(SENTENCE.replace("a lantern", "a trumpet"))
    assert changed[36:, 36:].any()
    assert not changed[:36].any()
    assert not changed[:, :36].any()


def test_a_word_outside_the_grammar_leaves_its_own_mark_wherever_it_stands() -> None:
    words = [f"word{number}" for number in range(30)]
    assert np.array_equal(picture(" ".join(words)), picture(", ".join(reversed(words)).upper()))
    assert not np.array_equal(picture("a zebra on a sofa"), picture("a zebra on a bus"))


@pytest.mark.parametrize("text", ["", " \n\t", "...", "a glass of", "🦊", "\ud800", "狐と月", "\0", "fox " * 2500])
def test_any_text_has_a_picture(text: str) -> None:
    image = draw(text, size=32)
    assert (image.mode, image.size) == ("RGB", (32, 32))


def test_a_text_of_thousands_of_words_is_drawn_like_its_beginning() -> None:
    words = [f"word{number}" for number in range(2000)]
    assert np.array_equal(picture(" ".join(words)), picture(" ".join(words[:48])))
