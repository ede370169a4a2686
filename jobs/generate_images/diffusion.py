"""Stable Diffusion as the competition's host ran it, each image a function of its prompt and its key's seed.

The recipe is that of Stability-AI's scripts/txt2img.py: DDIM with eta 0, pixels cut to whole numbers, not rounded.
Left out of it are the invisible watermark and the safety checker, which blackens images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from diffusers.utils import logging as diffusers_logging
from numpy.typing import NDArray
from PIL import Image
from transformers import CLIPTokenizer
from transformers.utils import logging as transformers_logging

from jobs.errors import BadConfiguration, BadData
from jobs.generate_images.stage import GenerateImagesParams
from jobs.runtime.device import gpu_memory_for, prepare_torch
from jobs.runtime.models import locate
from jobs.shards.keys import seed_of
from jobs.shards.tar import Sample

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def load(params: GenerateImagesParams) -> Any:
    """The StableDiffusionPipeline on the device and in the precision asked for, with DDIM in its model's settings.

    Raises BadConfiguration when the folder is not a whole pipeline, or the GPU too small for it.
    """
    device = prepare_torch(params)
    torch.backends.cudnn.allow_tf32 = False  # fp32 means fp32; cuDNN would otherwise convolve in TF32
    for logging in (diffusers_logging, transformers_logging):
        logging.set_verbosity_error()  # they warn of every prompt that is cut; those are counted instead
        logging.disable_progress_bar()
    name, revision = locate(params)
    with _folder_errors_translated(name, revision):
        pipe: Any = StableDiffusionPipeline.from_pretrained(  # type: ignore[no-untyped-call]
            name,
            revision=revision,
            dtype=DTYPES[params.precision],
            use_safetensors=True,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)  # type: ignore[no-untyped-call]
    pipe.set_progress_bar_config(disable=True)
    pipe.vae.enable_slicing()  # decodes one by one: 3 % of the work, but most of the memory
    with gpu_memory_for(f"the pipeline in {params.precision}", "use a larger GPU"):
        return pipe.to(device)


def load_tokenizer(params: GenerateImagesParams) -> Any:
    """The pipeline's tokenizer alone; raises BadConfiguration as `load`."""
    name, revision = locate(params)
    with _folder_errors_translated(name, revision):
        if revision is None and not (Path(name) / "tokenizer").is_dir():
            raise OSError("it has no tokenizer")  # of which transformers makes an empty one
        tokenizer: Any = CLIPTokenizer  # typed as if `revision` were required
        return tokenizer.from_pretrained(name, subfolder="tokenizer", revision=revision)


def generate(pipe: Any, samples: Sequence[Sample], params: GenerateImagesParams) -> Iterator[Image.Image]:
    """An RGB image of `size` pixels a side for each sample, in order.

    Every batch has exactly `batch_size` rows, the last filled up with its last sample. So each image comes out of the
    same shapes, hence the same kernels, whichever others it is made with, and made again alone it is the same. On the
    CPU in fp32 that holds for every bit, and without the filling up it does not.
    """
    for start in range(0, len(samples), params.batch_size):
        batch = list(samples[start : start + params.batch_size])
        filled = batch + batch[-1:] * (params.batch_size - len(batch))
        pixels = _pixels(pipe, [sample.text() for sample in filled], [sample.key for sample in filled], params)
        for sample, image in zip(batch, pixels, strict=False):  # what fills up the batch is dropped
            if not np.isfinite(image).all():
                raise BadData(
                    f"the image of {sample.key} is not finite in {params.precision}; set `precision: bf16` or fp32"
                )
            yield Image.fromarray(to_uint8(image))


def noise(key: str, shape: tuple[int, ...]) -> torch.Tensor:
    """The noise that a prompt's image starts from, float32 on the CPU: a function of the key, on any device."""
    generator = torch.Generator("cpu").manual_seed(seed_of(key))
    return torch.randn(shape, generator=generator, dtype=torch.float32)


def to_uint8(pixels: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Pixels from 0 to 1 as uint8, cut as txt2img.py does, which makes images half a level darker than rounding."""
    return (255.0 * pixels).astype(np.uint8)


def num_cut(tokenizer: Any, prompts: Sequence[str]) -> int:
    """How many of the prompts the text encoder does not see whole: more than 77 tokens with the two at the ends."""
    if not prompts:
        return 0
    tokens = tokenizer(list(prompts), truncation=False, verbose=False)["input_ids"]
    return sum(len(one) > tokenizer.model_max_length for one in tokens)


@contextmanager
def _folder_errors_translated(name: str, revision: str | None) -> Iterator[None]:
    """Raises BadConfiguration for a folder that cannot be loaded; the hub's errors stay: a retry may reach it."""
    try:
        yield
    except (OSError, ValueError) as error:
        if revision is not None:
            raise
        raise BadConfiguration(f"model: {name} is not a folder with a Stable Diffusion pipeline: {error}") from error


def _pixels(pipe: Any, prompts: list[str], keys: list[str], params: GenerateImagesParams) -> NDArray[np.float32]:
    """Images of a batch, float32 of shape (batch, size, size, 3), from 0 to 1."""
    side = params.size // pipe.vae_scale_factor
    shape = (pipe.unet.config.in_channels, side, side)
    latents = torch.stack([noise(key, shape) for key in keys]).to(pipe.unet.dtype)
    what = f"batch_size: {params.batch_size} at {params.size} px in {params.precision}"
    with gpu_memory_for(what, "set a smaller batch_size"):
        images: NDArray[np.float32] = pipe(
            prompts,
            negative_prompt=[params.negative_prompt] * len(prompts),
            height=params.size,
            width=params.size,
            num_inference_steps=params.num_inference_steps,
            guidance_scale=params.guidance_scale,
            eta=0.0,
            latents=latents,
            output_type="np",
        ).images
    return images
