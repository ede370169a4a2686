"""The Kaggle set xiaozhouwang/sd2hardcode: images of prompts put together from lists."""

from __future__ import annotations

from typing import Literal

from jobs.collect.sources.numbered_images import NumberedImages


class Sd2hardcode(NumberedImages):
    """The set's folder: `hardcoded_prompts.csv`, and the image of its row n, from 0, as `n.png` in
    `hardcoded_images/hardcoded_images`."""

    kind: Literal["sd2hardcode"]

    table = "hardcoded_prompts.csv"
    pattern = "hardcoded_images/hardcoded_images/{row}.png"
