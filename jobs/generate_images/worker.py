"""Adds the prompt's image, in a field named by its format, to every sample: taken over, or made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial

from PIL import Image

from jobs.generate_images.contract import GeneratedImages, GenerateImagesInputs, ImageCounts
from jobs.generate_images.encoding import encode_image
from jobs.generate_images.stage import DRAWING, GenerateImagesParams
from jobs.runtime import log
from jobs.runtime.task import Task
from jobs.shards.dataset import Writer
from jobs.shards.tar import Sample

Generate = Callable[[Sequence[Sample]], Iterable[Image.Image]]  # an image for each sample, in order
CountCut = Callable[[Sequence[Sample]], int]  # the samples whose prompt is not read to its end


def run(task: Task[GenerateImagesInputs, GeneratedImages[Writer]], params: GenerateImagesParams) -> None:
    """Add the images of the pending shards; an image depends on its sample's prompt and key and on the parameters.

    Those that were made before are taken over; what makes the others is loaded when the first of them is to be made.
    """
    generate, count_cut = generator(params), cut_counter(params)
    for unit in task.pending():
        with task.writing(unit) as output:
            (shard,) = unit.shards
            samples = [sample.raw for sample in task.inputs.kept.splits.read(shard)]
            taken = task.taken_over(unit, samples, params.format)
            output.stats.write(ImageCounts(images=len(samples), cut=count_cut(samples)))
            output.splits.write_shard(shard.name, with_images(samples, taken, generate, params))


def generator(params: GenerateImagesParams) -> Generate:
    """What makes the images: the drawing, or Stable Diffusion, which is loaded for the first image."""
    if params.model == DRAWING:
        from jobs.synthetic.drawing import draw

        return lambda samples: (draw(sample.text(), size=params.stored_size) for sample in samples)
    from jobs.generate_images import diffusion  # the drawing needs no torch

    pipe = cache(partial(diffusion.load, params))
    return lambda samples: diffusion.generate(pipe(), samples, params) if samples else ()


def cut_counter(params: GenerateImagesParams) -> CountCut:
    """What counts the cut prompts: of the drawing none, else with the tokenizer alone."""
    if params.model == DRAWING:
        return lambda samples: 0
    from jobs.generate_images import diffusion

    tokenizer = cache(partial(diffusion.load_tokenizer, params))
    return lambda samples: diffusion.num_cut(tokenizer(), [sample.text() for sample in samples])


def with_images(
    samples: Sequence[Sample], taken: Mapping[str, bytes], generate: Generate, params: GenerateImagesParams
) -> Iterator[Sample]:
    """The samples with their images, taken over or made, one at a time; nothing that was in them changes."""
    made = iter(generate([sample for sample in samples if sample.key not in taken]))
    for number, sample in enumerate(samples, start=1):
        image = taken.get(sample.key) or encode_image(next(made), params)
        yield sample.adding(**{params.format: image})
        log.progress(number, len(samples), "images")
