"""What an export writes and what it leaves alone, on runs that are written without any model."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from jobs.errors import BadConfiguration, Corrupt, NotFound
from jobs.export.command import Asked
from jobs.export.tables.sd2_meta import FILES
from jobs.export.tables.sd2_meta import write as write_tables
from jobs.report.page import RunView, Summary
from jobs.shards.local import LocalStore
from jobs.shards.tar import Sample, json_field
from tests.exports import digests, exported, run_of, sample_of, small_run, view_of
from tests.stages import dataset_of

FORMATS = ("csv", "jsonl", "parquet", "imagefolder", "webdataset")


@pytest.fixture
def run(tmp_path: Path) -> RunView:
    return small_run(LocalStore(tmp_path / "run"))


def rows_in(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def record_in(folder: Path) -> Any:
    return json.loads((folder / "export.json").read_text())


# ---- what is written ----------------------------------------------------------------------------------------------


def test_an_export_lists_all_its_files_and_leaves_no_others(run: RunView, tmp_path: Path) -> None:
    for form in FORMATS:
        said = exported(run, tmp_path / form, form=form)
        found = digests(tmp_path / form)
        record = record_in(tmp_path / form)
        files = [file for part in record["parts"].values() for file in part["files"]]
        assert {file["name"]: file["sha256"] for file in files} == {
            name: digest for name, digest in found.items() if name not in ("README.md", "export.json")
        }
        assert all(file["size"] == (tmp_path / form / file["name"]).stat().st_size for file in files)
        assert record["rows"] == said.values["rows"] == 24
        assert (record["run"], record["subject"]["what"], record["subject"]["format"]) == (run.address, "images", form)
        assert record["subject"]["dataset"] == run.datasets["generate-images"].manifest.digest
        assert not list((tmp_path / form).rglob(".*"))


def test_a_part_is_of_one_split_and_has_shards_up_to_a_size(run: RunView, tmp_path: Path) -> None:
    exported(run, tmp_path / "tables", form="csv")
    assert sorted(path.name for path in (tmp_path / "tables" / "data").iterdir()) == [
        "test-00000-of-00001.csv",
        "train-00000-of-00001.csv",
        "validation-00000-of-00001.csv",
    ]
    exported(run, tmp_path / "tars", form="webdataset")
    assert len(list((tmp_path / "tars" / "data").iterdir())) == 6
    assert (tmp_path / "tars" / "data" / "train-00002-of-00003.tar").is_file()


def test_a_made_image_is_said_to_be_made_and_a_given_one_to_be_given(tmp_path: Path) -> None:
    stored = {
        "object": "shards/photos.images-00000-0.tar",
        "start": 512,
        "size": 9,
        "field": "png",
        "width": 8,
        "height": 8,
    }
    origin = {"source": "photos", "file": "a.tar", "row": 7, "licence": "CC-BY-4.0"}
    given = {"sha256": "a" * 64, **stored, **origin}
    samples = [sample_of("a made one"), sample_of("a given one", given=json_field(given), stars=5)]
    view = run_of(LocalStore(tmp_path / "run"), {"train-00000": samples}, {"model": "m/sd2", "revision": "c" * 40})
    exported(view, tmp_path / "out")
    rows = {row["prompt"]: row for row in rows_in(tmp_path / "out" / "data" / "train-00000-of-00001.jsonl")}
    made, taken = rows["a made one"], rows["a given one"]
    assert (made["image_is"], made["model"], made["revision"], made["given"]) == ("made", "m/sd2", "c" * 40, "{}")
    assert (taken["image_is"], taken["model"], taken["revision"]) == ("given", "", "")
    assert json.loads(taken["given"]) == given
    assert json.loads(taken["origin"]) == {"stars": 5}
    assert taken["image_name"] == f"train/00000/{taken['key']}.png"
    card = (tmp_path / "out" / "README.md").read_text()
    assert "| grammar | CC0-1.0 | 2 |" in card
    assert "| photos | CC-BY-4.0 | 1 |" in card
    assert 'license: "other"' in card


def test_the_card_names_the_licence_that_all_rows_share(run: RunView, tmp_path: Path) -> None:
    exported(run, tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert 'license: "cc0-1.0"' in card
    assert 'size_categories: ["n<1K"]' in card


def test_an_image_that_could_not_be_read_has_its_reason_and_no_vector(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "run")
    candidates = [{"prompt": "a fox", "cosine": 0.5}, {"prompt": "an owl", "cosine": 0.25}]
    read = {"id": "b", "candidates": candidates, "expected_cosine": 0.4}
    samples = [
        Sample("a", {"json": json_field({"id": "a", "error": "not an image"})}),
        Sample("b", {"json": json_field(read), "npy": sample_of("x")["npy"]}),
    ]
    dataset_of(store, "infer", {"predictions-00000": samples}, {"images": "files"})
    view = view_of(store, "infer")
    exported(view, tmp_path / "jsonl", "predictions", vectors=True)
    broken, whole = rows_in(tmp_path / "jsonl" / "data" / "predictions-00000-of-00001.jsonl")
    assert broken == {
        "id": "a",
        "prompt": "",
        "expected_cosine": None,
        "interval_low": None,
        "interval_high": None,
        "abstained": "",
        "candidates": [],
        "cosines": [],
        "kinds": [],
        "error": "not an image",
        "vector": None,
    }
    assert (whole["prompt"], whole["candidates"], whole["cosines"]) == ("a fox", ["a fox", "an owl"], [0.5, 0.25])
    assert len(whole["vector"]) == 384
    exported(view, tmp_path / "csv", "predictions", "csv")
    with (tmp_path / "csv" / "data" / "predictions-00000-of-00001.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [json.loads(row["candidates"]) for row in rows] == [[], ["a fox", "an owl"]]
    assert [row["expected_cosine"] for row in rows] == ["", "0.4"]


# ---- done again ---------------------------------------------------------------------------------------------------


def test_done_again_nothing_is_written_but_what_is_lost_or_damaged(run: RunView, tmp_path: Path) -> None:
    out = tmp_path / "out"
    exported(run, out, form="imagefolder")
    at_once = digests(out)
    times = {name: (out / name).stat().st_mtime_ns for name in at_once}
    exported(run, out, form="imagefolder")
    assert {name: (out / name).stat().st_mtime_ns for name in at_once} == times
    images = sorted(path for path in out.rglob("*.png"))
    images[0].unlink()
    images[-1].write_bytes(b"something else")
    exported(run, out, form="imagefolder")
    assert digests(out) == at_once
    folders = {images[0].parent, images[-1].parent}
    again = {out / name for name in at_once if (out / name).stat().st_mtime_ns != times[name]}
    assert again == {images[0], images[-1], out / "export.json"}
    assert folders == {out / "test" / "00000", out / "validation" / "00001"}


def test_a_file_of_ones_own_in_a_finished_export_stays(run: RunView, tmp_path: Path) -> None:
    exported(run, tmp_path / "out")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    exported(run, tmp_path / "out")
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"


def test_a_folder_with_other_files_is_refused_unless_forced(run: RunView, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "data").mkdir(parents=True)
    (out / "data" / "mine.txt").write_text("mine")
    with pytest.raises(BadConfiguration, match=r"holds other files .data/mine.txt.: choose another with --out, or"):
        exported(run, out)
    assert digests(out).keys() == {"data/mine.txt"}
    exported(run, out, force=True)
    assert (out / "data" / "mine.txt").read_text() == "mine"
    assert record_in(out)["rows"] == 24


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"form": "parquet"}, "an export of images as jsonl:"),
        ({"vectors": True}, "an export of images as jsonl, of another dataset or with other options:"),
    ],
)
def test_an_export_of_something_else_is_replaced_only_when_forced(
    run: RunView, tmp_path: Path, options: Any, what: str
) -> None:
    out = tmp_path / "out"
    exported(run, out)
    before = digests(out)
    with pytest.raises(BadConfiguration, match=what):
        exported(run, out, **options)
    assert digests(out) == before
    exported(run, out, **options, force=True)
    exported(run, tmp_path / "fresh", **options)
    assert digests(out) == digests(tmp_path / "fresh")


def test_an_export_of_a_run_that_has_changed_is_another_one(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "run")
    exported(run_of(store, {"train-00000": [sample_of("a fox")]}), tmp_path / "out")
    changed = run_of(store, {"train-00000": [sample_of("a fox"), sample_of("an owl")]})
    with pytest.raises(BadConfiguration, match="of another dataset"):
        exported(changed, tmp_path / "out")


# ---- refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "options", "reason"),
    [
        ("prompts", {"form": "imagefolder"}, "is for images, and prompts have none"),
        ("images", {"form": "csv", "vectors": True}, "cannot hold vectors: choose another"),
    ],
)
def test_a_format_that_cannot_hold_it_is_refused(tmp_path: Path, what: str, options: Any, reason: str) -> None:
    store = LocalStore(tmp_path / "run")
    small_run(store)
    dataset_of(store, "dedup", {"train-00000": [sample_of("a fox")]})
    with pytest.raises(BadConfiguration, match=reason):
        exported(view_of(store, "generate-images", "dedup"), tmp_path / "out", what, **options)
    assert not (tmp_path / "out").exists()


def test_what_is_not_made_yet_cannot_be_exported(run: RunView, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="the run has no predictions yet; `i2p run` does that"):
        exported(run, tmp_path / "out", "predictions")
    with pytest.raises(NotFound, match="nowhere holds no finished stage of a run; `i2p runs` lists"):
        exported(RunView({}, frozenset(), "nowhere"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_sample_without_an_image_is_damage(tmp_path: Path) -> None:
    whole = sample_of("a fox")
    fields = {name: body for name, body in whole.fields.items() if name != "png"}
    view = run_of(LocalStore(tmp_path / "run"), {"train-00000": [Sample(whole.key, fields)]})
    with pytest.raises(Corrupt, match=f"sample {whole.key} has no image"):
        exported(view, tmp_path / "out")


# ---- the original's tables ----------------------------------------------------------------------------------------


def tables(view: RunView, out: Path) -> Summary:
    return write_tables(view, Asked(out=str(out), format="sd2-meta"), lambda *_: None)


def test_every_source_of_the_preset_has_its_table(tmp_path: Path) -> None:
    samples = [sample_of(f"{source} {one}, with a comma", source) for source in FILES for one in range(12)]
    shards = {"train-00000": samples[::2], "val-00000": samples[1::2]}
    view = run_of(LocalStore(tmp_path / "run"), shards)
    assert tables(view, tmp_path / "out").values["rows"] == len(samples)
    exported(view, tmp_path / "images", form="imagefolder")
    found: dict[str, set[str]] = {}
    for path in sorted((tmp_path / "out").glob("*.csv")):
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert rows
        for row in rows:
            assert row.keys() == {"image_name", "prompt"}
            image = (tmp_path / "images" / row["image_name"]).read_bytes()
            assert image == next(one for one in samples if one.text() == row["prompt"])["png"]
        found[path.name] = {row["prompt"].rpartition(",")[0].rpartition(" ")[0] for row in rows}
    assert found == {
        "sd2_meta_211k_filter.csv": {"diffusiondb"},
        "sd2_meta_540k_part1.csv": {"generated"},
        "sd2_meta_540k_part2.csv": {"generated"},
        "sd2_meta_cc660k_part1.csv": {"conceptual-captions"},
        "sd2_meta_cc660k_part2.csv": {"conceptual-captions"},
        "sd2_meta_hard_filter.csv": {"hard-chatgpt", "hard-gustavosta", "hard-sd2gpt2", "hard-sd2hardcode"},
        "sd2_meta_laioncoco_p1.csv": {"laion-coco"},
        "sd2_meta_pszemraj.csv": {"multi-prompt"},
    }


def test_a_prompt_of_a_source_without_a_table_is_refused(run: RunView, tmp_path: Path) -> None:
    with pytest.raises(
        BadConfiguration, match="source 'grammar', which belongs to no table; a run of the preset `seed`"
    ):
        tables(run, tmp_path / "out")


def test_the_preset_has_a_source_for_every_table() -> None:
    from pipeline.configuration.run_config import load_config

    seed: Any = load_config("seed")
    assert {source.name for source in seed.collect.sources} | {"generated"} == FILES.keys()
