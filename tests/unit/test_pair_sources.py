"""Every layout in which prompts come with their images is read as it is published; nothing is paired by guessing."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest
import webdataset  # noqa: F401, which a source imports: these are not quick tests
from PIL import Image, PngImagePlugin

from jobs.collect.contract import Collected
from jobs.collect.sources.kinds.gustavosta_sd2 import found_below
from jobs.collect.sources.kinds.png_parameters import prompt_in
from jobs.collect.sources.named_pairs import ImageName
from jobs.collect.stage import COLLECT, CollectParams
from jobs.errors import BadConfiguration, BadData
from jobs.shards.dataset import Dataset
from jobs.shards.digests import sha256
from tests.stages import local_run, run_stage
from tests.unit.test_collect import counts, stats


def picture(shade: int, form: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (12, 10), (shade, 255 - shade, 7)).save(file, form, **options)
    return file.getvalue()


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def table(rows: Sequence[Sequence[str]]) -> bytes:
    file = io.StringIO()
    csv.writer(file).writerows(rows)
    return file.getvalue().encode()


def collect(tmp_path: Path, kind: str, path: Path, **options: Any) -> Dataset:
    source = {"kind": kind, "name": "mine", "path": str(path), **options}
    return run_stage(local_run(tmp_path / "out"), COLLECT, CollectParams.model_validate({"sources": [source]}))


def pairs(dataset: Dataset) -> dict[str, str]:
    """{prompt: SHA-256 of its image}."""
    return {sample.text(): sample.value.given[0].sha256 for sample in Collected(dataset).prompts.samples()}


IMAGES = {f"images/{number}.png": picture(number) for number in range(3)}
EXPECTED = {f"cat {number}": sha256(picture(number)) for number in range(3)}


def as_jsonl(rows: Sequence[tuple[str, str]]) -> bytes:
    return "".join(f"{json.dumps({'file_name': name, 'text': text})}\n" for name, text in rows).encode()


def as_parquet(rows: Sequence[tuple[str, str]]) -> bytes:
    file = io.BytesIO()
    parquet.write_table(
        arrow.table({"file_name": [name for name, _ in rows], "text": [text for _, text in rows]}), file
    )
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "encode"),
    [
        ("metadata.jsonl", as_jsonl),
        ("metadata.csv", lambda rows: table([("file_name", "text"), *rows])),
        ("metadata.parquet", as_parquet),
    ],
)
def test_an_imagefolder_of_hugging_face(tmp_path: Path, name: str, encode: Any) -> None:
    rows = [(f"images/{number}.png", f"cat {number}") for number in range(3)]
    path = write(tmp_path / "in", {**IMAGES, name: encode([*rows, ("images/9.png", "no cat")])})
    dataset = collect(tmp_path, "imagefolder", path, on_bad_row="skip")
    assert pairs(dataset) == EXPECTED
    assert stats(dataset)["refused"] == {"image: not there": 1}


def test_an_imagefolder_with_a_file_of_rows_in_each_folder(tmp_path: Path) -> None:
    path = write(
        tmp_path / "in",
        {
            "train/metadata.jsonl": as_jsonl([("1.png", "cat 1")]),
            "train/1.png": picture(1),
            "test/metadata.jsonl": as_jsonl([("1.png", "cat 2")]),
            "test/1.png": picture(2),
        },
    )
    dataset = collect(tmp_path, "imagefolder", path)
    assert pairs(dataset) == {"cat 1": sha256(picture(1)), "cat 2": sha256(picture(2))}
    files = {sample.text(): sample.value.file for sample in Collected(dataset).prompts.samples()}
    assert files == {"cat 1": "train/metadata.jsonl", "cat 2": "test/metadata.jsonl"}


def test_a_folder_without_rows_says_which_layouts_there_are(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match=r"there is no metadata\.csv.* sidecar, csv-pairs"):
        collect(tmp_path, "imagefolder", write(tmp_path / "in", IMAGES))


def test_chatgpt_images(tmp_path: Path) -> None:
    rows = [(f"images/{number}.png", f"cat {number}") for number in range(3)]
    path = write(tmp_path / "in", {**IMAGES, "metadata.jsonl": as_jsonl(rows)})
    assert pairs(collect(tmp_path, "chatgpt-images", path)) == EXPECTED


@pytest.mark.parametrize(
    ("kind", "name", "folder"),
    [
        ("sd2gpt2", "gpt_generated_prompts.csv", "gpt_generated_images/gpt_generated_images"),
        ("sd2hardcode", "hardcoded_prompts.csv", "hardcoded_images/hardcoded_images"),
    ],
)
def test_images_by_the_number_of_their_row(tmp_path: Path, kind: str, name: str, folder: str) -> None:
    images = {f"{folder}/{number}.png": picture(number) for number in range(3)}
    rows = table([("prompt",), ("cat 0",), ("cat 1,\nin two lines",), ("cat 2",)])
    found = pairs(collect(tmp_path, kind, write(tmp_path / "in", {**images, name: rows})))
    assert found == {
        "cat 0": sha256(picture(0)),
        "cat 1, in two lines": sha256(picture(1)),
        "cat 2": sha256(picture(2)),
    }


def test_after_a_row_that_cannot_be_read_no_image_is_guessed(tmp_path: Path) -> None:
    images = {f"hardcoded_images/hardcoded_images/{number}.png": picture(number) for number in range(3)}
    path = write(tmp_path / "in", {**images, "hardcoded_prompts.csv": b"prompt\ncat 0\ncat 1,and more\ncat 2\n"})
    with pytest.raises(BadData, match=r"row 3 of .* images are named by the number of their row"):
        collect(tmp_path, "sd2hardcode", path, on_bad_row="skip")


def test_gustavosta_s_paths_of_kaggle_are_found_below_the_folder(tmp_path: Path) -> None:
    root = "/kaggle/input/gustavosta-stable-diffusion-prompts-sd2"
    train = table(
        [("Prompt", "image_path"), *[(f"cat {number}", f"{root}/images/{number}.png") for number in range(3)]]
    )
    other = table(
        [("Prompt", "image_path"), ("dog", f"{root}/eval_images/0.png"), ("fox", f"{root}/eval_images/1.png")]
    )
    files = {**IMAGES, "eval_images/0.png": picture(9), "train.csv": train, "eval.csv": other}
    dataset = collect(tmp_path, "gustavosta-sd2", write(tmp_path / "in", files), on_bad_row="skip")
    assert pairs(dataset) == {**EXPECTED, "dog": sha256(picture(9))}
    assert [outcome.stats.get("refused") for outcome in dataset.manifest.outcomes] == [None, {"image: not there": 1}]


def test_the_longest_end_of_a_path_counts() -> None:
    known = frozenset({"1.png", "a/1.png", "b/1.png"})
    assert found_below("/kaggle/input/x/a/1.png", known) == "a/1.png"
    assert found_below("/kaggle/input/x/c/1.png", known) == "1.png"
    assert found_below("/kaggle/2.png", known) == "kaggle/2.png"


def test_a_folder_of_a_kaggle_set_that_lacks_its_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match=r"there is no train\.csv in .*the folder of the set as published"):
        collect(tmp_path, "gustavosta-sd2", write(tmp_path / "in", IMAGES))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.csv", {"image": "images/{row}.png"}),
        ("a.csv", {"image": "images/{row}.png", "first_row": 0}),
        ("a.tsv", {"image": "{picture}"}),
        ("a.jsonl", {"image": "images/{number}.png"}),
    ],
)
def test_a_table_names_images_by_a_rule(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    columns = ("prompt", "picture", "number")
    rows = [(f"cat {number}", f"images/{number}.png", str(number)) for number in range(3)]
    lines = "".join(f"{json.dumps(dict(zip(columns, row, strict=True)))}\n" for row in rows).encode()
    separated = table([columns, *rows])
    data = {"a.csv": separated, "a.tsv": separated.replace(b",", b"\t"), "a.jsonl": lines}[name]
    path = write(tmp_path / "in", {**IMAGES, name: data})
    assert pairs(collect(tmp_path, "csv-pairs", path / name, **options)) == EXPECTED


def test_a_rule_that_names_one_image_for_all_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="all rows have one image"):
        collect(tmp_path, "csv-pairs", tmp_path / "a.csv", image="images/1.png")


def test_a_rule_without_a_value_names_nothing() -> None:
    assert ImageName("{a}-{row}.png").of(3, {"a": "x"}) == "x-3.png"
    assert ImageName("{a}-{row}.png").of(3, {"a": None}) is None
    assert ImageName("{a}.png").columns() == ["a"]
    assert not ImageName("{a}.png").counts_rows()


def tar_of(files: Mapping[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return file.getvalue()


@pytest.fixture
def sd44m(tmp_path: Path) -> Path:
    """A tar as those of jamarju/sd-4.4M: webp, txt, embs.npy, json."""
    files: dict[str, bytes] = {}
    for number in range(3):
        key = f"{number:09d}"
        files[f"{key}.webp"] = picture(number, "WEBP", lossless=True)
        files[f"{key}.txt"] = f"cat {number}".encode()
        files[f"{key}.embs.npy"] = bytes(900)
        files[f"{key}.json"] = json.dumps({"ntokens": 3, "cluster": 1, "caption": f"dog {number}"}).encode()
    return write(tmp_path / "in", {"00000.tar": tar_of(files)}) / "00000.tar"


def test_webdataset_tars_of_others(tmp_path: Path, sd44m: Path) -> None:
    dataset = collect(tmp_path, "webdataset", sd44m)
    expected = {f"cat {number}": sha256(picture(number, "WEBP", lossless=True)) for number in range(3)}
    assert pairs(dataset) == expected
    (other,) = {
        prompt.split()[0] for prompt in pairs(collect(tmp_path / "2", "webdataset", sd44m, prompt="json.caption"))
    }
    assert other == "dog"


@pytest.mark.parametrize("files", [12, 9, 8, 7, 3.5])
def test_a_tar_that_was_cut_is_never_a_shorter_one(tmp_path: Path, sd44m: Path, files: float) -> None:
    """Cut before the file of that number: between two files of a sample, after zeros that seem to be an end, in one."""
    with tarfile.open(sd44m) as tar:
        ends = [*(member.offset for member in tar), tar.offset]
    sd44m.write_bytes(sd44m.read_bytes()[: ends[int(files)] + 600 * (files % 1 > 0)])
    with pytest.raises(BadData, match="is not readable as a tar"):
        collect(tmp_path, "webdataset", sd44m, on_bad_row="skip")


def test_a_file_of_a_tar_that_is_too_large_is_never_held(tmp_path: Path) -> None:
    path = write(tmp_path / "in", {"a.tar": tar_of({"1.png": bytes(300_000), "1.txt": b"a cat"})}) / "a.tar"
    with pytest.raises(BadData, match=r"has 300,000 bytes, more than `image_limits.file_bytes`"):
        collect(tmp_path, "webdataset", path, image_limits={"file_bytes": 100_000})


def test_the_prompt_that_a_user_interface_wrote_into_a_png(tmp_path: Path) -> None:
    def png(number: int) -> bytes:
        info = PngImagePlugin.PngInfo()
        text = f"cat {number},\nwith a hat\nNegative prompt: bad\nSteps: 20, Seed: 1"
        if number == 2:
            info.add_itxt("parameters", text)
        else:
            info.add_text("parameters", text, zip=number == 1)
        return picture(number, pnginfo=info)

    files = {**{f"{number}.png": png(number) for number in range(3)}, "3.png": picture(3)}
    dataset = collect(tmp_path, "png-parameters", write(tmp_path / "in", files), on_bad_row="skip")
    assert pairs(dataset) == {f"cat {number}, with a hat": sha256(files[f"{number}.png"]) for number in range(3)}
    assert stats(dataset)["unreadable"] == 1


@pytest.mark.parametrize(
    ("parameters", "prompt"),
    [
        ("a cat", "a cat"),
        ("a cat\nSteps: 20, Sampler: Euler", "a cat"),
        ("a cat, Steps: 3 of them\nNegative prompt: x\nSteps: 20", "a cat, Steps: 3 of them"),
    ],
)
def test_what_follows_the_prompt_is_no_part_of_it(parameters: str, prompt: str) -> None:
    assert prompt_in(parameters).strip() == prompt


def test_parquet_with_images_of_hugging_face(tmp_path: Path) -> None:
    images = [{"bytes": picture(number), "path": f"{number}.png"} for number in range(3)]
    (tmp_path / "in").mkdir()
    rows = arrow.table({"prompt": [f"cat {number}" for number in range(3)], "image": images})
    parquet.write_table(rows, tmp_path / "in" / "a.parquet")
    assert pairs(collect(tmp_path, "parquet", tmp_path / "in" / "a.parquet", image="image")) == EXPECTED


@pytest.mark.parametrize("name", ["../outside.png", "/etc/passwd", "a\x00.png", "images/../../x.png"])
def test_a_name_never_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "outside.png").write_bytes(picture(1))
    path = write(tmp_path / "in", {**IMAGES, "metadata.jsonl": as_jsonl([(name, "a cat")])})
    dataset = collect(tmp_path, "imagefolder", path, on_bad_row="skip")
    assert pairs(dataset) == {}
    assert sum(stats(dataset)["refused"].values()) == 1


def test_the_images_of_the_competition_are_pairs(tmp_path: Path, data: Path) -> None:
    sample = data / "competition_sample"
    dataset = collect(tmp_path, "csv-pairs", sample / "prompts.csv", image="images/{imgId}.png")
    assert [(one.rows, one.kept) for one in counts(dataset).values()] == [(7, 7)]
    with (sample / "prompts.csv").open(newline="") as file:
        published = {row["prompt"]: row["imgId"] for row in csv.DictReader(file)}
    images = {prompt: sha256((sample / "images" / f"{name}.png").read_bytes()) for prompt, name in published.items()}
    assert pairs(dataset) == images
    assert {one.value.given[0].width for one in Collected(dataset).prompts.samples()} == {512}
