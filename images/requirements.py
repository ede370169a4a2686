"""What an image installs: the pins of requirements.lock that its extra of pyproject.toml needs, and no others.

So the bytes of an image's requirements change exactly when what it installs changes: a new linter rebuilds no image.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from images.errors import ImageError

PROJECT = "image-to-prompts"
FAISS = "faiss"  # the extra with the one package that an image may have another instead of
PARENTS: Mapping[str, tuple[str, ...]] = {"python": (), "torch": ("torch", "torchvision")}


def requirements_of(extra: str, root: Path, *, faiss: str = "") -> list[str]:
    """The lines of the requirements.txt of an image that needs this extra, sorted: `name==version`.

    `faiss` is a requirement that takes the place of the extra faiss's package, which is the same module.
    """
    project: Mapping[str, Any] = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    extras: Mapping[str, list[str]] = project["optional-dependencies"]
    if extra not in extras:
        raise ImageError(f"an image needs the extra {extra!r} of pyproject.toml, which has {', '.join(extras)}")
    direct = [name for line in [*project["dependencies"], *extras[extra]] for name in _names(line, extras)]
    replaced = {name for line in extras[FAISS] for name in _names(line, extras)} if faiss else set()
    pins = closure(direct, (root / "requirements.lock").read_text())
    return [faiss if _name(pin) in replaced else pin for pin in pins]


def requirements_of_parent(parent: str, root: Path) -> list[str]:
    """Those of a parent; none of the code needs it, so no extra names it."""
    return closure(PARENTS[parent], (root / "requirements.lock").read_text())


def parent_of(requirements: Iterable[str]) -> str:
    """The parent of an image with these requirements: torch's 6 GB are shared by all that need it."""
    return "torch" if {_name(line) for line in requirements} & {*PARENTS["torch"]} else "python"


def closure(wanted: Iterable[str], lock: str) -> list[str]:
    """The pins of a lock, as uv writes it with `# via` comments, that are wanted or needed by one that is.

    Raises ImageError when the lock lacks a wanted name.
    """
    pins, needs = _read(lock)
    found: set[str] = set()
    waiting = list(wanted)
    if missing := [name for name in waiting if name not in pins]:
        raise ImageError(f"requirements.lock lacks {', '.join(missing)}, which pyproject.toml asks for; `make lock`")
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(needs.get(name, ()))
    return [pins[name] for name in sorted(found)]


def _read(lock: str) -> tuple[dict[str, str], dict[str, list[str]]]:
    """A lock's pins by name, and what each package needs."""
    pins: dict[str, str] = {}
    needs: dict[str, list[str]] = {}
    name = ""
    for line in lock.splitlines():
        if re.match(r"[a-z0-9]", line):
            name = line.partition("==")[0]
            pins[name] = line.strip()
        elif (parent := line.strip().removeprefix("#").strip().removeprefix("via").strip()) and name:
            needs.setdefault(parent.split()[0], []).append(name)
    return pins, needs


def _names(requirement: str, extras: Mapping[str, list[str]]) -> list[str]:
    """The normalised name of a requirement; in place of the project's own extras, what they ask for."""
    match = re.match(r"([A-Za-z0-9._-]+)(?:\[([^\]]*)\])?", requirement)
    if not match:
        raise ImageError(f"pyproject.toml asks for {requirement!r}, which does not begin with a package's name")
    name = re.sub(r"[-_.]+", "-", match[1]).lower()
    if name != PROJECT:
        return [name]
    return [found for extra in match[2].split(",") for line in extras[extra.strip()] for found in _names(line, extras)]


def _name(pin: str) -> str:
    return pin.partition("==")[0]
