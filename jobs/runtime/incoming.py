"""Stages that read files which come in over time, and can be asked to read just a batch of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any


class ReadsIncomingFiles(ABC):
    """What the parameters of such a stage answer."""

    @abstractmethod
    def incoming(self) -> str | None:
        """The folder or s3://BUCKET/PREFIX that files come into; None where these parameters read something else."""

    @abstractmethod
    def why_no_batches(self) -> str:
        """Why batches cannot be made with these parameters, as PARAMETER: REASON; empty where they can."""

    @abstractmethod
    def is_incoming(self, name: str) -> bool:
        """Whether a file of that name is read."""

    @abstractmethod
    def of_batch(self, names: str) -> dict[str, Any]:
        """The parameters that differ for a batch: `names` is the address of a JSON file {"names": […]}."""
