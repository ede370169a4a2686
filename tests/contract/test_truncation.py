"""Every cut and every flipped bit of a shard is noticed; a reader of the tar alone misses many."""

from __future__ import annotations

from pathlib import Path

from benchmarks.truncation import SAMPLES, by_webdataset, cuts, flips, here, outcomes, written
from tests.samples import numbered_samples


def test_an_undamaged_shard_is_read_by_both(tmp_path: Path) -> None:
    data, shard = written(tmp_path, SAMPLES)
    assert here(shard)(data) == by_webdataset(data) == SAMPLES


def test_every_cut_at_a_block_is_noticed_here_and_not_by_webdataset(tmp_path: Path) -> None:
    data, shard = written(tmp_path, SAMPLES)
    assert outcomes(cuts(data), here(shard), SAMPLES) == {"tried": 99, "noticed": 99, "wrong": 0, "right": 0}
    theirs = outcomes(cuts(data), by_webdataset, SAMPLES)
    assert theirs["wrong"] > 0, "read as a shorter shard, without an error"


def test_every_flipped_bit_is_noticed_here_and_not_by_webdataset(tmp_path: Path) -> None:
    samples = numbered_samples(2)
    data, shard = written(tmp_path, samples)
    bits = 8 * len(data)
    assert outcomes(flips(data), here(shard), samples) == {"tried": bits, "noticed": bits, "wrong": 0, "right": 0}
    theirs = outcomes(flips(data, each=512), by_webdataset, samples)
    assert theirs["wrong"] > 0, "a tar's checksums cover its headers only"
