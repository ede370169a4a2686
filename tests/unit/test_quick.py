"""Which tests are quick: none that imports torch, starts processes or uses S3, and most of the others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import quick

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("module", "because"),
    [
        ("tests.unit.test_train", "it imports torch"),
        ("tests.contract.test_truncation", "it compares with webdataset, which imports torch"),
        ("tests.e2e.test_upkeep", "it runs the command line in other processes"),
        ("tests.unit.test_quick", "it starts one itself"),
    ],
)
def test_what_uses_more_is_not_quick(module: str, because: str) -> None:
    assert module in quick.slow_modules(), because


COLLECT = """
import sys
import pytest
from tests import quick
code = pytest.main(["--quick", "--collect-only", "-q"])
print("imported:", quick.newly_imported())
sys.exit(code)
"""


def test_the_quick_tests_are_many_and_import_nothing_heavy() -> None:
    """In a process of its own, which has imported nothing before."""
    done = subprocess.run([sys.executable, "-c", COLLECT], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    *lines, imported = done.stdout.splitlines()
    assert imported == "imported: []"
    collected = [line for line in lines if "::" in line]
    assert len(collected) > 500
    assert any("test_batches.py" in line and "[local]" in line for line in collected)
    assert not [line for line in collected if "seaweedfs" in line or "[s3" in line]
    files = {line.partition("::")[0] for line in collected}
    assert {"tests/unit/test_controller.py", "tests/unit/test_keys.py", "tests/unit/test_records.py"} <= files


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_quick_test_that_imports_something_heavy_fails(tmp_path: Path, workers: str) -> None:
    (tmp_path / "conftest.py").write_text("from tests.conftest import *\n")
    (tmp_path / "test_one.py").write_text("def test_one(): pass\ndef test_two(): import webdataset\n")
    command = [sys.executable, "-m", "pytest", "--quick", f"--rootdir={tmp_path}", "-n", workers, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1, done.stdout
    assert "this quick test, or the collection, imported torch, webdataset" in done.stdout
    assert "ERROR at teardown of test_two" in done.stdout
