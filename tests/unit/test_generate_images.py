"""generate-images follows the host's recipe, and an image depends on its prompt, its key and the parameters alone."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from jobs.errors import BadConfiguration, BadData
from jobs.generate_images import diffusion, encoding, worker
from jobs.generate_images.stage import GENERATE_IMAGES, GenerateImagesParams
from jobs.imaging.decoding import FILTERS
from jobs.runtime import log
from jobs.runtime.stopping import Stopped
from jobs.shards.dataset import Dataset
from jobs.shards.keys import key_of, seed_of
from jobs.shards.tar import Sample, json_field
from jobs.synthetic.drawing import draw
from tests import tiny
from tests.stages import dataset_of, local_run, run_stage

PROMPTS = ["a fox", "castle in the sun", "an owl, by the river, dramatic light", "deer " * 40, "robot"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny.stable_diffusion(tmp_path_factory.mktemp("models") / "sd2"))


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    tried = tiny.refuse_connections(monkeypatch)
    yield
    assert not tried


def params_of(model: str, **changes: Any) -> GenerateImagesParams:
    small = {"num_inference_steps": 2, "size": 32, "stored_size": 24, "batch_size": 2}
    return GenerateImagesParams(model=model, revision=None, **{**small, **changes})


def sample_of(prompt: str) -> Sample:
    fields = {"txt": prompt.encode(), "json": json_field({"source": "x"}), "npy": b"vector"}
    return Sample(key_of(prompt), fields)


def kept(folder: Path, **shards: list[str]) -> Dataset:
    """What dedup leaves: shards of the splits, one of dropped prompts and the certificate."""
    samples = {name.replace("_", "-"): [sample_of(prompt) for prompt in prompts] for name, prompts in shards.items()}
    besides = {"dropped-00000": [sample_of("a near duplicate")], "certificate": [sample_of("noted")]}
    return dataset_of(local_run(folder / "input"), "dedup", {**samples, **besides})


def nothing_collected(folder: Path) -> Dataset:
    """What collect leaves where no source gives images, as far as generate-images looks at it."""
    return dataset_of(local_run(folder / "input"), "collect", {})


def made(folder: Path, params: GenerateImagesParams, source: Dataset, *, completions: int = 1) -> Dataset:
    return run_stage(local_run(folder), GENERATE_IMAGES, params, (source,), completions=completions)


def images(dataset: Dataset) -> dict[str, bytes]:
    return {sample.text(): sample["png"] for sample in dataset.samples()}


def test_every_split_gets_images_and_nothing_else_changes(tmp_path: Path, model: str) -> None:
    source = kept(tmp_path, train_00000=PROMPTS[:2], train_00001=PROMPTS[2:4], val_00000=PROMPTS[4:])
    dataset = made(tmp_path, params_of(model), source)
    assert [shard.name for shard in dataset.shards()] == ["train-00000", "train-00001", "val-00000"]
    for shard in dataset.shards():
        (before,) = (one for one in source.shards() if one.name == shard.name)
        for old, new in zip(source.read(before), dataset.read(shard), strict=True):
            assert new.fields.keys() == {"txt", "json", "npy", "png"}
            assert (new.key, new["txt"], new["json"], new["npy"]) == (old.key, old["txt"], old["json"], old["npy"])
            image = Image.open(io.BytesIO(new["png"]))
            assert (image.format, image.mode, image.size) == ("PNG", "RGB", (24, 24))
    assert len(set(images(dataset).values())) == 5


def test_prompts_that_the_text_encoder_cuts_are_counted(tmp_path: Path, model: str) -> None:
    fits, cut = "x " * 75, "x " * 76  # with the start and the end 77 and 78 tokens
    source = kept(tmp_path, train_00000=[*PROMPTS, fits.strip()], val_00000=[cut.strip()])
    stats = [dict(outcome.stats) for outcome in made(tmp_path, params_of(model), source).manifest.outcomes]
    assert stats == [{"images": 6, "cut": 1}, {"images": 1, "cut": 1}]


def floats(
    pipe: Any, prompts: list[str], params: GenerateImagesParams, monkeypatch: pytest.MonkeyPatch
) -> list[np.ndarray[Any, Any]]:
    """The images' pixels before they are cut to whole numbers, which would hide a change in the last bits."""
    found: list[np.ndarray[Any, Any]] = []
    cut = diffusion.to_uint8

    def keep(pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        found.append(pixels)
        return cut(pixels)

    with monkeypatch.context() as patch:
        patch.setattr(diffusion, "to_uint8", keep)
        list(diffusion.generate(pipe, [sample_of(prompt) for prompt in prompts], params))
    return found


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_every_bit_of_an_image_is_the_same_in_any_company_and_order(
    model: str, batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = params_of(model, batch_size=batch_size, num_inference_steps=10)
    pipe = diffusion.load(params)
    among = dict(zip(PROMPTS, floats(pipe, PROMPTS, params, monkeypatch), strict=True))
    for others in (PROMPTS[::-1], PROMPTS[1:2], PROMPTS[3:], [*PROMPTS[2:], *PROMPTS[:2]]):
        again = floats(pipe, others, params, monkeypatch)
        assert all(np.array_equal(pixels, among[prompt]) for prompt, pixels in zip(others, again, strict=True))


@pytest.mark.parametrize("batch_size", [1, 2])
def test_an_image_made_alone_is_the_one_made_among_others(tmp_path: Path, model: str, batch_size: int) -> None:
    params = params_of(model, batch_size=batch_size)
    among = images(made(tmp_path / "among", params, kept(tmp_path / "among", train_00000=PROMPTS)))
    for prompt in PROMPTS[1:4]:
        alone = made(tmp_path / prompt[:4], params, kept(tmp_path / prompt[:4], test_00000=[prompt]))
        assert images(alone) == {prompt: among[prompt]}


def test_another_batch_size_is_another_result_though_hardly(tmp_path: Path, model: str) -> None:
    samples = [sample_of(prompt) for prompt in PROMPTS]
    made_with = []
    for batch_size in (1, 2, 3):
        params = params_of(model, batch_size=batch_size)
        painted = diffusion.generate(diffusion.load(params), samples, params)
        made_with.append(np.stack([np.asarray(one) for one in painted]))
    # Shapes decide the order of additions, so a value just at a whole number may fall to either side when cut.
    assert max(np.abs(made_with[0].astype(int) - other).max() for other in made_with[1:]) <= 1
    inputs = (kept(tmp_path, train_00000=PROMPTS), nothing_collected(tmp_path))
    fingerprints = {
        GENERATE_IMAGES.fingerprint(unit)
        for batch_size in (1, 2, 3)
        for unit in GENERATE_IMAGES.units_of(params_of(model, batch_size=batch_size), inputs)
    }
    assert len(fingerprints) == 3


def test_killed_or_shared_among_workers_the_dataset_is_the_same(
    tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = {"train_00000": PROMPTS[:3], "train_00001": PROMPTS[3:]}
    whole = made(tmp_path / "whole", params_of(model), kept(tmp_path / "whole", **shards))

    def stop(done: int, total: int, _what: str) -> None:
        if (done, total) == (1, 2):
            raise Stopped("asked to stop")

    source = kept(tmp_path / "killed", **shards)
    with monkeypatch.context() as patch:
        patch.setattr(log, "progress", stop)
        with pytest.raises(Stopped):
            made(tmp_path / "killed", params_of(model), source)
    torch.manual_seed(99)  # nothing is drawn from the process's own stream
    resumed = made(tmp_path / "killed", params_of(model), source, completions=2)
    assert resumed.manifest.digest == whole.manifest.digest


def test_the_noise_is_a_function_of_the_key(model: str) -> None:
    one = diffusion.noise(key_of("a fox"), (4, 2, 2))
    expected = torch.randn((4, 2, 2), generator=torch.Generator("cpu").manual_seed(seed_of(key_of("a fox"))))
    assert torch.equal(one, expected)
    assert not torch.equal(one, diffusion.noise(key_of("an owl"), (4, 2, 2)))
    params = params_of(model)
    same_prompt = [Sample(key_of(word), {"txt": b"a fox"}) for word in ("a fox", "an owl")]
    first, second = diffusion.generate(diffusion.load(params), same_prompt, params)
    assert first.tobytes() != second.tobytes()


def reference_image(pipe: Any, prompt: str, *, steps: int, guidance: float, side: int) -> np.ndarray[Any, Any]:
    """DDIM (arXiv 2010.02502, eta 0) with v-prediction (arXiv 2202.00512), written out from the papers, in float32."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    alphas = torch.cumprod(1 - betas, 0)
    with torch.no_grad():
        tokens = pipe.tokenizer(["", prompt], padding="max_length", max_length=77, truncation=True, return_tensors="pt")
        text = pipe.text_encoder(tokens.input_ids)[0]
        x = diffusion.noise(key_of(prompt), (4, side // 8, side // 8))[None].double()
        for t in reversed(range(1, 1001, 1000 // steps)):
            empty, full = pipe.unet(torch.cat([x, x]).float(), t, encoder_hidden_states=text).sample.double()
            v = (empty + guidance * (full - empty))[None]
            alpha, before = alphas[t], alphas[max(t - 1000 // steps, 0)]
            clean = alpha.sqrt() * x - (1 - alpha).sqrt() * v
            noise = alpha.sqrt() * v + (1 - alpha).sqrt() * x
            x = before.sqrt() * clean + (1 - before).sqrt() * noise
        pixels = pipe.vae.decode(x.float() / 0.18215).sample[0].permute(1, 2, 0)
    image: np.ndarray[Any, Any] = ((pixels + 1) / 2).clamp(0, 1).numpy()
    return image


def test_the_recipe_is_ddim_with_v_prediction_and_a_guidance_of_nine(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = params_of(model, num_inference_steps=5, guidance_scale=GenerateImagesParams().guidance_scale)
    pipe = diffusion.load(params)
    (pixels,) = floats(pipe, ["a fox"], params, monkeypatch)
    expected = reference_image(pipe, "a fox", steps=5, guidance=9.0, side=32)
    assert expected.std() > 0.05
    assert pixels == pytest.approx(expected, abs=1e-4)
    other = reference_image(pipe, "a fox", steps=5, guidance=7.5, side=32)
    assert np.abs(pixels - other).max() > 1e-2


def test_the_defaults_are_the_host_recipe(model: str) -> None:
    params = GenerateImagesParams()
    assert (params.num_inference_steps, params.size, params.stored_size, params.format) == (50, 768, 512, "png")
    pipe = diffusion.load(params_of(model))
    assert type(pipe.scheduler).__name__ == "DDIMScheduler"
    assert {name: pipe.scheduler.config[name] for name in tiny.SD2_SCHEDULER} == tiny.SD2_SCHEDULER
    assert pipe.scheduler.config["timestep_spacing"] == "leading"
    assert pipe.safety_checker is None  # the model's index names one, which its folder lacks


def test_pixels_are_cut_not_rounded() -> None:
    given = np.array([0, 0.0039, 0.00393, 0.5, 0.999, 1], np.float32)
    assert diffusion.to_uint8(given).tolist() == [0, 0, 1, 127, 254, 255]


def test_equal_pixels_give_equal_bytes_in_every_format() -> None:
    image = draw("a fox on the moon", size=48)
    for kind, quality, form in [("png", 95, "PNG"), ("jpg", 95, "JPEG"), ("webp", 80, "WEBP"), ("webp", 100, "WEBP")]:
        params = params_of("drawing", format=kind, quality=quality, stored_size=48)
        data = encoding.encode_image(image, params)
        assert data == encoding.encode_image(image.copy(), params)
        back = Image.open(io.BytesIO(data))
        assert (back.format, back.size) == (form, (48, 48))
        lossless = np.array_equal(np.asarray(back.convert("RGB")), np.asarray(image))
        assert lossless == (kind == "png" or quality == 100)


def test_the_filter_decides_how_an_image_is_made_smaller() -> None:
    image = draw("a fox on the moon", size=48)
    smaller = {name: encoding.encode_image(image, params_of("drawing", resize=name)) for name in FILTERS}
    assert len(set(smaller.values())) == 4
    expected = image.resize((24, 24), Image.Resampling.BICUBIC)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(smaller["bicubic"]))), np.asarray(expected))


def test_the_drawing_stands_in_for_the_model(tmp_path: Path) -> None:
    dataset = made(tmp_path, params_of("drawing", stored_size=32), kept(tmp_path, train_00000=PROMPTS))
    for sample in dataset.samples():
        drawn = np.asarray(Image.open(io.BytesIO(sample["png"])))
        assert np.array_equal(drawn, np.asarray(draw(sample.text(), size=32)))


def test_a_subset_takes_the_first_shards_of_a_split(tmp_path: Path) -> None:
    source = kept(
        tmp_path, train_00000=PROMPTS[:2], train_00001=PROMPTS[2:4], train_00002=PROMPTS[4:], val_00000=["owl"]
    )

    def chosen(max_prompts: dict[str, int] | None) -> dict[str, str]:
        units = GENERATE_IMAGES.units_of(
            params_of("drawing", max_prompts=max_prompts), (source, nothing_collected(tmp_path))
        )
        return {unit.name: GENERATE_IMAGES.fingerprint(unit) for unit in units}

    everything = chosen(None)
    assert list(everything) == ["train-00000", "train-00001", "train-00002", "val-00000"]
    assert list(chosen({"train": 2})) == ["train-00000", "val-00000"]
    assert list(chosen({"train": 3, "val": 0})) == ["train-00000", "train-00001"]
    assert chosen({"train": 5, "val": 1}) == everything
    assert chosen({"train": 1}).items() <= everything.items()  # what is made stays made when the subset grows
    with pytest.raises(BadConfiguration, match=r"\['trian'\].*\['train', 'val'\]"):
        chosen({"trian": 1})


def test_no_prompts_are_no_images(tmp_path: Path, model: str) -> None:
    assert made(tmp_path, params_of(model), kept(tmp_path)).shards() == ()
    assert diffusion.num_cut(diffusion.load_tokenizer(params_of(model)), []) == 0


def test_the_tokenizer_alone_counts_as_that_of_the_pipeline(model: str) -> None:
    params = params_of(model)
    prompts = [*PROMPTS, "x " * 75, "x " * 76, "été " * 90]
    alone, of_pipeline = diffusion.load_tokenizer(params), diffusion.load(params).tokenizer
    assert alone.model_max_length == of_pipeline.model_max_length == 77
    assert alone(prompts)["input_ids"] == of_pipeline(prompts)["input_ids"]
    assert diffusion.num_cut(alone, prompts) == diffusion.num_cut(of_pipeline, prompts) == 3


def test_an_image_that_is_not_finite_fails_its_shard_and_no_other(
    tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overflow(_pipe: Any, prompts: list[str], _keys: list[str], _params: GenerateImagesParams) -> Any:
        return np.stack([np.full((32, 32, 3), np.nan if prompt == "a fox" else 0.5, np.float32) for prompt in prompts])

    monkeypatch.setattr(diffusion, "_pixels", overflow)
    with pytest.raises(BadData, match=f"{key_of('a fox')} is not finite in fp32"):
        made(tmp_path, params_of(model), kept(tmp_path, train_00000=["a fox", "an owl"], train_00001=["robot"]))
    commits = [stat.name for stat in local_run(tmp_path).at("generate-images").list("commits/")]
    assert [name.rpartition("-")[0] for name in commits] == ["commits/train-00001"]


def test_bf16_follows_the_same_noise(model: str) -> None:
    results = []
    for precision in ("fp32", "bf16"):
        params = params_of(model, precision=precision)
        (image,) = diffusion.generate(diffusion.load(params), [sample_of("a fox")], params)
        results.append(np.asarray(image).astype(float))
    assert 0 < np.abs(results[0] - results[1]).mean() < 8


def test_what_cannot_work_is_a_bad_configuration(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for wrong, message in [
        (params_of(str(tmp_path / "missing")), "is no folder"),
        (params_of(str(empty)), "not a folder with a Stable Diffusion pipeline"),
        (params_of("someone/some-model"), "needs `revision`"),
    ]:
        with pytest.raises(BadConfiguration, match=message):
            worker.generator(wrong)([sample_of("a fox")])
        with pytest.raises(BadConfiguration, match=message):
            worker.cut_counter(wrong)([sample_of("a fox")])
    for given, message in [
        ({"precision": "fp16"}, "needs `device: cuda`"),
        ({"model": "drawing", "device": "cuda"}, "drawing runs on the CPU"),
        ({"size": 100}, "multiple of 8"),
        ({"max_prompts": {"train": -1}}, "0 or more"),
    ]:
        with pytest.raises(ValidationError, match=message):
            GenerateImagesParams.model_validate(given)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_a_bad_configuration(tmp_path: Path, model: str) -> None:
    with pytest.raises(BadConfiguration, match="finds no usable GPU"):
        made(tmp_path, params_of(model, device="cuda", precision="fp16"), kept(tmp_path, train_00000=PROMPTS))


def test_too_little_memory_names_the_batch_size(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    params = params_of(model, batch_size=3)
    pipe = diffusion.load(params)

    def exhaust(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(type(pipe), "__call__", exhaust)
    with pytest.raises(BadConfiguration, match="batch_size: 3 at 32 px"):
        list(diffusion.generate(pipe, [sample_of("a fox")], params))
