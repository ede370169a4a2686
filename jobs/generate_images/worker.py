"""Adds the prompt's image, in a field named by its format, to every sample."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

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
    """Make the images of the pending shards; an image depends on its sample's prompt and key and on the parameters."""
    generator: tuple[Generate, CountCut] | None = None
    for unit in task.pending():
        generate, count_cut = generator = generator or load(params)
        with task.writing(unit) as output:
            (shard,) = unit.shards
            samples = [sample.raw for sample in task.inputs.kept.splits.read(shard)]
            output.stats.write(ImageCounts(images=len(samples), cut=count_cut(samples)))
            output.splits.write_shard(shard.name, with_images(samples, generate, params))


def load(params: GenerateImagesParams) -> tuple[Generate, CountCut]:
    """What makes the images: the drawing, or Stable Diffusion, which is loaded here."""
    if params.model == DRAWING:
        from jobs.synthetic.drawing import draw

        return lambda samples: (draw(sample.text(), size=params.stored_size) for sample in samples), lambda samples: 0
    from jobs.generate_images import diffusion  # the drawing needs no torch

    pipe = diffusion.load(params)
    return (
        lambda samples: diffusion.generate(pipe, samples, params),
        lambda samples: diffusion.num_cut(pipe, [sample.text() for sample in samples]),
    )


def with_images(samples: Sequence[Sample], generate: Generate, params: GenerateImagesParams) -> Iterator[Sample]:
    """The samples with their images, one at a time; nothing that was in them changes."""
    for number, (sample, image) in enumerate(zip(samples, generate(samples), strict=True), start=1):
        yield sample.adding(**{params.format: encode_image(image, params)})
        log.progress(number, len(samples), "images")
