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
EXTRAS = {"controller": "pipeline"}  # every other image is named as its extra
PARENTS: Mapping[str, tuple[str, ...]] = {"python": (), "torch": ("torch", "torchvision")}


def requirements_of(image: str, root: Path, *more: str) -> str:
    """The text of the image's requirements.txt: `name==version` lines, sorted; `more` are names beside its extra's."""
    wanted = [*_direct(image, root), *more]
    return "".join(f"{pin}\n" for pin in closure(wanted, (root / "requirements.lock").read_text()))


def closure(wanted: Iterable[str], lock: str) -> list[str]:
    """The pins of a lock, as uv writes it with `# via` comments, that are wanted or needed by one that is.

    A name that the lock does not have is left to the installer.
    """
    pins, needs = _read(lock)
    found: set[str] = set()
    waiting = [name for name in wanted if name in pins]
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


def _direct(image: str, root: Path) -> list[str]:
    """The names that pyproject.toml asks for in this image."""
    if image in PARENTS:
        return list(PARENTS[image])
    project: Mapping[str, Any] = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    extras: Mapping[str, list[str]] = project["optional-dependencies"]
    extra = EXTRAS.get(image, image)
    if extra not in extras:
        raise ImageError(f"image {image} needs an extra of its name in pyproject.toml, which has {', '.join(extras)}")
    return [name for line in [*project["dependencies"], *extras[extra]] for name in _names(line, extras)]


def _names(requirement: str, extras: Mapping[str, list[str]]) -> list[str]:
    """The normalised name of a requirement; in place of the project's own extras, what they ask for."""
    match = re.match(r"([A-Za-z0-9._-]+)(?:\[([^\]]*)\])?", requirement)
    if not match:
        raise ImageError(f"pyproject.toml asks for {requirement!r}, which does not begin with a package's name")
    name = re.sub(r"[-_.]+", "-", match[1]).lower()
    if name != PROJECT:
        return [name]
    return [found for extra in match[2].split(",") for line in extras[extra.strip()] for found in _names(line, extras)]
