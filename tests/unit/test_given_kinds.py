"""Images of every kind that a source gives: stored as they came, and converted as they are to be seen."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pydantic import ValidationError

from jobs.collect.contract import Collected
from jobs.collect.stage import COLLECT, CollectParams
from jobs.contract.samples import Given
from jobs.generate_images.stage import GENERATE_IMAGES, GenerateImagesParams
from jobs.imaging.decoding import decode, resized
from jobs.imaging.limits import DECODING
from jobs.shards.dataset import Dataset
from jobs.shards.digests import sha256
from tests.exports import exported, view_of
from tests.image_files import with_exif
from tests.image_kinds import ALPHA, COLOURS
from tests.stages import local_run, run_stage
from tests.unit.test_given_images import collect, folder_of, kept, picture, with_images

FILES = {
    "png": COLOURS["png of Display P3"],
    "jpg": COLOURS["jpeg of orientation 6"],
    "webp": COLOURS["webp turned"],
    "gif": COLOURS["gif"],
    "tif": COLOURS["tiff 16-bit"],
    "bmp": COLOURS["bmp"],
    "avif": COLOURS["avif"],
    "heic": COLOURS["heic turned"],
}
CLEAR = {"png": ALPHA["png"], "webp": ALPHA["webp"], "tif": ALPHA["tiff"]}


def source_of(folder: Path, cases: dict[str, Any] = FILES) -> dict[str, Any]:
    pairs = {f"{field}-1.{field}": (case.data, f"a picture kept as {field}") for field, case in cases.items()}
    return {"kind": "sidecar", "name": "mine", "path": folder_of(folder, pairs)}


def test_every_kind_is_collected_as_it_came_with_the_size_that_it_is_seen_in(tmp_path: Path) -> None:
    dataset = collect(tmp_path, source_of(tmp_path / "in"))
    given = [prompt.value.given[0] for prompt in Collected(dataset).prompts.samples()]
    assert {one.field for one in given} == set(FILES)
    for one in given:
        data = FILES[one.field].data
        assert dataset.store.read_part(one.object, one.start, one.size) == data
        assert (one.sha256, one.width, one.height) == (sha256(data), 96, 64)


def test_a_tar_has_images_of_every_kind(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for field, case in FILES.items():
            for name, data in ((f"{field}.{field}", case.data), (f"{field}.txt", f"kept as {field}".encode())):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    dataset = collect(tmp_path, {"kind": "webdataset", "name": "tars", "path": str(tmp_path / "a.tar")})
    found = {prompt.text(): prompt.value.given[0].field for prompt in Collected(dataset).prompts.samples()}
    assert found == {f"kept as {field}": field for field in FILES}


@pytest.mark.parametrize("background", ["#ffffff", "#204060"])
def test_given_images_are_converted_as_they_are_seen(tmp_path: Path, background: str) -> None:
    dataset = collect(tmp_path, source_of(tmp_path / "in", FILES | CLEAR))
    images = with_images(tmp_path, dataset, kept(tmp_path, dataset), given={"background": background})
    for sample in images.samples():
        data = (FILES | CLEAR)[Given.decode(sample["given"], "").field].data
        wanted = resized(decode(data, "x", background=background), 24)
        assert Image.open(io.BytesIO(sample["png"])).tobytes() == wanted.tobytes()


@pytest.mark.parametrize("form", ["imagefolder", "webdataset", "parquet"])
def test_images_kept_as_they_are_are_exported_as_what_they_are(tmp_path: Path, form: str) -> None:
    dataset = collect(tmp_path, source_of(tmp_path / "in"))
    images = with_images(tmp_path, dataset, kept(tmp_path, dataset), given={"store": "as-is"})
    by_field = {field: sample[field] for sample in images.samples() for field in FILES if field in sample.fields}
    assert by_field == {field: case.data for field, case in FILES.items()}
    exported(view_of(local_run(tmp_path), "generate-images"), tmp_path / "out", form=form)
    if form == "imagefolder":
        found = {
            path.suffix[1:]: path.read_bytes() for path in (tmp_path / "out").rglob("*.*") if path.suffix[1:] in FILES
        }
        assert found == by_field


def test_another_background_than_white_is_refused_for_images_kept_as_they_are() -> None:
    with pytest.raises(ValidationError, match=r"`background` is for images that are converted; .* set `store: conv"):
        GenerateImagesParams.model_validate({"given": {"store": "as-is", "background": "#000000"}})
    GenerateImagesParams.model_validate({"given": {"store": "as-is", "background": "#ffffff"}})
    with pytest.raises(ValidationError, match="background"):
        GenerateImagesParams.model_validate({"given": {"background": "white"}})


# What is made anew


def both(folder: Path) -> Dataset:
    """A prompt with an image, and one without."""
    (folder / "words.txt").write_text("a dog\n")
    words = {"kind": "text", "name": "words", "path": str(folder / "words.txt")}
    pairs = {"1.png": (picture(1), "a cat")}
    return collect(folder, words, {"kind": "sidecar", "name": "mine", "path": folder_of(folder / "in", pairs)})


def test_only_what_decodes_images_is_fingerprinted_with_how_they_are_decoded(tmp_path: Path) -> None:
    dataset = both(tmp_path)
    settings = {outcome.unit: outcome.settings for outcome in dataset.manifest.outcomes}
    assert settings["mine"]["image_decoding"] == DECODING
    assert "image_decoding" not in settings["words"]
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "words.txt").write_text("a dog\n")
    alone = collect(tmp_path / "2", {"kind": "text", "name": "words", "path": str(tmp_path / "2" / "words.txt")})

    def reads(run: Path, collected: Dataset, **given: str) -> set[str]:
        params = GenerateImagesParams.model_validate({"model": "drawing", "revision": None, "given": given})
        units = GENERATE_IMAGES.units_of(params, [kept(run, collected), collected])
        return {label for unit in units for label in unit.reads if "/" not in label}

    assert reads(tmp_path, dataset) == {"how given images are decoded"}
    assert reads(tmp_path, dataset, store="as-is") == set()
    assert reads(tmp_path / "2", alone) == set()


def test_made_images_are_taken_over_where_given_ones_are_decoded_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = both(tmp_path)
    kept_ = kept(tmp_path, dataset)
    before = with_images(tmp_path, dataset, kept_)
    monkeypatch.setattr("jobs.generate_images.stage.DECODING", DECODING + 1)
    params = GenerateImagesParams.model_validate({"model": "drawing", "revision": None, "stored_size": 24})
    earlier = [local_run(tmp_path)]
    after = run_stage(local_run(tmp_path / "2"), GENERATE_IMAGES, params, [kept_, dataset], earlier_runs=earlier)
    (unit,) = GENERATE_IMAGES.units_of(params, [kept_, dataset])
    assert [outcome.reads for outcome in before.manifest.outcomes] != [unit.reads]
    assert [shard.sha256 for shard in after.shards()] == [shard.sha256 for shard in before.shards()]
    records = "".join(path.read_text() for path in (tmp_path / "2").rglob("commits/*.json"))
    assert '"taken":1' in records.replace(" ", "")


def test_a_photo_that_lies_on_its_side_is_collected_upright(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.open(io.BytesIO(picture(1, (40, 30)))).save(file, "JPEG", exif=with_exif(8))
    path = folder_of(tmp_path / "in", {"1.jpg": (file.getvalue(), "a cat")})
    params = CollectParams.model_validate({"sources": [{"kind": "sidecar", "name": "mine", "path": path}]})
    (prompt,) = Collected(run_stage(local_run(tmp_path), COLLECT, params)).prompts.samples()
    assert (prompt.value.given[0].width, prompt.value.given[0].height) == (30, 40)
