"""The pictures that the benchmark of confidence makes: always the same, and not those that were tuned to."""

from __future__ import annotations

import numpy as np
from PIL import Image

from benchmarks.foreign_pictures import ALTERED, SIDE, altered, noise


def test_noise_is_the_same_wherever_it_is_made_and_of_other_kinds_where_nobody_tuned_to_it() -> None:
    kept, again, tuned = (list(noise(12, tuned=one)) for one in (False, False, True))
    assert [(name, picture.tobytes()) for name, picture in kept] == [(name, one.tobytes()) for name, one in again]
    assert {picture.size for _, picture in kept + tuned} == {(SIDE, SIDE)}
    kinds = [{name.partition("-")[0] for name, _ in family} for family in (kept, tuned)]
    assert not kinds[0] & kinds[1]
    assert len({picture.tobytes() for _, picture in kept}) == 12


def test_altered_drawings_keep_their_keys_and_sizes() -> None:
    drawing = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8))
    for way in ALTERED:
        ((key, picture),) = altered([("a", drawing)], way)
        assert (key, picture.size, picture.mode) == ("a", (24, 24), "RGB")
        assert picture.tobytes() != drawing.tobytes()
