"""The cosine loss, and that each prediction is closer to its own vector than to the others of the batch.

The cosine alone is also lowered by predicting what all prompts have in common; the contrast between the prompts of a
batch is not.
"""

from __future__ import annotations

import torch
from torch import Tensor, distributed
from torch.nn import functional

_TEMPERATURE = 0.07  # where CLIP's begins (Radford et al. 2021, arXiv:2103.00020, section 2.5)
_WEIGHT = 0.1  # of the contrast: with 64 images it begins at 0.1 * ln 64 = 0.4, beside a cosine loss of 1


def loss(predicted: Tensor, true: Tensor) -> Tensor:
    """1 - mean cosine, plus 0.1 times InfoNCE (van den Oord et al. 2018, arXiv:1807.03748, equation 4).

    The negatives of a prediction are the true vectors of all other images of the step, whichever process has them. So
    the gradient does not depend on the number of processes, and only vectors without a gradient are exchanged.
    """
    candidates, first = _of_all_processes(true)
    own = torch.arange(first, first + len(true), device=true.device)
    contrast = functional.cross_entropy(predicted @ candidates.T / _TEMPERATURE, own)
    return 1 - functional.cosine_similarity(predicted, true).mean() + _WEIGHT * contrast


def _of_all_processes(vectors: Tensor) -> tuple[Tensor, int]:
    """The vectors of all processes in the order of their ranks, and where those of this one begin."""
    if not distributed.is_initialized():
        return vectors, 0
    gathered = [torch.empty_like(vectors) for _ in range(distributed.get_world_size())]
    distributed.all_gather(gathered, vectors.contiguous())
    return torch.cat(gathered), distributed.get_rank() * len(vectors)
