"""An export that is killed at any of its writes and done again is, byte for byte, the one that is made at once."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from jobs.report.page import RunView
from jobs.shards.local import LocalStore
from jobs.shards.s3 import S3Store
from jobs.shards.store import Store
from tests.exports import digests, exported, small_run

_WRITES = ("create", "replace", "put", "delete")


@pytest.fixture
def run(tmp_path: Path) -> RunView:
    return small_run(LocalStore(tmp_path / "run"))


def killed(work: Callable[[], object], store: type[Store], *, at: int) -> bool:
    """Do it in a process that is killed in front of its so many-th write to a store; False where it has no so many."""
    child = os.fork()
    if not child:
        left = iter(range(at))
        for name in _WRITES:
            write = getattr(store, name)

            def counted(*arguments: object, _write: Callable[..., object] = write, **named: object) -> object:
                if next(left, None) is None:
                    os.kill(os.getpid(), signal.SIGKILL)
                return _write(*arguments, **named)

            setattr(store, name, counted)
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def objects(store: Store) -> dict[str, str]:
    return {one.name: hashlib.sha256(store.read(one.name).data).hexdigest() for one in store.list("")}


@pytest.mark.parametrize(("form", "step"), [("parquet", 1), ("imagefolder", 7)])
def test_killed_at_any_write_it_goes_on(run: RunView, tmp_path: Path, form: str, step: int) -> None:
    exported(run, tmp_path / "at-once", form=form)
    at_once = digests(tmp_path / "at-once")
    number = 0
    while killed(partial(exported, run, tmp_path / f"out{number}", form=form), LocalStore, at=number):
        out = tmp_path / f"out{number}"
        assert "export.json" not in digests(out) or digests(out).items() >= at_once.items()
        exported(run, out, form=form)
        assert digests(out) == at_once
        number += step
    assert number > len(at_once)


def test_killed_again_and_again_it_still_comes_to_an_end(run: RunView, tmp_path: Path) -> None:
    exported(run, tmp_path / "at-once", form="webdataset")
    out, kills = tmp_path / "out", 0
    while killed(partial(exported, run, out, form="webdataset"), LocalStore, at=7):
        kills += 1
    assert kills > 2
    assert digests(out) == digests(tmp_path / "at-once")


def test_a_bucket_gets_what_a_folder_gets_also_after_a_kill(run: RunView, tmp_path: Path, s3_store: S3Store) -> None:
    exported(run, tmp_path / "at-once", form="webdataset", vectors=True)
    for number in (3, 9, 14):
        out = s3_store.at(str(number))
        assert killed(partial(exported, run, out.url, form="webdataset", vectors=True), S3Store, at=number)
        exported(run, out.url, form="webdataset", vectors=True)
        assert objects(out) == digests(tmp_path / "at-once")
