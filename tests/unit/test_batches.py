"""Inference on cron, in a folder: what is claimed when, what is finished first, what is refused."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jobs.errors import BadConfiguration, BadData, Corrupt
from jobs.infer.stage import INFER, InferParams, files_by_unit
from jobs.shards.address import open_file
from jobs.shards.dataset import publish_manifest
from jobs.shards.local import LocalStore
from jobs.shards.records import Manifest
from jobs.shards.store import Body
from pipeline.configuration.run_config import RunConfig, check_config
from pipeline.scheduled import claims
from pipeline.scheduled.batches import Batch, batch_rows, batch_text, batches, drop, scheduled_time

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Folder:
    """A folder that files come into, and the run that claims them."""

    def __init__(self, folder: Path) -> None:
        self.incoming, self.runs = folder / "incoming", folder / "runs"
        self.noted: list[str] = []
        self.firings = 0

    def config(self, **changes: Any) -> RunConfig:
        values = {
            "run": "nightly",
            "store": str(self.runs),
            "inputs": {"evaluate": "trained"},
            "infer": {"images": str(self.incoming)},
        }
        return check_config(values | changes)

    def come(self, *names: str, content: str = "") -> None:
        for name in names:
            (self.incoming / name).parent.mkdir(parents=True, exist_ok=True)
            (self.incoming / name).write_text(content)

    def fire(self, *, failing: Sequence[int] = (), at: datetime | None = None) -> list[Batch]:
        """What a firing yields, an hour after the last one; all of it is done but the numbers in `failing`."""
        self.firings += 1
        self.noted.clear()
        yielded = []
        for batch in batches(self.config(), at or NOON + timedelta(hours=self.firings), self.noted.append):
            yielded.append(batch)
            if batch.number not in failing:
                finish(batch)
        return yielded

    @property
    def claims(self) -> Path:
        return self.runs / "nightly" / "claims"


def finish(batch: Batch) -> None:
    """Publish what the controller of the batch's run would."""
    for spec in batch.config.specs:
        publish_manifest(LocalStore(Path(batch.config.store) / batch.config.run / spec.name), Manifest(spec.name, ()))


def numbers(yielded: Sequence[Batch]) -> list[int]:
    return [batch.number for batch in yielded]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-22T03:00:00Z", "2026-11-22T03:00:00+00:00"),
        ("2026-11-22T03:00:00+01:00", "2026-11-22T02:00:00+00:00"),
        ("2026-11-22T03:00:00.9-05:30", "2026-11-22T08:30:00+00:00"),
        (None, "2026-11-22T12:00:00+00:00"),
    ],
)
def test_a_scheduled_time_is_in_utc(text: str | None, expected: str) -> None:
    assert scheduled_time(text, NOON + timedelta(microseconds=7)).isoformat() == expected


@pytest.mark.parametrize("text", ["", "03:00", "2026-11-22", "2026-11-22T03:00:00", "0001-01-01T00:00:00+14:00", "now"])
def test_a_scheduled_time_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadConfiguration, match="has the form 2026-11-22T03:00:00Z"):
        scheduled_time(text, NOON)


def test_a_batch_is_a_run_of_its_own_that_reads_the_inputs_of_its_claim(folder: Folder) -> None:
    folder.come("b.png", "deep/a.JPG")
    (batch,) = folder.fire(at=datetime(2026, 11, 23, 4, tzinfo=UTC))
    assert (batch.number, batch.names) == (1, ("b.png", "deep/a.JPG"))
    assert batch.config.run == "nightly-20261123-0400"
    assert [batch.config.origin(stage) for stage in ("train", "infer")] == ["trained", batch.config.run]
    params = batch.config.params(INFER)
    assert isinstance(params, InferParams)
    assert params.files is not None
    assert params.bad_images == "record"
    store, name = open_file(params.files)
    assert json.loads(store.read(name).data) == {
        "scheduled": "2026-11-23T04:00:00Z",
        "images": str(folder.incoming),
        "names": ["b.png", "deep/a.JPG"],
    }
    folder.come("late.png")
    assert files_by_unit(params) == {"predictions-00000": ["b.png", "deep/a.JPG"]}


def test_each_firing_claims_what_came_since_and_an_empty_one_nothing(folder: Folder) -> None:
    assert folder.fire() == []
    assert folder.noted == [f"nothing new in {folder.incoming}: 0 inputs there, 0 claimed so far"]
    folder.come("a.png", "c.png")
    assert [batch.names for batch in folder.fire()] == [("a.png", "c.png")]
    assert folder.fire() == []
    assert folder.noted == [f"nothing new in {folder.incoming}: 2 inputs there, 2 claimed so far"]
    folder.come("b.png")
    assert [(batch.number, batch.names) for batch in folder.fire()] == [(2, ("b.png",))]


def test_two_firings_within_a_minute_are_two_batches(folder: Folder) -> None:
    runs: list[str] = []
    for second in (0, 1, 1):
        folder.come(f"{len(runs)}.png")
        runs += [batch.config.run for batch in folder.fire(at=NOON + timedelta(seconds=second))]
    assert runs == ["nightly-20261122-1200", "nightly-20261122-120001"], "of one second there is one batch"


@pytest.mark.parametrize("done", [False, True])
def test_a_second_firing_of_the_same_time_goes_on_with_its_batch_and_claims_no_other(
    folder: Folder, done: bool
) -> None:
    folder.come("a.png")
    folder.fire(at=NOON, failing=() if done else (1,))
    folder.come("b.png")
    again = folder.fire(at=NOON, failing=[1])
    assert [(batch.number, batch.names) for batch in again] == ([] if done else [(1, ("a.png",))])
    assert folder.noted == ["batch 1 of 2026-11-22T12:00:00Z was claimed before, with 1 input"]
    assert [batch.names for batch in folder.fire()] == ([] if done else [("a.png",)]) + [("b.png",)]


def test_a_claim_between_kill_and_run_is_the_first_thing_of_the_next_firing(folder: Folder) -> None:
    folder.come("a.png")
    killed = batches(folder.config(), NOON)
    claimed = next(killed)
    killed.close()
    folder.come("b.png")
    assert [(batch.config.run, batch.names) for batch in folder.fire()] == [
        (claimed.config.run, ("a.png",)),
        ("nightly-20261122-1300", ("b.png",)),
    ]
    assert folder.fire() == []


def test_a_batch_that_fails_keeps_none_from_running_and_is_tried_again(folder: Folder) -> None:
    firings = []
    for name, failing in (("a", [1]), ("b", [1]), ("c", [1, 3]), ("d", []), ("e", [])):
        folder.come(f"{name}.png")
        firings.append(numbers(folder.fire(failing=failing)))
    assert firings == [[1], [1, 2], [1, 3], [1, 3, 4], [5]]


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: folder.come("a.png", content="other"),
        lambda folder: (folder.incoming / "a.png").unlink(),
        lambda folder: (folder.runs / "nightly-20261122-1300/infer/manifest.json").unlink(),
    ],
    ids=["its input is replaced", "its input is deleted", "its predictions are deleted"],
)
def test_what_is_done_stays_done_whatever_becomes_of_it(folder: Folder, change: Callable[[Folder], None]) -> None:
    folder.come("a.png")
    assert numbers(folder.fire()) == [1]
    change(folder)
    assert folder.fire() == []
    folder.come("a.png", "b.png")
    assert [batch.names for batch in folder.fire()] == [("b.png",)], "an input is a name, also when it comes again"


def test_a_run_that_was_finished_by_somebody_else_is_not_run_again(folder: Folder) -> None:
    folder.come("a.png")
    (batch,) = folder.fire(failing=[1])
    finish(batch)
    assert folder.fire() == []
    assert (folder.claims / "done" / "00001.json").is_file()


def test_a_run_with_one_stage_of_two_is_not_done(folder: Folder) -> None:
    folder.come("a.png")
    (batch,) = folder.fire()
    (folder.claims / "done" / "00001.json").unlink()
    (folder.runs / batch.config.run / "submission" / "manifest.json").unlink()
    assert numbers(folder.fire()) == [1]


@pytest.mark.parametrize(
    ("name", "is_input"),
    [
        ("a.png", True),
        ("A.JPEG", True),
        ("deep/er/a b.webp", True),
        ("ünï😀.jpg", True),
        ("a.txt", False),
        ("png", False),
        ("a.png.part", False),
        (".a.png", False),
        (".unfinished/a.png", False),
        ("deep/.trash/a.png", False),
        (".a.png.Xy12z", False),
    ],
)
def test_inputs_are_images_that_are_not_hidden(folder: Folder, name: str, is_input: bool) -> None:
    folder.come(name)
    assert [batch.names for batch in folder.fire()] == ([(name,)] if is_input else [])


def test_a_name_that_cannot_be_read_is_reported_and_spoils_nothing(folder: Folder) -> None:
    folder.come("a.png", "b\n.png")
    assert [batch.names for batch in folder.fire()] == [("a.png",)]
    assert folder.noted[0] == r"1 input left out because of the name, like 'b\n.png'; rename to have it read"


def test_images_of_one_name_in_several_folders_are_in_one_batch(folder: Folder) -> None:
    folder.come("cat.png", "dog.png", "old/cat.jpg", "older/cat.png")
    assert [batch.names for batch in folder.fire()] == [("cat.png", "dog.png", "old/cat.jpg", "older/cat.png")]


@pytest.mark.parametrize(
    ("changes", "noted"),
    [
        ({"inputs": {}}, "this configuration makes collect, generate-prompts, .*: take the rest"),
        ({"inputs": {"infer": "other"}}, "this configuration makes submission: take the rest from a trained run"),
        ({"inputs": {"dedup": "trained"}}, "makes .*train, evaluate, infer, submission: take the rest"),
        ({"infer": {"images": "split:test"}}, "a folder or s3://BUCKET/PREFIX that files come into, not 'split:test'"),
        ({"infer": {"images": "in", "files": "mine.json"}}, "every batch has its own; remove 'mine.json'"),
        ({"run": "n" * 33}, "at most 32 letters for the name, given 33"),
    ],
)
def test_a_configuration_that_is_none_of_a_batch_is_refused(
    folder: Folder, changes: dict[str, Any], noted: str
) -> None:
    with pytest.raises(BadConfiguration, match=noted):
        next(batches(folder.config(**changes), NOON), None)
    assert not folder.runs.exists()


def test_the_longest_name_has_space_for_every_time(folder: Folder) -> None:
    folder.come("a.png")
    (batch,) = batches(folder.config(run="n" * 32), NOON + timedelta(seconds=1))
    assert len(batch.config.run) == 48


def test_another_folder_needs_another_run(folder: Folder) -> None:
    folder.come("a.png")
    folder.fire(failing=[1])
    other = folder.config(infer={"images": f"{folder.incoming}-2"})
    with pytest.raises(BadConfiguration, match="a run of another name"):
        next(batches(other, NOON + timedelta(days=1)))
    same = folder.config(infer={"images": f"{folder.incoming}/"})
    assert numbers([next(batches(same, NOON + timedelta(days=1)))]) == [1]


def test_an_operator_can_give_a_batch_up(folder: Folder) -> None:
    folder.come("a.png")
    assert numbers(folder.fire(failing=[1], at=NOON)) == [1]
    folder.come("b.png")
    assert numbers(folder.fire(failing=[1])) == [1, 2]
    for number, noted in ((0, "no batch 0"), (3, "no batch 3"), (2, "batch 2 is done already")):
        with pytest.raises(BadData, match=noted):
            drop(folder.config(), number)
    assert drop(folder.config(), 1).startswith("batch 1 is dropped: of its 1 input")
    with pytest.raises(BadData, match="batch 1 is dropped already"):
        drop(folder.config(), 1)
    assert folder.fire() == [], "neither is it tried nor are its inputs claimed again"
    assert folder.fire(at=NOON) == [], "not by a firing of its own time either"


def test_batches_are_listed_with_their_state(folder: Folder) -> None:
    assert batch_text(batch_rows(folder.config())).splitlines() == [
        "batch  scheduled             run     inputs  state"
    ]
    for name in "abc":
        folder.come(f"{name}.png")
        folder.fire(failing=[1, 3])
    drop(folder.config(), 1)
    rows = batch_rows(folder.config())
    assert [(row["batch"], row["state"]) for row in rows] == [(1, "dropped"), (2, "done"), (3, "unfinished")]
    assert rows[1] == {
        "batch": 2,
        "scheduled": "2026-11-22T14:00:00Z",
        "run": "nightly-20261122-1400",
        "inputs": 1,
        "state": "done",
    }
    assert batch_text(rows).splitlines()[2] == ("    2  2026-11-22T14:00:00Z  nightly-20261122-1400          1  done")
    (claimed,) = (one for one in folder.fire(failing=[3]) if one.number == 3)
    finish(claimed)
    assert batch_rows(folder.config())[2]["state"] == "done", "also before a firing has recorded it"


def test_a_long_chain_is_read_from_a_few_objects(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "BLOCK", 4)
    read, names = LocalStore.read, list[str]()

    def counted(self: LocalStore, name: str) -> Body:
        names.append(f"{self.root.name}/{name}")
        return read(self, name)

    for number in range(70):
        folder.come(f"{number:03d}.png")
        assert numbers(folder.fire()) == [number + 1]
    monkeypatch.setattr(LocalStore, "read", counted)
    assert folder.fire() == []
    assert [name.removeprefix("nightly/claims/") for name in sorted(names)] == [
        "00069.json",
        "00070.json",
        "blocks/00001-00064.json.gz",
        "blocks/00065-00068.json.gz",
    ]
    assert [row["inputs"] for row in batch_rows(folder.config())] == [1] * 70


@pytest.mark.parametrize("gone", ["00001.json", "00002.json", "00003.json"])
def test_a_claim_that_is_gone_is_reported_and_nothing_is_claimed_twice(folder: Folder, gone: str) -> None:
    for name in "abc":
        folder.come(f"{name}.png")
        folder.fire()
    (folder.claims / gone).unlink()
    folder.come("d.png")
    with pytest.raises(Corrupt, match=f"{gone} is gone"):
        folder.fire()


def test_a_claim_whose_block_there_is_may_be_gone_and_a_block_may_be_too(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "BLOCK", 2)
    for name in "abcd":
        folder.come(f"{name}.png")
        folder.fire()
    folder.fire()
    (folder.claims / "blocks" / "00001-00004.json.gz").unlink()
    folder.come("e.png")
    assert numbers(folder.fire()) == [5]
    (folder.claims / "00001.json").unlink()
    assert folder.fire() == []


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"scheduled": "today", "images": "x", "names": []}'])
def test_what_is_no_claim_is_reported(folder: Folder, monkeypatch: pytest.MonkeyPatch, body: bytes) -> None:
    monkeypatch.setattr(claims, "BLOCK", 2)
    for name in "abc":
        folder.come(f"{name}.png")
        folder.fire()
    (folder.claims / "00003.json").write_bytes(body)
    with pytest.raises(Corrupt, match=r"00003\.json is not a claim .*; put it back"):
        folder.fire()
    (folder.claims / "blocks" / "00001-00002.json.gz").write_bytes(body)
    with pytest.raises(Corrupt, match=r"is not a block of 2 claims .*; delete it: it is made anew"):
        folder.fire()


def test_every_input_is_in_one_batch_over_many_firings_with_failures(folder: Folder) -> None:
    finished = Counter[str]()
    for firing in range(12):
        folder.come(*(f"{firing}-{number}.png" for number in range(firing % 3)))
        failing = [number for number in range(1, 20) if (number + firing) % 3 == 0]
        finished.update(
            name for batch in folder.fire(failing=failing) if batch.number not in failing for name in batch.names
        )
    finished.update(name for batch in folder.fire() for name in batch.names)
    assert finished == Counter(path.name for path in folder.incoming.iterdir())
