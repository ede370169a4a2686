"""The device and the arithmetic that a stage's parameters ask for, or an error; never a silent fallback."""

from __future__ import annotations

import os
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


def threads_of(threads: int | None) -> int:
    """The threads that were asked for, or one for each core that this process may use."""
    found = len(os.sched_getaffinity(0)) if threads is None and hasattr(os, "sched_getaffinity") else threads
    found = os.cpu_count() or 1 if found is None else found
    if found < 1:
        raise BadConfiguration(f"threads: a number of 1 or more is required, given {threads}")
    return found


@contextmanager
def gpu_memory_for(what: str, advice: str) -> Iterator[None]:
    """Raises BadConfiguration, which says what to do, where the GPU has too little memory for what is done here."""
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        raise BadConfiguration(f"the GPU has too little memory for {what}; {advice}") from error
