"""The network: an image tower of open_clip or timm, a head, and which of its layers learn."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from jobs.contract.samples import DIMENSIONS
from jobs.registry import load
from jobs.regressor.layer import Layer
from jobs.regressor.params import HEADS, Trainable
from jobs.regressor.tower import build_tower, layers_of, num_before_last_quarter
from jobs.regressor.values import Architecture


class Regressor(nn.Module):
    """uint8 images of shape (n, 3, size, size) to unit vectors, float32 of shape (n, 384).

    Pixels are normalised in here, so that whoever uses the network cannot do it differently.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, architecture: Architecture, *, drop_path: float | None = None) -> None:
        """Random weights from torch's generator; `drop_path` overrides the model's own stochastic depth."""
        super().__init__()
        self.architecture = architecture
        self.tower, features = build_tower(architecture.model, architecture.image_size, drop_path)
        self.head = load(HEADS, architecture.head, "build")(features, DIMENSIONS)
        self.register_buffer("mean", 255 * torch.tensor(architecture.mean).view(3, 1, 1))
        self.register_buffer("std", 255 * torch.tensor(architecture.std).view(3, 1, 1))
        self.num_frozen = 0  # of `layers`, counted from the image's side
        self._layers_of = layers_of(self.tower)
        self._fixed = {name for name, parameter in self.tower.named_parameters() if not parameter.requires_grad}

    @property
    def layers(self) -> list[Layer]:
        """The tower as layers to be applied one after the other; a single one where its family cannot cut it."""
        return self._layers_of(self.tower)

    def forward(self, images: Tensor) -> Tensor:
        return self.vectors(self.features(images))

    def features(self, images: Tensor) -> Tensor:
        """What the tower gives for the images, of shape (n, features), before the head."""
        layers = self.layers
        with torch.no_grad():
            x = (images.float() - self.mean) / self.std
            for layer in layers[: self.num_frozen]:
                x = layer.apply(x)
        for layer in layers[self.num_frozen :]:
            x = layer.apply(x)
        return x

    def vectors(self, features: Tensor) -> Tensor:
        """The unit vectors that the head gives for a tower's features, float32 of shape (n, 384)."""
        return functional.normalize(self.raw(features), dim=-1)

    def raw(self, features: Tensor) -> Tensor:
        """What the head gives before it is normalised, float32 of shape (n, 384)."""
        return self.head(features).float()  # type: ignore[no-any-return]

    def train(self, mode: bool = True) -> Regressor:
        """As nn.Module does, except that frozen layers stay in eval mode: no stochastic depth, no new statistics."""
        super().train(mode)
        for layer in self.layers[: self.num_frozen]:
            layer.eval()
        return self

    def freeze(self, trainable: Trainable) -> None:
        """Let only a part learn; raises BadConfiguration when the tower cannot be divided like that.

        `last-quarter` is the last quarter of the tower's blocks and all that comes after them, as its family says.
        Parameters that the tower itself has fixed (positions made of sines) never learn.
        """
        layers = self.layers
        match trainable:
            case "all":
                self.num_frozen = 0
            case "head":
                self.num_frozen = len(layers)
            case "last-quarter":
                self.num_frozen = num_before_last_quarter(self.tower)
        learning = {id(parameter) for layer in layers[self.num_frozen :] for parameter in layer.parameters()}
        for name, parameter in self.tower.named_parameters():
            parameter.requires_grad_(id(parameter) in learning and name not in self._fixed)

    def depths(self) -> dict[str, int | None]:
        """How far each parameter of the tower lies below the head, in the steps of its family's layer decay.

        None for the parameters of a tower whose family has no such order.
        """
        depths = {id(parameter): layer.depth for layer in self.layers for parameter in layer.parameters()}
        return {f"tower.{name}": depths[id(parameter)] for name, parameter in self.tower.named_parameters()}
