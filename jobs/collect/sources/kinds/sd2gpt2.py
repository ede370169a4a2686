"""The Kaggle set xiaozhouwang/sd2gpt2: images of prompts that GPT-2 wrote."""

from __future__ import annotations

from typing import Literal

from jobs.collect.sources.numbered_images import NumberedImages


class Sd2gpt2(NumberedImages):
    """The set's folder: `gpt_generated_prompts.csv`, and the image of its row n, from 0, as `n.png` in
    `gpt_generated_images/gpt_generated_images`."""

    kind: Literal["sd2gpt2"]

    table = "gpt_generated_prompts.csv"
    pattern = "gpt_generated_images/gpt_generated_images/{row}.png"
