"""What goes into an image's build, read from its Dockerfile, and the tag that follows from it.

A Dockerfile says everything: its parent (the argument after FROM), what it copies from the repository (COPY), and its
other arguments. The build context is made of just that, so that nothing else can get into an image or change its tag.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from images.errors import ImageError
from images.requirements import PARENTS, requirements_of

ROOT = Path(__file__).resolve().parents[1]
TAG_LENGTH = 16
TIME = 315532800  # 1980, of every file: no file's time says anything, and zip archives know none before


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One image: what its build gets, and where it goes."""

    name: str
    repository: str  # "<registry>/<name>"
    tag: str
    parent: Image | None
    arguments: Mapping[str, str]
    files: Mapping[str, bytes]  # the build context, without uv

    @property
    def reference(self) -> str:
        return f"{self.repository}:{self.tag}"


def image_names(root: Path = ROOT) -> list[str]:
    """All images that are for running: the folders with a Dockerfile, without the parents."""
    return sorted(
        path.parent.name for path in (root / "images").glob("*/Dockerfile") if path.parent.name not in PARENTS
    )


def plan(name: str, *, registry: str, settings: Mapping[str, str], root: Path = ROOT) -> Image:
    """The image of that name; `settings` are values for arguments of the Dockerfiles (BASE, FAISS)."""
    path = root / "images" / name / "Dockerfile"
    if not path.is_file():
        raise ImageError(f"there is no image {name!r}; the images are {', '.join(image_names(root))}")
    declared = dict(re.findall(r"^ARG (\w+)(?:=(\S+))?$", path.read_text(), re.MULTILINE))
    parents = [plan(argument.lower(), registry=registry, settings=settings, root=root)
               for argument in declared if argument.lower() in PARENTS]  # fmt: skip
    own = {key: settings.get(key, value) for key, value in declared.items() if key.lower() not in PARENTS}
    files = dict(sorted(_files(path, root, own)))
    return Image(
        name=name,
        repository=f"{registry}/{name}",
        tag=_tag(files, own, parents[0].tag if parents else ""),
        parent=parents[0] if parents else None,
        arguments={**own, **{parent.name.upper(): parent.reference for parent in parents}},
        files=files,
    )


def write(image: Image, folder: Path, uv: Path) -> None:
    """Lay the build context out in an empty folder."""
    for name, body in image.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    shutil.copy(uv, folder / "uv")
    for path in [folder, *folder.rglob("*")]:  # whatever the umask: the image's user reads all of it
        path.chmod(0o755 if path.is_dir() or path.name == "uv" else 0o644)
        os.utime(path, (TIME, TIME))


def _files(dockerfile: Path, root: Path, arguments: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    text = dockerfile.read_text()
    yield "Dockerfile", text.encode()
    if "install.sh" in text:
        yield "install.sh", (root / "images" / "install.sh").read_bytes()
        faiss = [arguments["FAISS"]] if "FAISS" in arguments else []
        yield "requirements.txt", requirements_of(dockerfile.parent.name, root, *faiss).encode()
    for source in re.findall(r"^COPY (\w+) ", text, re.MULTILINE):
        yield from _tree(root / source, root)


def _tree(folder: Path, root: Path) -> Iterator[tuple[str, bytes]]:
    if not folder.is_dir():
        raise ImageError(f"a Dockerfile copies {folder.name}, which is no folder of {root}")
    for path in folder.rglob("*"):
        inside = path.relative_to(root)
        if path.is_file() and not any(part == "__pycache__" or part.startswith(".") for part in inside.parts):
            yield inside.as_posix(), path.read_bytes()


def _tag(files: Mapping[str, bytes], arguments: Mapping[str, str], parent: str) -> str:
    """A name for the content. Neither the registry counts nor uv, which only puts in place what is pinned."""
    content = {
        "files": {name: hashlib.sha256(body).hexdigest() for name, body in files.items()},
        "arguments": dict(arguments),
        "parent": parent,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:TAG_LENGTH]
