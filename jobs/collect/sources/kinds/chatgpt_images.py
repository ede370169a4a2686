"""The Kaggle set jeinsong/chatgpt-images-w-prompts: 45,126 images with prompts that ChatGPT wrote."""

from __future__ import annotations

from typing import Literal

from jobs.collect.sources.kinds.imagefolder import Imagefolder


class ChatgptImages(Imagefolder):
    """The set's folder: `metadata.jsonl` with `file_name` and `text`, and the images that it names."""

    kind: Literal["chatgpt-images"]  # type: ignore[assignment]
