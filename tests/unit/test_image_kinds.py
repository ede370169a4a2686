"""One picture in every kind of file looks the same, to the trusted decoder as to the sandboxed one."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from jobs.imaging.decoding import decode
from jobs.imaging.limits import ImageLimits
from jobs.imaging.untrusted import decode_foreign
from tests.image_kinds import ALL, PICTURE

LIMITS = ImageLimits()


def difference(image: Image.Image, other: Image.Image) -> float:
    """The mean of the absolute difference of all channels, of 255."""
    one, two = (np.asarray(each.convert("RGB")).astype(np.float64) for each in (image, other))
    return float(np.abs(one - two).mean()) if one.shape == two.shape else np.inf


@pytest.mark.parametrize("name", ALL)
def test_the_picture_is_seen_whatever_it_is_kept_in_and_whoever_decodes_it(name: str) -> None:
    case = ALL[name]
    trusted, foreign = decode(case.data, name), decode_foreign(case.data, name, LIMITS)
    assert (trusted.mode, trusted.size) == ("RGB", PICTURE.size)
    assert difference(trusted, case.shows) <= case.within
    assert (foreign.size, foreign.tobytes()) == (trusted.size, trusted.tobytes())
    assert trusted.info == foreign.info == {}
