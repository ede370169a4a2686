"""The SVG files of Debian's package openclipart-svg, read out of the package or from a folder."""

from __future__ import annotations

import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from jobs.errors import BadConfiguration, BadData, I2PError
from jobs.shards.digests import sha256_of_file

NAME = "openclipart-svg"
VERSION = "1:0.18+dfsg-19"
SHA256 = "989712d90d57dfa3230049f553bb43b76c30ee4d4b8c5f6e106e33f7db5cbdc5"

_INSIDE = "usr/share/openclipart/svg/"
_MOST_BYTES = 8 << 20  # of a file; the largest of the known version has 1.7 MB


@dataclass(frozen=True, slots=True)
class Pictures:
    """The pictures of a package or folder."""

    digest: str | None  # SHA-256 of the package
    names: list[str]  # of the SVG files, sorted: paths from the folder that holds them all
    links: list[str]  # other names of these, sorted
    read: Callable[[], Iterator[tuple[str, bytes]]]  # each name with its bytes, in any order


def download(folder: Path) -> Path:
    """The package, downloaded into the folder by apt-get, from where this machine is set up to take packages.

    Raises BadConfiguration where there is no apt-get, I2PError where it fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        subprocess.run(["apt-get", "download", NAME], cwd=folder, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise BadConfiguration(
            "apt-get, which downloads the pictures, is required and is not here: unpack Debian's package "
            f"{NAME} {VERSION} elsewhere, and give its folder with --svg FOLDER"
        ) from error
    except subprocess.CalledProcessError as error:
        raise I2PError(
            f"`apt-get download {NAME}` failed, where `apt-get update` may help: {error.stderr.strip()}"
        ) from error
    return max(folder.glob(f"{NAME}_*.deb"), key=lambda path: path.stat().st_mtime)


def pictures_of_package(path: Path, *, any_version: bool = False) -> Pictures:
    """The pictures of a package; raises BadData for another version than the known one unless any may be taken."""
    with path.open("rb") as file:
        digest = sha256_of_file(file)
    if digest != SHA256 and not any_version:
        raise BadData(
            f"{path} has the SHA-256 {digest}, and that of version {VERSION} is {SHA256}: give --any-version to take "
            "another version, whose pictures may be others"
        )
    with _members(path) as members:
        found = [(member.name, member.isfile()) for member in members if _is_picture(member)]
    names, links = (sorted(_short(name) for name, whole in found if whole == wanted) for wanted in (True, False))

    def read() -> Iterator[tuple[str, bytes]]:
        with _members(path) as members:
            for member in members:
                if _is_picture(member) and member.isfile():
                    content = members.extractfile(member)
                    yield _short(member.name), _whole(content, member.name) if content else b""

    return Pictures(digest, names, links, read)


def pictures_of_folder(folder: Path) -> Pictures:
    """The pictures of an unpacked package: all SVG files below the folder; raises BadConfiguration where none are."""
    paths = sorted(folder.rglob("*.svg"))
    names, links = (
        sorted(path.relative_to(folder).as_posix() for path in paths if path.is_symlink() == linked)
        for linked in (False, True)
    )
    if not names:
        raise BadConfiguration(f"{folder} has no SVG files; the folder of an unpacked {NAME} is required")

    def read() -> Iterator[tuple[str, bytes]]:
        for name in names:
            with (folder / name).open("rb") as file:
                yield name, _whole(file, name)

    return Pictures(None, names, links, read)


@contextmanager
def _members(path: Path) -> Iterator[tarfile.TarFile]:
    """The package's files, as a stream of which nothing is written to a disk."""
    try:
        process = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(path)], stdout=subprocess.PIPE)
    except FileNotFoundError as error:
        raise BadConfiguration(
            f"dpkg-deb, which unpacks {path}, is required and is not here: give an unpacked package with --svg FOLDER"
        ) from error
    try:
        with tarfile.open(fileobj=process.stdout, mode="r|") as members:
            yield members
    except tarfile.TarError as error:
        raise BadData(f"{path} is no whole package: {error}") from error
    finally:
        process.kill()
        process.communicate()


def _is_picture(member: tarfile.TarInfo) -> bool:
    return member.name.endswith(".svg") and (member.isfile() or member.issym())


def _short(name: str) -> str:
    return name.removeprefix("./").removeprefix(_INSIDE)


def _whole(file: IO[bytes], name: str) -> bytes:
    data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise BadData(f"{name} is larger than {_MOST_BYTES:,} bytes, which no picture of the known package is")
    return data
