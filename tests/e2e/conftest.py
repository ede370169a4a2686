"""One undisturbed small run that the tests copy and disturb."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from tests.e2e.runs import i2p


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of a finished run; not to be changed. Processes that share the tests share it."""
    shared = tmp_path_factory.getbasetemp()
    folder = (shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared) / "undisturbed"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "stdout").exists():
            (folder / "stdout").write_text(i2p(folder / "store", "run").stdout)
    return folder / "store"
