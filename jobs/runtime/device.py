"""The device and the arithmetic that a stage's parameters ask for, or an error; never a silent fallback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from jobs.errors import BadConfiguration
from jobs.runtime.spec import TorchParams

if TYPE_CHECKING:
    import torch


def prepare_torch(params: TorchParams) -> torch.device:
    """Set threads and deterministic algorithms, and return the device; raises BadConfiguration when it is missing."""
    import torch

    torch.set_num_threads(params.threads)
    torch.use_deterministic_algorithms(True, warn_only=params.device == "cuda")
    return require_device(params.device)


def require_device(name: str) -> torch.device:
    """The device `cpu` or `cuda`; raises BadConfiguration when it is missing."""
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise BadConfiguration(
            "this stage asks for `device: cuda`, but torch finds no usable GPU here: run it on a node with one "
            "(resources.gpus: 1), or set `device: cpu`"
        )
    return torch.device(name)


@contextmanager
def gpu_memory_for(what: str, advice: str) -> Iterator[None]:
    """Raises BadConfiguration, which says what to do, where the GPU has too little memory for what is done here."""
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        raise BadConfiguration(f"the GPU has too little memory for {what}; {advice}") from error
