"""Files of a dataset on the Hugging Face hub at one commit; they can be read and listed.

What there is says huggingface_hub. The bytes come by the same download as those of https://, into a temporary file that
is gone when it is closed. The library's own download knows no limit of size or time, sleeps for as long as a server
asks it to, and fills a cache on every node. Who may be asked, and with which token, comes from the environment alone:
HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE.
"""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Iterator
from typing import BinaryIO
from urllib.parse import unquote

from huggingface_hub import hf_hub_url
from huggingface_hub.hf_api import RepoFile

from jobs.errors import BadConfiguration, NotFound, StoreError
from jobs.shards.digests import sha256_of_file
from jobs.shards.download import WebFile, check_size, download
from jobs.shards.hub_api import HubApi
from jobs.shards.patience import Patience
from jobs.shards.store import Body, Downloads, ObjectStat, checked, spool, spooling
from jobs.shards.web_address import Access, parsed

_DATASET = re.compile(r"datasets/([\w-][\w.-]*/[\w-][\w.-]*)", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_VERSION = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")  # SHA-1 of git, or SHA-256
_SHA256_DIGITS = 64
_BLOCK = 1 << 20


def dataset_at(rest: str, *, patience_seconds: float, downloads: Downloads) -> HubFiles:
    """The files of `datasets/OWNER/NAME@COMMIT/FOLDER`; raises BadConfiguration where it is not written so.

    The error for a branch or a tag names the commit that it stands for, where the hub says it now.
    """
    repository, _, below = rest.partition("@")
    revision, _, folder = below.partition("/")
    found = _DATASET.fullmatch(repository)
    if not found:
        raise BadConfiguration(
            f"a dataset of the hub is hf://datasets/OWNER/NAME@COMMIT/PATH, with a commit of 40 digits; given hf://{rest}"
        )
    files = HubFiles(found[1], revision, folder, patience_seconds=patience_seconds, downloads=downloads)
    if not _COMMIT.fullmatch(revision):
        raise BadConfiguration(files.not_pinned())
    return files


class HubFiles:
    """The files of a dataset below a folder.

    A file's version is the SHA-256 of its content where the hub says it, which it does of large files, else its id in
    git. What the hub said once of a file holds for good, because the commit is fixed.
    """

    def __init__(
        self, dataset: str, commit: str, folder: str = "", *, patience_seconds: float = 0.0, downloads: Downloads
    ) -> None:
        self.url = f"hf://datasets/{dataset}@{commit}/{folder}".rstrip("/")
        self.dataset, self.commit, self.folder, self.downloads = dataset, commit, folder.strip("/"), downloads
        self._patience, self._api = Patience(patience_seconds), HubApi(dataset)
        self._known: dict[str, ObjectStat] = {}

    def at(self, path: str) -> HubFiles:
        below = copy.copy(self)
        below.url, below.folder, below._known = f"{self.url}/{path}", self._path(path), {}
        return below

    def read(self, name: str) -> Body:
        with self.open(name) as file:
            return Body(file.read(), self.version(name))

    def open(self, name: str) -> BinaryIO:
        stat = self._there(name)
        check_size(f"{self.url}/{name}", stat.size, self.downloads)
        endpoint = self._api.endpoint
        url = hf_hub_url(self.dataset, self._path(name), repo_type="dataset", revision=self.commit, endpoint=endpoint)
        access = Access(self.downloads.private_hosts, parsed(endpoint).origin, self._api.headers())
        file = spool()
        with spooling():
            download(WebFile(url, stat.size, pinned=True), file, access, self.downloads, self._patience)
            self._check(name, stat, file)
            file.seek(0)
        return file

    def stat(self, name: str) -> ObjectStat | None:
        if name not in self._known:
            entry = self._api.entry(f"{self.url}/{name}", self.commit, self._path(name), self._patience)
            if entry is None:
                return None
            self._known[name] = self._stat(name, entry)
        return self._known[name]

    def version(self, name: str) -> str:
        return str(self._there(name).version)

    def list(self, prefix: str) -> Iterator[ObjectStat]:
        start = f"{self.folder}/" if self.folder else ""
        entries = self._api.entries(self.url, self.commit, self.folder, self._patience)
        found = [self._stat(entry.path.removeprefix(start), entry) for entry in entries]
        self._known.update((stat.name, stat) for stat in found)
        return iter(sorted((one for one in found if one.name.startswith(prefix)), key=lambda one: one.name))

    def not_pinned(self) -> str:
        """Why the revision cannot be used, and the commit to write in its place where the hub says it now."""
        required = f"{self.url}: a commit of 40 digits is required, since a branch or a tag may change"
        if not self.commit:
            return f"{required}; write hf://datasets/{self.dataset}@COMMIT/{self.folder}"
        try:
            commit = self._api.commit_of(unquote(self.commit))
        except (StoreError, BadConfiguration) as error:
            return f"{required}; which it is now cannot be said ({error})"
        return f"{required}; pin it: hf://datasets/{self.dataset}@{commit}/{self.folder}"

    def _stat(self, name: str, entry: RepoFile) -> ObjectStat:
        size, version = entry.size, entry.lfs.sha256 if entry.lfs else entry.blob_id
        if not (isinstance(size, int) and size >= 0 and _VERSION.fullmatch(str(version))):
            raise StoreError(
                f"{self.url}/{name}: the hub says {size!a} bytes and the digest {version!a}, which are none"
            )
        return ObjectStat(name, size, version=version)

    def _there(self, name: str) -> ObjectStat:
        stat = self.stat(name)
        if stat is None:
            raise NotFound(f"{self.url}/{name} does not exist")
        return stat

    def _path(self, name: str) -> str:
        return checked(f"{self.folder}/{name}" if self.folder else name)

    def _check(self, name: str, stat: ObjectStat, file: BinaryIO) -> None:
        """Raises StoreError unless the bytes are those that the version stands for."""
        file.seek(0)
        found = sha256_of_file(file) if len(str(stat.version)) == _SHA256_DIGITS else _git_id(file, stat)
        if found != stat.version:
            raise StoreError(
                f"{self.url}/{name}: the digest of what came is {found[:16]}…, the hub's is {str(stat.version)[:16]}…; "
                "it was damaged on its way, try again"
            )


def _git_id(file: BinaryIO, stat: ObjectStat) -> str:
    """What git names a file of this content."""
    digest = hashlib.sha1(b"blob %d\0" % stat.size, usedforsecurity=False)
    while block := file.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest()
