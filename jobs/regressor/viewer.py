"""A trained network together with how images are shown to it: in which size, and in which views."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from jobs.errors import BadConfiguration
from jobs.imaging.pixels import Pixels
from jobs.registry import load
from jobs.regressor.model import Regressor
from jobs.regressor.params import VIEWS
from jobs.regressor.predict import Outputs, autocast, detail_of
from jobs.regressor.values import Viewing

_PLAIN = Viewing()


@dataclass(frozen=True, slots=True)
class Viewer:
    """What is predicted with: whoever predicts shows images as they were shown when the network was evaluated."""

    regressor: Regressor
    image_size: int  # pixels of a side
    views: Callable[[Tensor], Iterator[Tensor]]  # of uint8 of shape (n, 3, s, s)

    def outputs(self, images: Sequence[Pixels], precision: str) -> Outputs:
        """What the network gives for n images, uint8 of shape (image_size, image_size, 3).

        Of several views features and lengths are averaged, and so are the unit vectors, to be normalised again.
        """
        device = next(self.regressor.parameters()).device
        batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).to(device)
        with torch.inference_mode():
            found = [self._seen(view, precision) for view in self.views(batch)]
            vectors, features, lengths = (_mean([one[part] for one in found]) for part in range(3))
            if len(found) > 1:
                vectors = functional.normalize(vectors, dim=-1)
        detail = np.array([detail_of(image) for image in images])
        return Outputs(vectors.cpu().numpy(), features.cpu().numpy(), detail, lengths.cpu().numpy())

    def _seen(self, images: Tensor, precision: str) -> tuple[Tensor, Tensor, Tensor]:
        with autocast(precision, images.device):
            features = self.regressor.features(images)
            raw = self.regressor.raw(features)
        return functional.normalize(raw, dim=-1), features.float(), torch.linalg.vector_norm(raw, dim=-1)


def _mean(tensors: Sequence[Tensor]) -> Tensor:
    """Of a single one it itself, to the last bit."""
    return tensors[0] if len(tensors) == 1 else torch.stack(list(tensors)).mean(dim=0)


def viewer_of(regressor: Regressor, viewing: Viewing = _PLAIN) -> Viewer:
    """The network as it is to be run; without `viewing` plainly: the image as it is, in the size of training.

    Raises BadConfiguration where there are no such views, and where the tower takes no images of that size: one black
    image is tried, as only the tower itself knows.
    """
    trained, views = regressor.architecture.image_size, load(VIEWS, viewing.views, "views")
    size = viewing.image_size or trained
    if size != trained:
        _try(regressor, size)
    return Viewer(regressor, size, views)


def _try(regressor: Regressor, size: int) -> None:
    device = next(regressor.parameters()).device
    try:
        with torch.inference_mode():
            regressor(torch.zeros((1, 3, size, size), dtype=torch.uint8, device=device))
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, AssertionError, ValueError) as error:  # how towers refuse; timm asserts
        architecture = regressor.architecture
        raise BadConfiguration(
            f"image_size: {architecture.model}, trained with {architecture.image_size} pixels of a side, takes no "
            f"images of {size}: {error}; set evaluate.image_size to null, or use a tower that takes any size "
            "(ConvNeXt, EfficientNet)"
        ) from error
