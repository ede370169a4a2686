"""Adds the prompt's image, in a field named by its format, to every sample: given by a source, taken over, or made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cache, partial

from PIL import Image

from jobs.generate_images.contract import GeneratedImages, GenerateImagesInputs, ImageCounts, is_made
from jobs.generate_images.encoding import encode_image
from jobs.generate_images.given import GivenImages, adder
from jobs.generate_images.stage import DRAWING, GenerateImagesParams
from jobs.runtime import log
from jobs.runtime.task import Task
from jobs.shards.dataset import Writer
from jobs.shards.tar import Sample

Generate = Callable[[Sequence[Sample]], Iterable[Image.Image]]  # an image for each sample, in order
CountCut = Callable[[Sequence[Sample]], int]  # the samples whose prompt is not read to its end


ImagesTask = Task[GenerateImagesInputs, GeneratedImages[Writer]]


def run(task: ImagesTask, params: GenerateImagesParams) -> None:
    """Add the images of the pending shards; an image depends on its sample's prompt and key and on the parameters.

    Those that were made before are taken over; what makes the others is loaded when the first of them is to be made.
    """
    generate, count_cut = generator(params), cut_counter(params)
    with ExitStack() as stack:
        take_in = given_images(task, params, stack)
        for unit in task.pending():
            with task.writing(unit) as output:
                (shard,) = unit.shards
                samples = [sample.raw for sample in task.inputs.kept.splits.read(shard)]
                made = [sample for sample in samples if is_made(sample)]
                given = take_in([sample for sample in samples if not is_made(sample)])
                taken = task.taken_over(unit, made, params.format)
                output.stats.write(counts(len(samples), len(made), count_cut(made)))
                output.splits.write_shard(shard.name, with_images(samples, given, taken, generate, params))


def given_images(task: ImagesTask, params: GenerateImagesParams, stack: ExitStack) -> GivenImages:
    """What adds the images that sources gave; what decodes them is started for the first one."""
    start = cache(partial(adder, task.inputs.collected, params, stack))
    return lambda samples: start()(samples) if samples else iter(())


def counts(images: int, made: int, cut: int) -> ImageCounts:
    """The counts of a shard; without given images as they were before there were any."""
    if images == made:
        return ImageCounts(images=images, cut=cut)
    return ImageCounts(images=images, cut=cut, given=images - made)


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
    samples: Sequence[Sample],
    given: Iterator[Sample],
    taken: Mapping[str, bytes],
    generate: Generate,
    params: GenerateImagesParams,
) -> Iterator[Sample]:
    """The samples with their images, one at a time; nothing that was in them changes.

    `given` are those whose images sources gave, with these; the others' are taken over or made.
    """
    made = iter(generate([sample for sample in samples if is_made(sample) and sample.key not in taken]))
    for number, sample in enumerate(samples, start=1):
        if is_made(sample):
            image = taken.get(sample.key) or encode_image(next(made), params)
            yield sample.adding(**{params.format: image})
        else:
            yield next(given)
        log.progress(number, len(samples), "images")
