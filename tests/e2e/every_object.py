"""Deletes, cuts and flips every object of a finished small run, one after the other, and repairs it.

    python -m tests.e2e.every_object [STORE]     takes about an hour; STORE is made if it is not there

The digests must come back, and nothing may be made again but the unit whose shard was damaged.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from pipeline.__main__ import main
from tests.e2e.runs import PRESET, RUN, i2p, manifest_digests

DAMAGES = ("delete", "cut", "flip")
VIEWS = ("report.html", "submission.csv")  # written anew at the end of every run


def damage(path: Path, how: str) -> None:
    """Damage one file."""
    body = path.read_bytes()
    position = min(520, len(body) // 2)
    path.unlink()
    if how == "cut":
        path.write_bytes(body[: len(body) // 2])
    elif how == "flip":
        path.write_bytes(body[:position] + bytes([body[position] ^ 1]) + body[position + 1 :])


def attempts(store: Path) -> Counter[str]:
    """How many attempts have begun, by stage."""
    return Counter(path.parents[1].name for path in (store / RUN).glob("*/logs/*.jsonl"))


def repair(store: Path) -> tuple[int, str]:
    """The exit code of `i2p repair`, and what it says."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = main(["repair", "--preset", PRESET, "--set", f"store={store}"])
    return code, said.getvalue()


def objects(store: Path) -> Iterator[Path]:
    """Every object of the run, as a path within the store."""
    for path in sorted((store / RUN).rglob("*")):
        if path.is_file() and ".unfinished" not in path.parts:
            yield path.relative_to(store)


def check(whole: Path, name: Path, how: str) -> str:
    """What is wrong after damage and repair; empty where nothing is."""
    before = manifest_digests(whole)
    with tempfile.TemporaryDirectory() as folder:
        store = Path(shutil.copytree(whole, Path(folder) / "store"))
        damage(store / name, how)
        began = attempts(store)
        code, said = repair(store)
        made = attempts(store) - began
        expected = {name.parts[1]} if name.parent.name == "shards" else set()
        if code or manifest_digests(store) != before:
            return f"exit code {code}, digests {'equal' if manifest_digests(store) == before else 'differ'}: {said}"
        if made.keys() - expected:
            return f"made {dict(made)}, expected {expected}"
        return "" if name.name not in VIEWS or (store / name).is_file() else "the view is not there"


def _main() -> int:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
    if not (folder / RUN).exists():
        i2p(folder, "run")
    damages = list(product(objects(folder), DAMAGES))
    began, wrong = time.monotonic(), 0
    for done, (name, how) in enumerate(damages, 1):
        said = check(folder, name, how)
        wrong += bool(said)
        if said:
            print(f"{how} {name}: {said}", flush=True)
        left = (time.monotonic() - began) / done * (len(damages) - done)
        print(f"{done} of {len(damages)} damages, {wrong} not repaired, {left:.0f} s left", file=sys.stderr, flush=True)
    print(f"{len(damages)} damages repaired, {wrong} not as they should be")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(_main())
