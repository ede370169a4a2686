"""The quick tests, which `pytest --quick` and so `make check` run. Which these are follows from what a test uses.

A test is not quick when its module reaches, by its imports, one of HEAVY or test code that starts processes, or when
it is given an S3 server or a finished run. So no test has to be marked, and one that is changed to use more leaves by
itself. A quick test that imports one of HEAVY in another way, as by running a stage, fails with an error that says what
to do.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

import grimp
import pytest

from tests.s3_servers import SERVERS

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("tests", "jobs", "pipeline", "images", "benchmarks")
HEAVY = ("torch", "transformers", "sentence_transformers", "diffusers", "timm", "open_clip", "accelerate", "webdataset")
STARTS_PROCESSES = {"subprocess", "multiprocessing", "jobs.runtime.sandbox.pool", "jobs.dedup.tool.tables.parquet"}
"""What only test code is asked about: nearly everything of `pipeline` could start one."""
GIVEN = {"bucket_on", "undisturbed", "data"}
"""Fixtures that take seconds to make what they give."""
_SEEN: set[str] = set()


@cache
def slow_modules() -> frozenset[str]:
    """The modules of tests that are not quick, by name."""
    graph = grimp.build_graph(*PACKAGES, include_external_packages=True, cache_dir=None)
    heavy = {name for one in HEAVY if one in graph.modules for name in graph.find_downstream_modules(one)}
    imports = {
        name: graph.find_modules_directly_imported_by(name) for name in graph.modules if name.startswith("tests.")
    }
    starting: set[str] = set()
    while more := {name for name, used in imports.items() if used & (starting | STARTS_PROCESSES)} - starting:
        starting |= more
    return frozenset(heavy | starting)


def leaves_out(path: Path) -> bool:
    """Whether a file holds no quick test."""
    if not (path.is_relative_to(ROOT) and path.match("test_*.py")):
        return False
    return ".".join(path.relative_to(ROOT).with_suffix("").parts) in slow_modules()


def is_quick(item: pytest.Item) -> bool:
    """Whether a test of a module that is not left out is quick."""
    given = set(getattr(item, "fixturenames", ()))
    parameters = set(map(str, item.callspec.params.values())) if hasattr(item, "callspec") else set()
    return not given & GIVEN and not parameters & {"s3", *SERVERS}


def newly_imported() -> list[str]:
    """What of HEAVY this process has imported and was not reported yet."""
    found = [name for name in HEAVY if name in sys.modules and name not in _SEEN]
    _SEEN.update(found)
    return found
