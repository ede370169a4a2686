"""Records and manifests: canonical, whole or refused, and named by everything that shaped the work."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.errors import Corrupt
from jobs.shards.digests import canonical_json, digest_of
from jobs.shards.records import (
    CommitRecord,
    Manifest,
    Shard,
    fingerprint,
    object_name,
    record_name,
    unit_of,
)
from tests.samples import record_of

SHARD = Shard("train-00042", "shards/train-00042-abc.tar", 10240, "ab" * 32, 3, "a", "c")
EMPTY = Shard("val-00000", "shards/val-00000-def.tar", 1024, "cd" * 32, 0, None, None)
RECORD = record_of("train-00042", SHARD, EMPTY)
MANIFEST = Manifest("dedup", (RECORD.outcome, replace(RECORD.outcome, unit="other", shards=())))

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text('aé雪"\\ '),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text("abé"), values, max_size=3),
    max_leaves=10,
)


def test_a_record_and_a_manifest_come_back_as_they_were() -> None:
    assert CommitRecord.decode(RECORD.encode()) == RECORD
    assert Manifest.decode(MANIFEST.encode()) == MANIFEST
    assert MANIFEST.shards == (SHARD, EMPTY)


def test_digests_and_names_never_change() -> None:
    asked = fingerprint(stage="embed", version=2, unit="a-00001", settings={"é": [1, 0.1]}, reads={"x": "0" * 64})
    assert asked == "f31dd5e65a93597a9ef0b50f00fc0f7c7c9fad7a569c992521e8a88e28d427a6"
    assert MANIFEST.digest == "03949979a560a3bb6cfd5f4a05b5f065326a7a1cddabb992fbf454308272a8da"
    assert record_name("a-00001", asked) == f"commits/a-00001-{asked[:16]}.json"
    assert object_name("a-00001", "12" * 32) == "shards/a-00001-1212121212121212.tar"
    assert unit_of(record_name("a-00001", asked)) == "a-00001"


@given(JSON)
def test_canonical_json_has_one_encoding(value: Any) -> None:
    encoded = canonical_json(value)
    assert json.loads(encoded) == value
    assert canonical_json(json.loads(encoded)) == encoded
    assert b"\n" not in encoded


def test_the_order_of_keys_does_not_matter_that_of_values_does() -> None:
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
    assert digest_of([1, 2]) != digest_of([2, 1])


def test_a_number_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="float"):
        canonical_json({"cosine": float("nan")})


@pytest.mark.parametrize("change", ["stage", "version", "unit", "settings", "reads"])
def test_a_fingerprint_covers_everything_that_shapes_a_unit(change: str) -> None:
    asked: dict[str, Any] = {"stage": "s", "version": 1, "unit": "u", "settings": {"a": 1}, "reads": {"x": "1"}}
    other = {"stage": "t", "version": 2, "unit": "v", "settings": {"a": 2}, "reads": {"x": "2"}}
    assert fingerprint(**asked) != fingerprint(**{**asked, change: other[change]})


def test_a_manifest_says_nothing_of_when_where_or_by_whom() -> None:
    again = replace(RECORD, attempt="second", seconds=99.0, finished=2e9, versions={"python": "3.12"})
    assert Manifest("dedup", (again.outcome,)).encode() == Manifest("dedup", (RECORD.outcome,)).encode()


def test_every_cut_of_a_record_or_manifest_is_refused() -> None:
    for encoded, decode in ((RECORD.encode(), CommitRecord.decode), (MANIFEST.encode(), Manifest.decode)):
        for size in range(len(encoded)):
            with pytest.raises(Corrupt):
                decode(encoded[:size])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"3",
        b'"text"',
        b"{}",
        b"\xff",
        b'{"outcome": 3}',
        b'{"outcome": {"shards": [3]}}',
        b'{"stage": "s", "outcomes": null}',
        b'{"stage": "s", "outcomes": [{}]}',
        b'{"outcomes": []}',
        canonical_json({**json.loads(RECORD.encode()), "unknown": 1}),
    ],
)
def test_other_json_is_neither(data: bytes) -> None:
    with pytest.raises(Corrupt):
        CommitRecord.decode(data)
    with pytest.raises(Corrupt):
        Manifest.decode(data)


@pytest.mark.parametrize(("name", "group"), [("train-00042", "train"), ("a-b-00001", "a-b"), ("model", "model")])
def test_a_shards_group_is_its_name_without_the_number(name: str, group: str) -> None:
    assert replace(SHARD, name=name).group == group


def test_outcomes_of_equal_work_are_equal() -> None:
    decoded = CommitRecord.decode(RECORD.encode())
    assert decoded.encode() == RECORD.encode()
    assert Manifest("dedup", (decoded.outcome,)).digest == Manifest("dedup", (RECORD.outcome,)).digest
