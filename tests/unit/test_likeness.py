"""Near-identical pictures have signatures that are close, and others do not; the comparison takes them as they are."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from benchmarks.near_identical import CHANGES
from jobs.compare_images.stage import CompareImagesParams
from jobs.imaging.likeness import DIMENSIONS, signature
from jobs.similarity.closest import closest
from jobs.synthetic.drawing import draw

THRESHOLD = CompareImagesParams().threshold
PROMPT = "oil painting of a glass fox with a lantern on the moon, at golden hour, confetti"
ALWAYS = tuple(name for name in CHANGES if name not in ("scaled to 30 %", "cropped by 5 %", "border of 2 %"))


def test_a_signature_is_a_unit_vector_that_the_pixels_alone_decide() -> None:
    found = signature(draw(PROMPT, size=64))
    assert found.shape == (DIMENSIONS,)
    assert found.dtype == np.float32
    assert np.linalg.norm(found) == pytest.approx(1, abs=1e-6)
    assert np.array_equal(found, signature(draw(PROMPT, size=64)))


@pytest.mark.parametrize("change", ALWAYS)
def test_a_picture_that_is_changed_a_little_is_recognised(change: str) -> None:
    picture = draw(PROMPT, size=256)
    assert cosine(picture, CHANGES[change](picture)) >= THRESHOLD


@pytest.mark.parametrize(
    "other", [PROMPT.replace("fox", "owl"), PROMPT.replace("on the moon", "in an ice cave"), "a red cat in a kitchen"]
)
def test_a_picture_of_another_prompt_is_not_taken_for_it(other: str) -> None:
    assert cosine(draw(PROMPT, size=64), draw(other, size=64)) < THRESHOLD


def test_what_is_beside_the_centred_square_counts_for_nothing() -> None:
    picture = draw(PROMPT, size=64)
    wide = Image.new("RGB", (100, 64), (255, 0, 0))
    wide.paste(picture, (18, 0))
    assert cosine(picture, wide) == pytest.approx(1, abs=1e-6)


def test_pictures_of_one_grey_are_like_each_other_and_like_no_other() -> None:
    flat = [Image.new("RGB", (64, 64), (grey, grey, grey)) for grey in (255, 0, 77)]
    flat.append(CHANGES["JPEG of quality 30"](flat[-1]))
    assert [cosine(flat[0], other) for other in flat] == [1, 1, 1, 1]
    assert cosine(flat[0], draw(PROMPT, size=64)) == 0
    assert cosine(flat[0], Image.new("RGB", (64, 64), (10, 200, 30))) == 0


def test_the_closest_of_many_signatures_are_found_exactly() -> None:
    pictures = [draw(f"word{number} and word{number + 1}", size=32) for number in range(300)]
    vectors = np.stack([signature(picture) for picture in pictures])
    cosines, rows = closest([vectors[100:200], vectors[200:]], vectors[:100], 2)
    expected = np.sort(vectors[:100].astype(np.float64) @ vectors[100:].astype(np.float64).T)[:, ::-1][:, :2]
    assert np.allclose(cosines, expected, atol=1e-6)
    products = np.einsum("nd,nkd->nk", vectors[:100], vectors[100:][rows])
    assert np.allclose(products, expected, atol=1e-6)


def cosine(one: Image.Image, other: Image.Image) -> float:
    return float(signature(one) @ signature(other))
