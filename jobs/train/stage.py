"""What train is: one network from the training images, whatever happens to the held-out ones."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from jobs.compare_images.contract import reads_of_left_out
from jobs.contract.samples import TRAIN as TRAIN_SPLIT
from jobs.registry import OneOf
from jobs.regressor.known_towers import check_fits, tower_named
from jobs.regressor.params import Head, Precision, Trainable
from jobs.runtime.models import by_content
from jobs.runtime.spec import StageSpec, TorchParams, Unit, one_unit
from jobs.train.contract import Trained, TrainInputs

LOSSES = "jobs.train.losses"
AUGMENTATIONS = "jobs.train.augmentations"

Loss = Annotated[str, OneOf(LOSSES)]
Augment = Annotated[str, OneOf(AUGMENTATIONS)]
Schedule = Literal["cosine", "one-cycle"]


class TrainParams(TorchParams):
    """How the network is trained. The defaults are for millions of images on one GPU of 80 GB or more."""

    model: str = "convnext_xxlarge"
    """The image tower: a model of open_clip by its name, or else a model of timm by its name."""

    pretrained: str | None = Field(default="laion2b_s34b_b82k_augreg_soup", validate_default=True)
    """A tag of open_clip's, a file NAME.safetensors with the `visual.*` weights, or null for random weights."""

    revision: str | None = Field(default=None, pattern=r"^[0-9a-f]{40}$")
    """The commit of the hub repository that the tag stands for; required for a tag. It must have safetensors."""

    image_size: int = Field(default=512, ge=32, validate_default=True)
    """Pixels of a side. A ConvNeXt takes any size, whatever it was pretrained at; most others take one."""

    head: Head = "linear-bn-relu-linear"
    """What turns the tower's output into 384 numbers; the longer one scored 0.006 more than `linear`."""

    drop_path: float | None = Field(default=None, ge=0, lt=1)
    """Stochastic depth of the blocks, where a tower has it; null for the model's own (0.1 for convnext_xxlarge)."""

    trainable: Trainable = Field(default="last-quarter", validate_default=True)
    """What learns beside the head: the whole tower, the last quarter of its blocks (ConvNeXt, EfficientNet, ViT), or
    nothing."""

    loss: Loss = "cosine"
    """What is minimised: `cosine` is 1 minus the metric; `cosine-info-nce` adds a contrast with the batch's others."""

    epochs: int = Field(default=5, ge=1)
    """How often every image is seen; an incomplete last batch of an epoch is left out, another one each time."""

    batch_size: int = Field(default=64, ge=1)
    """Images of one step, over all processes."""

    learning_rate: float = Field(default=1e-4, gt=0)
    """The highest rate of the tower's last part, and of the head unless that has its own."""

    head_learning_rate: float | None = Field(default=5e-4, gt=0)
    """The highest rate of the head; null for the tower's."""

    head_only_steps: int = Field(default=1_000, ge=0)
    """Steps at the beginning in which the head alone learns, so that its noise does not spoil the tower."""

    layer_decay: float | None = Field(default=0.5, gt=0, le=1, validate_default=True)
    """Each stage of a ConvNeXt or EfficientNet, or block of a ViT, learns at this fraction of the next one's rate. For
    ConvNeXt 0.4 to 0.6 scored best; for ViT timm's default is 0.75. null for 1, which other towers need."""

    weight_decay: float = Field(default=0.05, ge=0)
    """AdamW's; biases, norms and scales have none."""

    schedule: Schedule = "cosine"
    """After the warm-up: `cosine` falls to 0; `one-cycle` warms up from 1/25 and falls to 1/250,000 of the rate."""

    warm_up: float = Field(default=0.05, ge=0, lt=1)
    """The fraction of all steps in which the rate rises; usually 0.3 for `one-cycle`."""

    max_gradient_norm: float | None = Field(default=1.0, gt=0)
    """Longer gradients are cut to this length; null for no limit."""

    ema_decay: float | None = Field(default=0.9998, gt=0, lt=1)
    """Decay of the moving average of the weights, which is then the result; null for the last weights themselves."""

    augment: Augment = "light"
    """`light` crops a little and erases a patch now and then (+0.007); images are never flipped, which hurts."""

    precision: Precision = "bf16"
    """The arithmetic of the network; weights and optimizer are float32 in any case. fp16 needs `device: cuda`."""

    seed: int = Field(default=0, ge=0)
    """Of the random weights, the order, the augmentation and the stochastic depth."""

    weights: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = Field(default={})
    """What an image counts for in the gradient, by how it came about, `made` or `given`, and by its source: {made: 0.5,
    my-photos: 2}. The two are multiplied, and what is not named counts 1. A given image's source is the one that gave
    it, a made one's that of its prompt."""

    window_shards: int = Field(default=8, ge=1)
    """Shards whose samples are mixed with each other; their encoded images are in memory, twice while reading on."""

    curve_every: int = Field(default=50, ge=1)
    """Steps between two points of the learning curve."""

    checkpoint_every: int = Field(default=1_000, ge=1)
    """Steps between two checkpoints, and so the most that a killed worker loses. Not part of the result."""

    @field_validator("model")
    @classmethod
    def _is_known(cls, model: str) -> str:
        tower_named(model)
        return model

    @field_validator("pretrained", "image_size", "drop_path", "trainable", "layer_decay")
    @classmethod
    def _fits_the_tower(cls, value: Any, info: ValidationInfo) -> Any:
        if "model" in info.data and info.field_name:  # else the model was refused
            check_fits(tower_named(info.data["model"]), info.field_name, value, info.data)
        return value

    def settings(self) -> dict[str, Any]:
        settings = super().settings()
        del settings["checkpoint_every"]
        if self.loss == "cosine":  # as when there was no other
            del settings["loss"]
        if not self.weights:  # as when there were none
            del settings["weights"]
        if self.pretrained is not None:
            settings["pretrained"] = by_content(self.pretrained)
        return settings


def units(params: TrainParams, inputs: TrainInputs) -> list[Unit]:
    images = inputs.images.splits[TRAIN_SPLIT]
    return one_unit(
        "model", params, images.reads(), reads_of_left_out(inputs.compared, TRAIN_SPLIT), shards=images.shards()
    )


TRAIN = StageSpec(
    reads=TrainInputs,
    writes=Trained,
    params=TrainParams,
    units=units,
    worker="jobs.train.worker:run",
    section="jobs.train.section:page",
    lineage="jobs.train.lineage:LINEAGE",
    parallel=False,
    gang=True,
    about="trains the network that reads the prompt's vector out of an image",
)
