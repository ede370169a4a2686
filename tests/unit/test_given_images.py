"""An image that a source gives with a prompt is stored by its digest, goes with the prompt, and is never made."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jobs.collect.contract import Collected
from jobs.collect.stage import COLLECT, CollectParams
from jobs.contract.samples import Given, Origin
from jobs.dedup.contract import Deduplicated
from jobs.dedup.stage import DEDUP, DedupParams
from jobs.errors import BadData, Corrupt
from jobs.generate_images import worker
from jobs.generate_images.contract import GeneratedImages
from jobs.generate_images.stage import GENERATE_IMAGES, GenerateImagesParams
from jobs.runtime.arrays import npy_field
from jobs.shards.dataset import Dataset
from jobs.shards.digests import sha256
from jobs.shards.keys import key_of
from tests.samples import json_of
from tests.stages import dataset_of, local_run, run_stage


def picture(seed: int, size: tuple[int, int] = (40, 30), form: str = "PNG") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form)
    return file.getvalue()


def folder_of(folder: Path, pairs: Mapping[str, tuple[bytes, str]]) -> str:
    """A folder of images with their prompts beside them."""
    for name, (image, prompt) in pairs.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(image)
        (folder / name).with_suffix(".txt").write_text(prompt)
    return str(folder)


def collect(run: Path, *sources: dict[str, Any], **params: Any) -> Dataset:
    return run_stage(local_run(run), COLLECT, CollectParams.model_validate({"sources": sources, **params}))


def embedded(run: Path, collected: Dataset) -> Dataset:
    """The prompts with vectors that are far from each other."""

    def vector(key: str) -> bytes:
        found = np.random.default_rng(int(key[:8], 16)).normal(size=384)
        return npy_field((found / np.linalg.norm(found)).astype(np.float32))

    shards: dict[str, list[Any]] = {}
    for shard in Collected(collected).prompts.shards():
        shards[shard.name] = [sample.adding(npy=vector(sample.key)) for sample in collected.read(shard)]
    return dataset_of(local_run(run), "embed", shards)


def kept(run: Path, collected: Dataset, **params: Any) -> Dataset:
    return run_stage(local_run(run), DEDUP, DedupParams(held_out={}, **params), [embedded(run, collected)])


def with_images(run: Path, collected: Dataset, kept_: Dataset, **params: Any) -> Dataset:
    small = {"model": "drawing", "revision": None, "stored_size": 24, **params}
    return run_stage(local_run(run), GENERATE_IMAGES, GenerateImagesParams.model_validate(small), [kept_, collected])


def given_with(dataset: Dataset, prompt: str) -> Sequence[Given]:
    found = {sample.key: sample for split in ("train",) for sample in dataset.samples(split)}
    return Origin.decode(found[key_of(prompt)]["json"], prompt).given


def test_an_image_is_stored_as_it_came_and_its_prompt_says_where(tmp_path: Path) -> None:
    image = picture(1, form="JPEG")
    path = folder_of(tmp_path / "in", {"a/1.jpg": (image, "a cat\nin the snow")})
    dataset = collect(tmp_path, {"kind": "sidecar", "name": "mine", "path": path, "licence": "MIT"})
    (prompt,) = Collected(dataset).prompts.samples()
    (given,) = prompt.value.given
    assert prompt.text() == "a cat in the snow"
    assert dataset.store.read_part(given.object, given.start, given.size) == image
    assert given.model_dump(exclude={"object", "start"}) == {
        "sha256": sha256(image),
        "size": len(image),
        "field": "jpg",
        "width": 40,
        "height": 30,
        "source": "mine",
        "licence": "MIT",
        "file": "images",
        "row": 1,
        "name": "a/1.jpg",
    }
    (stored,) = Collected(dataset).images.samples()
    assert (stored.key, stored["jpg"]) == (sha256(image), image)


def test_rows_are_kept_repeated_or_refused_by_reason(tmp_path: Path) -> None:
    cut = picture(3, form="WEBP")[:-50]
    pairs = {
        "1.png": (picture(1), "a cat"),
        "2.png": (picture(2), "a cat"),
        "3.webp": (cut, "a dog"),
        "4.png": (b"<svg/>", "a fish"),
        "5.png": (picture(5), "  "),
        "6.webp": (picture(6, form="WEBP"), "a bird"),
    }
    path = folder_of(tmp_path / "in", pairs)
    (tmp_path / "in" / "7.png").write_bytes(picture(7))
    source = {"kind": "sidecar", "name": "mine", "path": path, "on_bad_row": "skip"}
    (outcome,) = collect(tmp_path, source).manifest.outcomes
    stats = dict(outcome.stats)
    refused = stats.pop("refused")
    assert stats == {"rows": 7, "kept": 2, "repeated": 1, "too_short": 1, "too_long": 0, "unreadable": 1}
    assert refused == {
        "image: cut short: a part of the image is missing": 1,
        "image: no image that can be read, or a damaged one": 1,
    }
    with pytest.raises(BadData, match=r"row 3 of images cannot be read: its image is cut short"):
        collect(tmp_path / "2", source | {"on_bad_row": "fail"})


def test_further_images_of_a_prompt_are_kept_if_asked_for(tmp_path: Path) -> None:
    pairs = {f"{number}.png": (picture(number), "a cat") for number in range(4)}
    path = folder_of(tmp_path / "in", {**pairs, "9.png": (picture(0), "a cat")})
    source = {"kind": "sidecar", "name": "mine", "path": path}
    dataset = collect(tmp_path, source, images_per_prompt=3)
    assert dataset.manifest.outcomes[0].stats["kept"] == 3
    assert dataset.manifest.outcomes[0].stats["repeated"] == 2
    kept_ = kept(tmp_path, dataset)
    assert [image.name for image in given_with(kept_, "a cat")] == ["0.png", "1.png", "2.png"]


def test_a_folder_is_read_again_where_an_image_changed(tmp_path: Path) -> None:
    path = folder_of(tmp_path / "in", {"1.png": (picture(1), "a cat")})
    params = CollectParams.model_validate({"sources": [{"kind": "sidecar", "name": "mine", "path": path}]})
    (before,) = COLLECT.units_of(params, [])
    (tmp_path / "in" / "1.png").write_bytes(picture(2))
    (after,) = COLLECT.units_of(params, [])
    assert before.reads != after.reads


def test_a_kept_prompt_has_the_images_that_came_with_its_repeats(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("a cat\na dog\n")
    path = folder_of(tmp_path / "in", {"1.png": (picture(1), "a cat"), "2.png": (picture(2), "a fox")})
    dataset = collect(
        tmp_path,
        {"kind": "text", "name": "words", "path": str(tmp_path / "words.txt")},
        {"kind": "sidecar", "name": "mine", "path": path},
    )
    kept_ = kept(tmp_path, dataset)
    assert [image.source for image in given_with(kept_, "a cat")] == ["mine"]
    assert not given_with(kept_, "a dog")
    origin = json_of(next(sample for sample in kept_.samples("train") if sample.key == key_of("a cat")))
    assert origin["source"] == "words"
    images = GeneratedImages(with_images(tmp_path, dataset, kept_))
    by_prompt = {sample.text(): sample for sample in images.splits["train"].samples()}
    assert {prompt for prompt, sample in by_prompt.items() if "given" in sample} == {"a cat", "a fox"}


def test_an_image_that_is_given_is_never_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = {f"{number}.png": (picture(number), f"a cat, number {number}") for number in range(5)}
    dataset = collect(tmp_path, {"kind": "sidecar", "name": "mine", "path": folder_of(tmp_path / "in", pairs)})
    made: list[str] = []

    def generator(params: GenerateImagesParams) -> Any:
        def generate(samples: Sequence[Any]) -> tuple[()]:
            made.extend(sample.key for sample in samples)
            return ()

        return generate

    monkeypatch.setattr(worker, "generator", generator)
    images = with_images(tmp_path, dataset, kept(tmp_path, dataset))
    assert made == []
    assert images.manifest.outcomes[0].stats == {"images": 5, "cut": 0, "given": 5}


def test_a_given_image_is_stored_as_made_ones_are_or_as_it_is(tmp_path: Path) -> None:
    image = picture(1, size=(60, 40), form="JPEG")
    dataset = collect(
        tmp_path, {"kind": "sidecar", "name": "mine", "path": folder_of(tmp_path / "in", {"1.jpg": (image, "a cat")})}
    )
    kept_ = kept(tmp_path, dataset)
    (converted,) = with_images(tmp_path, dataset, kept_).samples()
    square = Image.open(io.BytesIO(image)).resize((24, 24), Image.Resampling.BICUBIC, box=(10, 0, 50, 40))
    assert Image.open(io.BytesIO(converted["png"])).tobytes() == square.tobytes()
    assert json_of(converted)["given"][0] == Given.decode(converted["given"], "").model_dump(exclude_unset=True)
    (as_is,) = with_images(tmp_path / "2", dataset, kept_, given={"store": "as-is"}).samples()
    assert as_is["jpg"] == image
    assert "png" not in as_is.fields


@pytest.mark.parametrize(("choose", "name"), [("first", "1.png"), ("largest", "2.png")])
def test_which_of_several_images_is_taken_is_a_setting(tmp_path: Path, choose: str, name: str) -> None:
    pairs = {
        "1.png": (picture(1, (20, 20)), "a cat"),
        "2.png": (picture(2, (40, 40)), "a cat"),
        "3.png": (picture(3, (30, 30)), "a cat"),
    }
    source = {"kind": "sidecar", "name": "mine", "path": folder_of(tmp_path / "in", pairs)}
    dataset = collect(tmp_path, source, images_per_prompt=9)
    (sample,) = with_images(tmp_path, dataset, kept(tmp_path, dataset), given={"choose": choose}).samples()
    assert Given.decode(sample["given"], "").name == name


def test_one_at_random_is_always_the_same_and_not_always_the_first(tmp_path: Path) -> None:
    pairs = {f"{n}-{m}.png": (picture(10 * n + m, (8, 8)), f"a cat {n}") for n in range(6) for m in range(3)}
    source = {"kind": "sidecar", "name": "mine", "path": folder_of(tmp_path / "in", pairs)}
    dataset = collect(tmp_path, source, images_per_prompt=3)
    kept_ = kept(tmp_path, dataset)
    found = [
        {
            Given.decode(sample["given"], "").name
            for sample in with_images(run, dataset, kept_, given={"choose": "random"}).samples()
        }
        for run in (tmp_path / "2", tmp_path / "3")
    ]
    assert found[0] == found[1]
    assert len({str(name)[-5] for name in found[0]}) > 1


def test_an_image_that_is_not_what_was_collected_is_noticed(tmp_path: Path) -> None:
    path = folder_of(tmp_path / "in", {"1.png": (picture(1), "a cat")})
    dataset = collect(tmp_path, {"kind": "sidecar", "name": "mine", "path": path})
    kept_ = kept(tmp_path, dataset)
    (given,) = given_with(kept_, "a cat")
    file = tmp_path / "run" / "collect" / given.object
    data = bytearray(file.read_bytes())
    data[given.start + 50] ^= 1
    file.chmod(0o600)
    file.write_bytes(data)
    with pytest.raises(Corrupt, match="are not the image"):
        with_images(tmp_path, dataset, kept_)


def test_made_images_are_taken_over_and_given_ones_are_not_mistaken_for_them(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("a cat\na dog\n")
    words = {"kind": "text", "name": "words", "path": str(tmp_path / "words.txt")}
    mine = {"kind": "sidecar", "name": "mine", "path": folder_of(tmp_path / "in", {"1.png": (picture(1), "a cat")})}
    both = collect(tmp_path / "1", words, mine)
    first = with_images(tmp_path / "1", both, kept(tmp_path / "1", both))
    without = kept(tmp_path / "2", both, exclude={"sources": ["mine"]})
    second = run_stage(
        local_run(tmp_path / "2"),
        GENERATE_IMAGES,
        GenerateImagesParams.model_validate({"model": "drawing", "revision": None, "stored_size": 24}),
        [without, both],
        earlier_runs=[local_run(tmp_path / "1")],
    )
    images = {sample.text(): sample for sample in second.samples()}
    assert "given" not in images["a cat"].fields
    before = {sample.text(): sample for sample in first.samples()}
    assert images["a dog"]["png"] == before["a dog"]["png"]
    assert images["a cat"]["png"] != before["a cat"]["png"]


def test_what_is_excluded_leaves_no_trace_and_lets_back_what_it_had_dropped(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a cat\na dog\n")
    (tmp_path / "b.txt").write_text("a dog\na fox\n")
    dataset = collect(
        tmp_path,
        {"kind": "text", "name": "a", "path": str(tmp_path / "a.txt"), "licence": "MIT"},
        {"kind": "text", "name": "b", "path": str(tmp_path / "b.txt"), "licence": "CC0-1.0"},
    )

    def prompts(run: str, **exclude: Any) -> dict[str, str]:
        found = Deduplicated(kept(tmp_path / run, dataset, exclude=exclude))
        return {sample.text(): sample.value.source for sample in found.splits["train"].samples()}

    assert prompts("all") == {"a cat": "a", "a dog": "a", "a fox": "b"}
    assert prompts("sources", sources=["a"]) == {"a dog": "b", "a fox": "b"}
    assert prompts("licences", licences=["CC0-1.0"]) == {"a cat": "a", "a dog": "a"}
    (tmp_path / "keys.txt").write_text(f"# by request\n{key_of('a cat')}\n\n{key_of('a fox')}  # too\n")
    assert prompts("keys", keys=str(tmp_path / "keys.txt")) == {"a dog": "a"}
