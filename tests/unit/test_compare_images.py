"""No picture that is trained with is near-identical to a held-out one, however it was scaled or encoded."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch  # noqa: F401, which the worker imports: these are not quick tests
from PIL import Image

from jobs.compare_images.check import check
from jobs.compare_images.contract import ComparedImages, CompareImagesInputs, Staying
from jobs.compare_images.stage import COMPARE_IMAGES, CompareImagesParams
from jobs.errors import Corrupt
from jobs.generate_images.contract import GeneratedImages
from jobs.runtime.arrays import npy_field
from jobs.runtime.checking import CheckTask
from jobs.shards.dataset import Dataset
from jobs.shards.keys import key_of
from jobs.shards.tar import Sample, json_field
from jobs.synthetic.drawing import draw
from tests.stages import dataset_of, local_run, run_stage

PROMPTS = [
    "a red fox in the snow",
    "a blue castle by the sea",
    "an owl at night, oil painting",
    "a green bus",
    "a boat",
]


def encoded(image: Image.Image, form: str = "PNG", **options: int) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def sample_of(prompt: str, image: bytes, field: str = "png") -> Sample:
    fields = {"txt": prompt.encode(), "json": json_field({"source": "x", "row": 1}), field: image}
    return Sample(key_of(prompt), {**fields, "npy": npy_field(np.ones(384, np.float32))})


def drawing(number: int, size: int = 96) -> Image.Image:
    return draw(PROMPTS[number], size=size)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Five held-out drawings, of which three are also trained with: as they are, scaled, and encoded again."""
    held_out = [sample_of(f"held out {number}", encoded(drawing(number))) for number in range(5)]
    planted = [
        sample_of("identical", encoded(drawing(0))),
        sample_of("scaled", encoded(drawing(1).resize((60, 60), Image.Resampling.LANCZOS))),
        sample_of("encoded again", encoded(drawing(2), "JPEG", quality=50), "jpg"),
    ]
    others = [
        sample_of(f"other {text}", encoded(draw(text, size=96))) for text in ("a dog", "a red car at noon", "rain")
    ]
    run = local_run(tmp_path_factory.mktemp("images"))
    shards = {"val-00000": held_out, "train-00000": planted[:2] + others[:1], "train-00001": planted[2:] + others[1:]}
    return dataset_of(run, "generate-images", shards)


def compared(folder: Path, images: Dataset, threads: int = 1) -> Dataset:
    return run_stage(local_run(folder), COMPARE_IMAGES, CompareImagesParams(threads=threads), [images])


def test_planted_copies_are_each_named_and_left_out(tmp_path: Path, images: Dataset) -> None:
    found = ComparedImages(compared(tmp_path, images))
    left_out = {sample.key: sample.value for sample in found.left_out.samples()}
    witnesses = {
        key_of(text): key_of(f"held out {number}")
        for number, text in enumerate(("identical", "scaled", "encoded again"))
    }
    assert {key: match.witness for key, match in left_out.items()} == witnesses
    assert all(match.split == "train" and match.witness_split == "val" for match in left_out.values())
    comparison = found.comparison.value()
    assert comparison.left_out == {"val": 0, "train": 3}
    assert comparison.closest["train"].cosine < comparison.threshold
    shown = {sample.key for sample in found.shown.samples()}
    assert shown == {*left_out, comparison.closest["train"].picture}


def test_what_is_left_out_is_not_trained_with(tmp_path: Path, images: Dataset) -> None:
    staying = Staying(GeneratedImages(images).splits["train"], ComparedImages(compared(tmp_path, images)))
    assert staying.num_samples == 3
    assert [shard.samples for shard in staying.shards()] == [1, 2]
    texts = {sample.text() for shard in staying.shards() for sample in staying.read(shard)}
    assert texts == {"other a dog", "other a red car at noon", "other rain"}


def test_the_outcome_does_not_depend_on_threads(tmp_path: Path, images: Dataset) -> None:
    assert compared(tmp_path / "1", images).manifest.digest == compared(tmp_path / "2", images, 3).manifest.digest


def test_without_held_out_pictures_nothing_is_left_out(tmp_path: Path) -> None:
    one = sample_of("a", encoded(drawing(0)))
    two = sample_of("b", encoded(drawing(0)))
    images = dataset_of(local_run(tmp_path), "generate-images", {"train-00000": [one, two]})
    comparison = ComparedImages(compared(tmp_path, images)).comparison.value()
    assert (comparison.left_out, comparison.closest) == ({"train": 0}, {})


def test_a_cosine_that_is_not_what_is_noted_is_noticed(tmp_path: Path, images: Dataset) -> None:
    good = compared(tmp_path, images)

    def checked(output: Dataset) -> dict[str, int]:
        return check(CheckTask(CompareImagesInputs([images]), ComparedImages(output), 0, 1))

    assert checked(good) == {"signatures": 11, "left out": 3}
    shards = {shard.name: list(good.read(shard)) for shard in good.shards()}
    (first, *rest) = shards["train.left_out-00000"]
    wrong = first["json"].replace(b'"cosine":', b'"cosine":0.99,"was":', 1)
    shards["train.left_out-00000"] = [Sample(first.key, {"json": wrong}), *rest]
    with pytest.raises(Corrupt):
        checked(dataset_of(local_run(tmp_path / "wrong"), "compare-images", shards))
