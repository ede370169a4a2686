"""What goes wrong is said clearly, with the right exit code; nothing is lost, and fixing it lets the run go on."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from jobs.errors import BAD_CONFIGURATION, BAD_DATA, TRY_AGAIN
from tests.e2e.runs import RUN, answer, copy_of, i2p, manifest_digests, records, to_do, without
from tests.small_disk import small_disk


def test_a_misspelt_parameter(tmp_path: Path) -> None:
    done = i2p(tmp_path, "run", "--set", "dedup.treshold=0.9", check=False)
    assert done.returncode == BAD_CONFIGURATION
    assert "did you mean 'threshold'?" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_missing_file(tmp_path: Path) -> None:
    done = i2p(tmp_path, "run", "--set", "collect.sources=[{kind: text, name: a, path: none.txt}]", check=False)
    assert done.returncode == BAD_CONFIGURATION
    assert "source a: there is no file 'none.txt'" in done.stderr


def test_an_unreadable_row_fails_its_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "good.txt").write_text("a cat\na dog\n")
    (tmp_path / "bad.csv").write_text("prompt,n\na fish,1\na bird\n")
    sources = (
        f"collect.sources=[{{kind: csv, name: bad, path: {tmp_path}/bad.csv}}, "
        f"{{kind: text, name: good, path: {tmp_path}/good.txt}}]"
    )
    store = tmp_path / "store"
    done = i2p(store, "run", "--set", sources, check=False)
    assert done.returncode == BAD_DATA
    assert "row 3 of bad.csv cannot be read" in done.stderr
    rows = {row["shard"]: row for row in answer(store, "why", "collect", "--set", sources)}
    assert rows["good"]["action"] == "skip"
    assert "row 3 of bad.csv" in rows["bad"]["failure"]["error"]
    assert "Traceback" in rows["bad"]["failure"]["traceback"]
    (tmp_path / "bad.csv").write_text("prompt,n\na fish,1\na bird,2\n")
    assert ("collect", "good") not in to_do(store, "--set", sources)
    assert ("collect", "bad") in to_do(store, "--set", sources)


def test_a_missing_gpu_that_was_asked_for(undisturbed: Any, tmp_path: Path) -> None:
    store = copy_of(undisturbed, tmp_path)
    before = records(store)
    one = ("--set", "embed.resources.parallelism=1")
    done = i2p(store, "run", "--set", "embed.device=cuda", *one, check=False)
    assert done.returncode == BAD_CONFIGURATION
    assert "torch finds no usable GPU" in done.stderr
    assert records(store) == before
    assert to_do(store) == set()


def test_a_full_disk_loses_nothing_and_the_run_goes_on_when_there_is_space(undisturbed: Any, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 64 << 20) as disk:
        shutil.copytree(without(copy_of(undisturbed, tmp_path), "generate-prompts", "generate-images"), disk / "store")
        ballast, store = disk / "ballast", disk / "store"
        ballast.write_bytes(bytes(shutil.disk_usage(disk).free - 400_000))
        one_try = ("--set", "generate-images.resources.retries=0")
        done = i2p(store, "run", *one_try, check=False)
        assert done.returncode == TRY_AGAIN
        assert "is full" in done.stderr
        assert "free some space and run again" in done.stderr
        kept = records(store)
        assert any("/generate-prompts/" in name for name in kept)
        ballast.unlink()
        i2p(store, "run", *one_try)
        assert kept.items() <= records(store).items()
        assert manifest_digests(store) == manifest_digests(undisturbed)


def test_a_corrupt_shard_stops_what_reads_it_and_says_what_to_do(undisturbed: Any, tmp_path: Path) -> None:
    store = copy_of(undisturbed, tmp_path)
    path = next((store / RUN / "generate-images" / "shards").glob("train-00000-*"))
    body = bytearray(path.read_bytes())
    body[5000] ^= 1
    path.write_bytes(body)
    done = i2p(store, "run", "--set", "train.epochs=2", check=False)
    assert done.returncode == BAD_DATA
    assert "`i2p repair` makes it again" in done.stderr
    Path(path).unlink()
    assert ("generate-images", "train-00000") in to_do(store)
