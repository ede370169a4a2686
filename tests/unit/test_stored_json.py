"""Any stored JSON may be damaged or somebody else's: it is read as it was written, or named as Corrupt."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from jobs.errors import Corrupt
from jobs.runtime.diagnostics import Diagnostics, failures_in
from jobs.runtime.events import ProgressMade, event_in, log_of
from jobs.shards.digests import canonical_json
from jobs.shards.local import LocalStore
from jobs.shards.records import CommitRecord, Manifest, Shard
from pipeline.cli import tables
from pipeline.executors.kubernetes.attempt_logs import AttemptLogs
from pipeline.planning.desired_state import CONTROL, read_desired_state, write_desired_state
from pipeline.scheduled.claims import Claim, create_claim, read_chain, read_claim
from tests.samples import record_of

SHARD = Shard("train-00042", "shards/train-00042-abc.tar", 10240, "ab" * 32, 3, "a", "c")
RECORD = record_of("train-00042", SHARD)
MANIFEST = Manifest("dedup", (RECORD.outcome,))
DEEP = b"[" * 100_000 + b"]" * 100_000
JOB = "small-collect-1-0a1b2c3d"
CLAIM = Claim(1, datetime(2026, 11, 22, 3, tzinfo=UTC), "images", ("a.png", "b.png"))


def read_stored_claim(store: LocalStore, body: bytes) -> Any:
    store.put("claims/00001.json", body)
    return read_claim(store, 1)


def read_stored_state(store: LocalStore, body: bytes) -> Any:
    store.put(CONTROL, body)
    return read_desired_state(store)


def unsealed(body: bytes) -> bytes:
    """As it was stored before records and manifests held their own digest."""
    value = json.loads(body)
    del value["sha256"]
    return canonical_json(value)


READERS: dict[str, tuple[bytes, Callable[[LocalStore, bytes], Any]]] = {
    "record": (unsealed(RECORD.encode()), lambda _, body: CommitRecord.decode(body)),
    "manifest": (unsealed(MANIFEST.encode()), lambda _, body: Manifest.decode(body)),
    "claim": (canonical_json(CLAIM.values), read_stored_claim),
    "control": (b'{"wish": "pause"}', read_stored_state),
}


FREE = ("settings", "stats", "first_key", "last_key")  # members that hold any JSON, or may be null
WRONG: tuple[Any, ...] = (None, 3, "x", [3], {"a": 1})


def changed(value: Any) -> Iterator[Any]:
    """The value with one member missing, of a wrong type, or one more, at every depth."""
    if isinstance(value, dict):
        yield {**value, "unknown": 1}
        for name, member in value.items():
            if name not in FREE:
                same = (int, float) if isinstance(member, float) else (type(member),)
                yield from ({**value, name: wrong} for wrong in WRONG if type(wrong) not in same)
                yield from ({**value, name: other} for other in changed(member))
    if isinstance(value, list):
        yield [*value, 3]
        yield from ([other, *value[1:]] for other in changed(value[0]))


@pytest.mark.parametrize("kind", READERS)
def test_one_wrong_member_at_any_depth_is_reported(kind: str, tmp_path: Path) -> None:
    body, read = READERS[kind]
    read(LocalStore(tmp_path), body)
    for other in changed(json.loads(body)):
        with pytest.raises(Corrupt):
            read(LocalStore(tmp_path), json.dumps(other).encode())


@pytest.mark.parametrize("kind", READERS)
def test_a_missing_member_is_reported(kind: str, tmp_path: Path) -> None:
    body, read = READERS[kind]
    value = json.loads(body)
    for name in value:
        with pytest.raises(Corrupt):
            read(LocalStore(tmp_path), json.dumps({other: value[other] for other in value if other != name}).encode())


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize(
    "spoil",
    [
        lambda body: body[: len(body) // 2],
        lambda body: b"",
        lambda body: b"\xff" + body,
        lambda body: DEEP,
        lambda body: body.replace(b":", b":" + DEEP, 1),
        lambda body: body.replace(b"}", b', "x": NaN}', 1),
        lambda body: body.replace(b"a", b"\\ud800"),
        lambda body: b'"' + body.replace(b'"', b"") + b'"',
    ],
    ids=["cut", "empty", "not UTF-8", "deep", "deep inside", "not a number", "lone surrogate", "text"],
)
def test_what_is_no_json_of_its_kind_is_reported(kind: str, spoil: Callable[[bytes], bytes], tmp_path: Path) -> None:
    body, read = READERS[kind]
    with pytest.raises(Corrupt):
        read(LocalStore(tmp_path), spoil(body))


def test_numbers_that_are_none_are_refused_wherever_json_is_free() -> None:
    for number in (b"NaN", b"Infinity", b"1e999"):
        body = unsealed(RECORD.encode()).replace(b'"size":64', b'"size":' + number)
        assert number in body
        with pytest.raises(Corrupt):
            CommitRecord.decode(body)


@pytest.mark.parametrize("kind", [CommitRecord, Manifest])
def test_every_flipped_bit_is_noticed(kind: type[CommitRecord | Manifest]) -> None:
    body = (RECORD if kind is CommitRecord else MANIFEST).encode()
    for position in range(len(body)):
        for bit in range(8):
            with pytest.raises(Corrupt):
                kind.decode(body[:position] + bytes([body[position] ^ 1 << bit]) + body[position + 1 :])


def test_what_was_stored_before_there_were_seals_is_still_read() -> None:
    assert CommitRecord.decode(unsealed(RECORD.encode())) == RECORD
    assert Manifest.decode(unsealed(MANIFEST.encode())) == MANIFEST


def test_a_record_names_only_what_can_be_a_shard() -> None:
    for object_ in ("../../etc/passwd", "commits/a.json", "shards/../a.tar", "shards/a\n.tar"):
        outcome = replace(RECORD.outcome, shards=(replace(SHARD, object=object_),))
        body = unsealed(replace(RECORD, outcome=outcome).encode())
        with pytest.raises(Corrupt):
            CommitRecord.decode(body)


def test_a_damaged_object_is_named(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "run")
    with pytest.raises(Corrupt, match=r"run/claims/00001\.json is not a claim .*put it back from a backup"):
        read_stored_claim(store, b"{")
    with pytest.raises(Corrupt, match=r"run/control\.json is not a Control .*`i2p resume`"):
        read_stored_state(store, b"{")
    write_desired_state(store, "pause")
    assert read_desired_state(store) == "pause"


@pytest.mark.parametrize("name", ["99999999", "00003"])
def test_a_claim_beyond_the_last_one_is_reported_at_once_whatever_its_number(tmp_path: Path, name: str) -> None:
    store = LocalStore(tmp_path / "run")
    create_claim(store, CLAIM)
    store.put(f"claims/{name}.json", canonical_json(CLAIM.values))
    with pytest.raises(Corrupt, match=rf"claims/00002\.json is gone, although there is something of claim {int(name)}"):
        read_chain(store)


@pytest.mark.parametrize(
    "name", ["blocks/00001-99999999.json.gz", "blocks/00002-00033.json.gz", "readme.txt", "1.json"]
)
def test_a_foreign_object_beside_the_claims_is_passed_over(tmp_path: Path, name: str) -> None:
    store = LocalStore(tmp_path / "run")
    create_claim(store, CLAIM)
    store.put(f"claims/{name}", b"nonsense")
    assert read_chain(store).claims == (CLAIM,)


FOREIGN = ["logs/readme.txt", "logs/x-y.jsonl", f"logs/99999999999999999999-{JOB}-0-abcde.jsonl", "logs/00000-.jsonl"]


def test_foreign_objects_and_lines_among_logs_are_passed_over(tmp_path: Path) -> None:
    stage = LocalStore(tmp_path)
    whole = b'{"time": 1.0, "event": "committed", "unit": "a", "samples": 7, "seconds": 1, "won": true}'
    lines = [
        b"",
        b"3",
        b"[]",
        DEEP,
        b'{"event": 3}',
        b'{"time": 1, "event": "progress", "done": "x"}',
        b'{"time": 1, "event": "committed", "samples": -1}',
        b"\xff",
        whole,
    ]
    for name in (*FOREIGN, f"logs/00000-{JOB}-0-abcde.jsonl"):
        stage.put(name, b"\n".join(lines))
    (attempt,) = AttemptLogs(stage).attempts(JOB)
    assert (attempt.units, attempt.samples) == (1, 7)
    assert tables.logs(stage, index=0) == [{"index": 0, **json.loads(whole)}]


def test_foreign_failures_are_passed_over(tmp_path: Path) -> None:
    stage = LocalStore(tmp_path)
    Diagnostics(stage, 2, f"{JOB}-2-abcde").report_failure(ValueError("no"), unit="a")
    (failure,) = failures_in(stage)
    for number, body in enumerate([b"", b"3", DEEP, b"{}", b'{"unit": 3}']):
        stage.put(f"failures/a-{JOB}-0-{number}.json", body)
    assert list(failures_in(stage)) == [failure]
    assert [one.error for one in AttemptLogs(stage).failures(JOB)] == ["ValueError: no"]


def test_what_is_no_unicode_is_logged_and_left_all_the_same(tmp_path: Path) -> None:
    stage = LocalStore(tmp_path)
    diagnostics = Diagnostics(stage, 0, "attempt")
    diagnostics.report_failure(ValueError("a file named \udcff.png"), unit="a")
    diagnostics.ship_log()
    assert next(failures_in(stage)).error == "ValueError: a file named ?.png"
    assert tables.logs(stage, index=0)[-1]["error"] == "ValueError: a file named ?.png"


@pytest.mark.parametrize("name", FOREIGN)
def test_only_logs_have_the_names_of_logs(name: str) -> None:
    assert log_of(name) is None
    assert log_of("logs/00003-some-pod.jsonl") == (3, "some-pod")


def test_an_event_keeps_what_it_says() -> None:
    event = event_in('{"time": 2, "event": "progress", "done": 1, "total": null, "what": "rows", "loss": 0.5}')
    assert isinstance(event, ProgressMade)
    assert (event.done, event.total, event.values["loss"], event.values["time"]) == (1, None, 0.5, 2)
