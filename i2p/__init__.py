"""Filter prompts, predict images, score predictions and read datasets from Python.

    import i2p

    kept = i2p.filter_prompts(prompts)
    prediction = i2p.load_model("demo").predict("picture.png")
    result = i2p.score(predictions, truth)
    for sample in i2p.open_dataset("runs/demo/generate-images"): ...

Each is imported when it is first used: importing `i2p` itself loads neither torch nor faiss. Nothing is printed, and
nothing downloaded.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from i2p.datasets import OpenDataset, Sample, open_dataset
    from i2p.models import Model, Prediction, load_model
    from i2p.prompts import filter_prompts
    from i2p.scores import Score, score
    from jobs.composing.values import Candidate

__all__ = [
    "Candidate",
    "Model",
    "OpenDataset",
    "Prediction",
    "Sample",
    "Score",
    "filter_prompts",
    "load_model",
    "open_dataset",
    "score",
]

_MODULES = {
    "i2p.datasets": ("OpenDataset", "Sample", "open_dataset"),
    "i2p.models": ("Model", "Prediction", "load_model"),
    "i2p.prompts": ("filter_prompts",),
    "i2p.scores": ("Score", "score"),
    "jobs.composing.values": ("Candidate",),
}


if not TYPE_CHECKING:  # for which every name would exist then

    def __getattr__(name: str) -> Any:
        for module, names in _MODULES.items():
            if name in names:
                return getattr(import_module(module), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return __all__
