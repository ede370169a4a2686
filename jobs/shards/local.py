"""The store in a local folder: a hard link creates, a lock guards replacing, and readers see whole files only."""

from __future__ import annotations

import errno
import fcntl
import io
import os
import shutil
import stat
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from jobs.errors import BadConfiguration, NotFound, StoreError
from jobs.shards.digests import sha256, sha256_of_file
from jobs.shards.store import UNFINISHED, Body, ObjectStat, checked, part, translate_full_disk

_BLOCK = 1 << 20
_LOCK = "lock"
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTSUP)


class LocalStore:
    """Objects as files below `root`; made for several processes of one machine (or one POSIX file system)."""

    endpoint = "local"

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self.url = str(root)

    def at(self, path: str) -> LocalStore:
        return LocalStore(self.root / checked(path))

    def read(self, name: str) -> Body:
        with self._errors(name):
            data = self._path(name).read_bytes()
        digest = sha256(data)
        return Body(data, digest, digest)

    def open(self, name: str) -> BinaryIO:
        with self._errors(name):
            return self._path(name).open("rb")

    def read_part(self, name: str, start: int, size: int) -> bytes:
        with self.open(name) as file:
            file.seek(start)
            return part(file.read(size), size, f"{self.url}/{name}")

    def stat(self, name: str) -> ObjectStat | None:
        try:
            with self._errors(name):
                found = self._path(name).stat()
        except NotFound:
            return None
        return _stat(name, found) if stat.S_ISREG(found.st_mode) else None

    def version(self, name: str) -> str:
        with self._errors(name):
            return _digest(self._path(name))

    def holds(self, name: str, *, size: int, sha256: str) -> bool:
        try:
            found = self.stat(name)
            return found is not None and found.size == size and self.version(name) == sha256
        except NotFound:  # deleted since
            return False

    def list(self, prefix: str) -> Iterator[ObjectStat]:
        folder, slash, start = prefix.rpartition("/")
        with self._errors(prefix):
            found = list(_walk(self._path(folder) if folder else self.root, folder + slash, start))
        return iter(sorted(found, key=lambda found: found.name))  # by code points, which is S3's order of UTF-8 bytes

    def folders(self) -> Sequence[str]:
        try:
            with self._errors("."), os.scandir(self.root) as entries:
                return sorted(one.name for one in entries if one.name != UNFINISHED and one.is_dir())
        except NotFound:
            return []

    def create(self, name: str, body: bytes | BinaryIO) -> bool:
        path, source = self._path(name), _file(body)
        with self._errors(name):
            while True:
                if path.is_dir():
                    raise StoreError(f"{path} cannot be created: there is a folder of that name; choose another store")
                try:
                    if path.exists():
                        return _same(path, source)
                except FileNotFoundError:  # deleted since
                    continue
                with self._written(path, source) as unfinished:
                    try:
                        os.link(unfinished, path)
                    except FileExistsError:
                        continue
                _sync(path.parent)
                return True

    def replace(self, name: str, body: bytes | BinaryIO, *, version: str) -> bool:
        path, source = self._path(name), _file(body)
        with self._errors(name):
            if not path.is_file():
                return False
            with self._written(path, source) as unfinished, _locked(path):
                if not path.is_file() or _digest(path) != version:
                    return False
                unfinished.replace(path)
            _sync(path.parent)
            return True

    def put(self, name: str, body: bytes) -> None:
        path = self._path(name)
        with self._errors(name):
            with self._written(path, _file(body)) as unfinished, _locked(path):
                unfinished.replace(path)
            _sync(path.parent)

    def delete(self, name: str) -> None:
        path = self._path(name)
        with self._errors(name):
            if path.is_file():
                with _locked(path):  # else a replacement that found its version could follow a deletion and a creation
                    path.unlink(missing_ok=True)

    def sweep(self) -> None:
        with self._errors("."):
            for path in self.root.glob(f"**/{UNFINISHED}/*-*"):
                _unlink_unless_locked(path)

    def clear(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)

    def tidy(self) -> None:
        """Remove the folders for unfinished files, and empty ones: for a folder that nobody writes to any more."""
        for folder, _, _ in os.walk(self.root, topdown=False):
            path = Path(folder)
            if path.name == UNFINISHED:
                shutil.rmtree(path, ignore_errors=True)
            elif path != self.root:
                with suppress(OSError):  # it is not empty
                    path.rmdir()

    def without_patience(self) -> LocalStore:
        return self  # which has none

    def own_checks(self, *, quick: bool) -> Sequence[tuple[str, Callable[[], str]]]:
        return ()

    def _path(self, name: str) -> Path:
        return self.root / checked(name)

    @contextmanager
    def _written(self, path: Path, source: BinaryIO) -> Iterator[Path]:
        """The source's bytes in a synced file next to `path`, locked while its writer lives, gone afterwards."""
        try:
            folder = _unfinished_folder(path)
        except (FileExistsError, NotADirectoryError) as error:
            raise StoreError(
                f"{path} cannot be created: a part of it above is a file, not a folder; choose another "
                "store, or move that file away"
            ) from error
        with _new_file(folder) as file:
            unfinished = Path(file.name)
            try:
                source.seek(0)
                while block := source.read(_BLOCK):
                    file.write(block)
                file.flush()
                os.fsync(file.fileno())
                yield unfinished
            finally:
                unfinished.unlink(missing_ok=True)

    @contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        where = self.root / name
        try:
            with translate_full_disk(self.root):
                yield
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise NotFound(f"{where} does not exist, or is not a file") from error
        except OSError as error:
            if error.errno in _FORBIDDEN:
                raise BadConfiguration(
                    f"{where}: {error.strerror}; the store needs a folder that may be written to, on a file "
                    "system with hard links and locks"
                ) from error
            raise StoreError(f"{where}: {error.strerror or error}") from error


def _walk(folder: Path | str, prefix: str, start: str) -> Iterator[ObjectStat]:
    """The files below a folder whose names begin with `start`; `prefix` is the folder's name in the store."""
    try:
        entries = os.scandir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return
    with entries:
        for entry in entries:
            if entry.name == UNFINISHED or not entry.name.startswith(start):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path, f"{prefix}{entry.name}/", "")
            elif entry.is_file():
                try:
                    yield _stat(prefix + entry.name, entry.stat())
                except FileNotFoundError:  # deleted since
                    continue


def _stat(name: str, found: os.stat_result) -> ObjectStat:
    return ObjectStat(name, found.st_size, modified=found.st_mtime)


def _unfinished_folder(path: Path) -> Path:
    """The folder for files on their way to `path`, with its lock, so that deleting from a full disk needs no space."""
    folder = path.parent / UNFINISHED
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _LOCK).touch()
    return folder


def _new_file(folder: Path) -> BinaryIO:
    """A new file, open and locked: `sweep` leaves locked ones alone, and a lock ends with its process."""
    while True:
        file = (folder / f"{os.getpid()}-{uuid.uuid4().hex}").open("xb")
        fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()  # swept in the moment before it was locked


def _unlink_unless_locked(path: Path) -> None:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
    except (BlockingIOError, FileNotFoundError):
        pass  # its writer lives, or has just finished


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep others from replacing or deleting what is in the folder of `path`."""
    with (_unfinished_folder(path) / _LOCK).open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _file(body: bytes | BinaryIO) -> BinaryIO:
    return io.BytesIO(body) if isinstance(body, bytes) else body


def _same(path: Path, source: BinaryIO) -> bool:
    if path.stat().st_size != source.seek(0, io.SEEK_END):
        return False
    source.seek(0)
    return _digest(path) == sha256_of_file(source)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return sha256_of_file(file)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
