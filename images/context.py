"""What goes into an image's build, and the tag that follows from it.

Every stage of the graph has an image, and so has the controller; all are built from images/Dockerfile. What an image
installs is said by an extra of pyproject.toml, and its parent follows from that. The build context holds nothing else
than what goes into the image, so that nothing else can change its tag.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from images.errors import ImageError
from images.requirements import PARENTS, parent_of, requirements_of, requirements_of_parent
from jobs.catalog import STAGES

CONTROLLER = "controller"
ROOT = Path(__file__).resolve().parents[1]
TAG_LENGTH = 16
_FOLDERS = {"jobs": ("jobs",), "pipeline": ("jobs", "pipeline")}  # by module; planning needs the stages' specifications
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


def image_names() -> list[str]:
    """All images that are for running: every stage's, and the controller's."""
    return sorted([*(spec.name for spec in STAGES), CONTROLLER])


def plan(name: str, *, registry: str, settings: Mapping[str, str], root: Path = ROOT) -> Image:
    """The image of that name, a parent's too.

    `settings` may have BASE, the image that all stand on, and FAISS, the package to use for the one of the extra faiss.
    """
    if name == "python":
        base = {name: value for name, value in settings.items() if name == "BASE"}
        return _image(name, registry, None, base, _files(name, root))
    if name in PARENTS:
        parent = plan("python", registry=registry, settings=settings, root=root)
        return _image(name, registry, parent, {}, _files(name, root, requirements_of_parent(name, root)))
    if name not in image_names():
        raise ImageError(f"there is no image {name!r}; the images are {', '.join(image_names())}")
    module, extra = ("pipeline", "pipeline") if name == CONTROLLER else ("jobs", name)
    lines = requirements_of(extra, root, faiss=settings.get("FAISS", ""))
    parent = plan(parent_of(lines), registry=registry, settings=settings, root=root)
    return _image(name, registry, parent, {"MODULE": module}, _files(".", root, lines, _FOLDERS[module]))


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


def _image(
    name: str, registry: str, parent: Image | None, arguments: Mapping[str, str], files: Mapping[str, bytes]
) -> Image:
    return Image(
        name=name,
        repository=f"{registry}/{name}",
        tag=_tag(files, arguments, parent.tag if parent else ""),
        parent=parent,
        arguments={**arguments, **({"PARENT": parent.reference} if parent else {})},
        files=files,
    )


def _files(
    dockerfile: str, root: Path, requirements: Iterable[str] | None = None, folders: Iterable[str] = ()
) -> dict[str, bytes]:
    """The build context of the Dockerfile in this folder of images/; code and the licence, if there is one, in app/."""
    images = root / "images"
    found = {"Dockerfile": (images / dockerfile / "Dockerfile").read_bytes()}
    if requirements is not None:
        found["install.sh"] = (images / "install.sh").read_bytes()
        found["requirements.txt"] = "".join(f"{line}\n" for line in requirements).encode()
    for folder in folders:
        found |= {f"app/{name}": body for name, body in _tree(root / folder, root)}
    if folders and (root / "LICENSE").is_file():
        found["app/LICENSE"] = (root / "LICENSE").read_bytes()
    return dict(sorted(found.items()))


def _tree(folder: Path, root: Path) -> Iterator[tuple[str, bytes]]:
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
