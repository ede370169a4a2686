"""The environment variables that controller, charts and workers exchange have their names from one module."""

from __future__ import annotations

import re
from pathlib import Path

from jobs.runtime import environment

ROOT = Path(__file__).parents[2]
NAMES = [value for name, value in vars(environment).items() if name.endswith("_VARIABLE")]
GENERATED = ROOT / "charts" / "common" / "templates" / "_pod.tpl"


def test_no_name_of_a_variable_is_written_anywhere_else() -> None:
    files = {path for folder in ("jobs", "pipeline", "charts") for path in (ROOT / folder).rglob("*.*")}
    files = {path for path in files if path.suffix in (".py", ".tpl", ".yaml")}
    files -= {Path(environment.__file__), GENERATED}
    assert len(files) > 200
    words = re.compile(r"I2P_[A-Z]+|JOB_COMPLETION_INDEX")
    assert {str(path.relative_to(ROOT)): found for path in files if (found := words.findall(path.read_text()))} == {}


def test_the_names_differ() -> None:
    assert len(NAMES) == len(set(NAMES)) > 8
