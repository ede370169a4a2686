"""`i2p export` of a whole run, read back by the tools that it is for, without a network: equal to what went in."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import webdataset

from jobs.errors import BAD_CONFIGURATION
from jobs.shards.dataset import Dataset, load_manifest
from jobs.shards.local import LocalStore
from pipeline.__main__ import main
from tests.e2e.runs import PRESET, RUN

READERS = {
    "csv": "csv",
    "jsonl": "json",
    "parquet": "parquet",
    "imagefolder": "imagefolder",
    "webdataset": "webdataset",
}
SPLITS = {"train": "train", "val": "validation", "test": "test"}

Rows = dict[str, dict[str, dict[str, Any]]]  # by split and key


@pytest.fixture(scope="module")
def hf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Hugging Face's `datasets`, which keeps what it reads in a folder of this test's own."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("HF_DATASETS_OFFLINE", "1")
        import datasets

        # Another test may have imported it, so a variable would come late.
        environment.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path_factory.mktemp("hf")))
        datasets.disable_progress_bars()
        yield datasets


def export(store: Path, out: Path, what: str, *options: str) -> int:
    """Run the command in this process."""
    chosen = ["--preset", PRESET, "--set", f"store={store}", "--run", RUN, "--out", str(out)]
    return main(["export", what, *chosen, *options])


def dataset(store: Path, stage: str) -> Dataset:
    """What a stage of the run has published."""
    manifest = load_manifest(LocalStore(store / RUN / stage))
    assert manifest
    return Dataset(LocalStore(store / RUN / stage), manifest)


def expected(store: Path, stage: str) -> Rows:
    """By split and key: the prompt, its origin, its vector and its image, as the run has them."""
    found: Rows = {}
    for group, split in SPLITS.items():
        found[split] = {}
        for sample in dataset(store, stage).samples(group):
            origin = json.loads(sample["json"])
            known = {name: origin.pop(name, None) or "" for name in ("source", "licence", "file", "row")}
            found[split][sample.key] = {
                **known,
                "prompt": sample.text(),
                "split": split,
                "origin": origin,
                "vector": np.load(io.BytesIO(sample["npy"])),
                "image": sample.fields.get("png"),
            }
    return found


def check(found: dict[str, Any], wanted: dict[str, Any], *, empty: Any = "") -> None:
    """Whether a row says what is wanted of it; `empty` is what a reader makes of an empty text."""
    for name in ("prompt", "split", "source", "licence", "file", "row"):
        assert found[name] == (empty if wanted[name] == "" else wanted[name]), name
    assert json.loads(found["origin"]) == wanted["origin"]


@pytest.mark.parametrize("form", READERS)
def test_datasets_reads_the_images_of_a_run(hf: Any, undisturbed: Path, tmp_path: Path, form: str) -> None:
    assert export(undisturbed, tmp_path / "out", "images", "--format", form) == 0
    wanted = expected(undisturbed, "generate-images")
    by_card = hf.load_dataset(str(tmp_path / "out"))
    by_names = hf.load_dataset(READERS[form], data_dir=str(tmp_path / "out"))
    for found in (by_card, by_names):
        assert set(found) == set(wanted)
        for split, rows in wanted.items():
            image = {"webdataset": "png"}.get(form, "image")
            read = (
                found[split].cast_column(image, hf.Image(decode=False))
                if form not in ("csv", "jsonl")
                else found[split]
            )
            assert len(read) == len(rows)
            for row in read:
                values = row["json"] if form == "webdataset" else row
                one = rows[values["key"]]
                check(values, one, empty=None if form == "csv" else "")
                assert values["image_name"].startswith(f"{split}/")
                assert (values["image_is"], values["model"]) == ("made", "drawing")
                if form in ("parquet", "webdataset"):
                    assert row[image]["bytes"] == one["image"]
                elif form == "imagefolder":
                    path = Path(row[image]["path"])
                    assert path.read_bytes() == one["image"]
                    assert path == tmp_path / "out" / values["image_name"]


def test_datasets_shows_the_images_of_parquet_as_images(hf: Any, undisturbed: Path, tmp_path: Path) -> None:
    export(undisturbed, tmp_path / "out", "images", "--vectors")  # parquet is what there is without --format
    found = hf.load_dataset("parquet", data_dir=str(tmp_path / "out"), split="validation").with_format("numpy")
    rows = expected(undisturbed, "generate-images")["validation"]
    assert found[0]["image"].shape == (32, 32, 3)
    assert found.features["vector"] == hf.List(hf.Value("float32"))
    assert all(np.array_equal(row["vector"], rows[row["key"]]["vector"]) for row in found)


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet", "webdataset"])
def test_datasets_reads_both_sides_of_the_filter(hf: Any, undisturbed: Path, tmp_path: Path, form: str) -> None:
    assert export(undisturbed, tmp_path / "out", "dedup", "--format", form) == 0
    kept = hf.load_dataset(str(tmp_path / "out"), "kept")
    wanted = expected(undisturbed, "dedup")
    assert {split: len(rows) for split, rows in kept.items()} == {split: len(rows) for split, rows in wanted.items()}
    dropped = {
        one.key: (one.text(), json.loads(one["json"])) for one in dataset(undisturbed, "dedup").samples("dropped")
    }
    keys = {key for rows in wanted.values() for key in rows}
    rows = [
        row["json"] if form == "webdataset" else row
        for row in hf.load_dataset(str(tmp_path / "out"), "dropped", split="dropped")
    ]
    assert len(rows) == len(dropped) > 0
    for row in rows:
        prompt, verdict = dropped[row["key"]]
        assert (row["prompt"], row["witness"], row["cosine"]) == (prompt, verdict["witness"], verdict["cosine"])
        assert row["witness"] in keys
        assert row["repeat"] == (row["key"].partition("-")[0] == row["witness"])


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_pandas_reads_the_prompts(undisturbed: Path, tmp_path: Path, form: str) -> None:
    vectors = [] if form == "csv" else ["--vectors"]
    assert export(undisturbed, tmp_path / "out", "prompts", "--format", form, *vectors) == 0
    read: Any = {
        "csv": lambda path: pandas.read_csv(path, keep_default_na=False),
        "jsonl": lambda path: pandas.read_json(path, lines=True, dtype=False),
        "parquet": pandas.read_parquet,
    }[form]
    for split, rows in expected(undisturbed, "dedup").items():
        table = read(tmp_path / "out" / "data" / f"{split}-00000-of-00001.{form}")
        assert list(table["key"]) == sorted(rows)
        for row in table.to_dict("records"):
            check(row, rows[row["key"]])
            if vectors:
                assert np.array_equal(np.asarray(row["vector"], np.float32), rows[row["key"]]["vector"])


def test_webdataset_reads_the_tars(undisturbed: Path, tmp_path: Path) -> None:
    assert export(undisturbed, tmp_path / "out", "images", "--format", "webdataset", "--vectors") == 0
    for split, rows in expected(undisturbed, "generate-images").items():
        tars = sorted(map(str, (tmp_path / "out" / "data").glob(f"{split}-*.tar")))
        found = {one["__key__"]: one for one in webdataset.WebDataset(tars, shardshuffle=False).decode()}
        assert found.keys() == rows.keys()
        raw = {one["__key__"]: one["png"] for one in webdataset.WebDataset(tars, shardshuffle=False)}
        for key, one in found.items():
            check(one["json"], rows[key])
            assert one["txt"] == rows[key]["prompt"]
            assert np.array_equal(one["npy"], rows[key]["vector"])
            assert raw[key] == rows[key]["image"]


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet", "webdataset"])
def test_datasets_reads_predictions(hf: Any, undisturbed: Path, tmp_path: Path, form: str) -> None:
    vectors = [] if form == "csv" else ["--vectors"]
    assert export(undisturbed, tmp_path / "out", "predictions", "--format", form, *vectors) == 0
    wanted = {one.key: one for one in dataset(undisturbed, "infer").samples()}
    read = hf.load_dataset(str(tmp_path / "out"), split="test")
    assert len(read) == len(wanted)
    for row in read:
        found = row["json"] if form == "webdataset" else row
        sample = wanted[found["id"]]
        prediction = json.loads(sample["json"])
        candidates, cosines, kinds = (found[name] for name in ("candidates", "cosines", "kinds"))
        if form == "csv":
            candidates, cosines, kinds = map(json.loads, (candidates, cosines, kinds))
        assert [
            {"prompt": prompt, "cosine": cosine, "kind": kind}
            for prompt, cosine, kind in zip(candidates, cosines, kinds, strict=True)
        ] == prediction["candidates"]
        assert (found["prompt"], found["expected_cosine"]) == (candidates[0], prediction.get("expected_cosine"))
        assert (found["abstained"] or None) == prediction.get("abstained")
        assert [found["interval_low"], found["interval_high"]] == prediction.get("interval", [None, None])
        if vectors:
            vector = row["npy" if form == "webdataset" else "vector"]
            assert np.array_equal(np.asarray(vector, np.float32), np.load(io.BytesIO(sample["npy"])))


def test_it_says_how_much_was_written(undisturbed: Path, tmp_path: Path, capsys: Any) -> None:
    assert export(undisturbed, tmp_path / "out", "prompts", "--format", "csv", "--json") == 0
    said = capsys.readouterr()
    answer = json.loads(said.out)
    with (tmp_path / "out" / "data" / "train-00000-of-00001.csv").open(newline="") as file:
        assert len(list(csv.reader(file))) - 1 == len(expected(undisturbed, "dedup")["train"])
    assert (answer["what"], answer["format"], answer["files"], answer["out"]) == (
        "prompts",
        "csv",
        3,
        str(tmp_path / "out"),
    )
    assert answer["rows"] == sum(map(len, expected(undisturbed, "dedup").values()))
    assert "exporting" in said.err


@pytest.mark.parametrize(
    ("what", "options", "reason"),
    [
        ("prompts", ["--tables", "sd2-meta"], "--tables is for `i2p export images`, without --format and --vectors"),
        ("images", ["--tables", "sd2-meta", "--vectors"], "--tables is for `i2p export images`"),
        ("images", ["--tables", "sd2-meta"], "source 'generated'|source 'grammar', which belongs to no table"),
        ("dedup", ["--vectors"], "--vectors needs a --format: the own files of dedup hold none"),
        ("images", ["--set", "run=nobody"], "holds no finished stage of a run; `i2p runs` lists the runs"),
        ("images", ["--format", "csv", "--out", "ftp://x/y"], "a store is"),
    ],
)
def test_what_cannot_be_is_refused_with_a_reason(
    undisturbed: Path, tmp_path: Path, capsys: Any, what: str, options: list[str], reason: str
) -> None:
    chosen = ["--preset", PRESET, "--set", f"store={undisturbed}", "--out", str(tmp_path / "out")]
    assert main(["export", what, *chosen, *options]) != 0
    assert re.search(reason, capsys.readouterr().err)
    assert not (tmp_path / "out" / "export.json").exists()


def test_an_unknown_format_is_refused_and_the_known_ones_named(capsys: Any) -> None:
    with pytest.raises(SystemExit):
        main(["export", "images", "--format", "xlsx"])
    assert "invalid choice: 'xlsx' (choose from 'csv', 'imagefolder', 'jsonl'" in capsys.readouterr().err


def test_a_package_that_is_not_installed_is_named(
    undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.delitem(sys.modules, "jobs.export.formats.parquet", raising=False)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert export(undisturbed, tmp_path / "out", "images") == BAD_CONFIGURATION
    assert "needs the Python package 'pyarrow': `pip install 'image-to-prompts[export]'`" in capsys.readouterr().err
