"""A hub of datasets on this machine: what huggingface_hub asks of it, and files, the large ones by way of a CDN."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.fakes.web_server import Asked, Page, WebServer


@dataclass
class Revision:
    """The files of a commit, by path; those in `large` are stored in LFS."""

    files: Mapping[str, bytes]
    large: frozenset[str] = frozenset()


def refusal(status: int, code: str = "", **headers: str) -> Page:
    """The hub's way to refuse: a status, and a code in a header."""
    return Page(status=status, head_status=status, headers={"X-Error-Code": code, **headers})


class Hub(WebServer):
    """One dataset, `owner/name`, for HF_ENDPOINT; {commit: Revision}, and {branch: commit}.

    `instead` is answered to the next questions, and a download is cut as `cut_after` says. With a `cdn` large files
    are sent by that server, else by this one. `page_size` is the number of entries on a page of a listing.
    """

    dataset = "owner/name"

    def __init__(self, cdn: WebServer | None = None) -> None:
        super().__init__(plain=True)
        self.cdn = cdn or self
        self.commits: dict[str, Revision] = {}
        self.branches: dict[str, str] = {}
        self.instead: list[Page] = []
        self.cut_after: list[int] = []
        self.page_size = 1000

    def page(self, asked: Asked, body: bytes) -> Page:
        if self.instead:
            return self.instead.pop(0)
        match unquote(urlsplit(asked.path).path).split("/")[1:]:
            case ["api", "datasets", owner, name, "revision", revision] if f"{owner}/{name}" == self.dataset:
                return self._info(revision)
            case ["api", "datasets", owner, name, "paths-info", commit] if f"{owner}/{name}" == self.dataset:
                paths = parse_qs(body.decode())["paths"]
                return self._entries(asked, commit, lambda path: path in paths)
            case ["api", "datasets", owner, name, "tree", commit, *folder] if f"{owner}/{name}" == self.dataset:
                start = "".join(f"{part}/" for part in folder)
                return self._entries(asked, commit, lambda path: path.startswith(start))
            case ["datasets", owner, name, "resolve", commit, *path] if f"{owner}/{name}" == self.dataset:
                return self._file(commit, "/".join(path))
            case ["cdn", _] if self.cdn is self:
                return self.pages[asked.path]
        return refusal(404, "RepoNotFound")

    def _info(self, revision: str) -> Page:
        commit = self.branches.get(revision, revision)
        if commit not in self.commits:
            return refusal(404, "RevisionNotFound")
        return _json({"id": self.dataset, "sha": commit, "private": False, "tags": [], "siblings": []})

    def _entries(self, asked: Asked, commit: str, wanted: Any) -> Page:
        if commit not in self.commits:
            return refusal(404, "RevisionNotFound")
        revision = self.commits[commit]
        found = [_entry(path, body, path in revision.large) for path, body in revision.files.items() if wanted(path)]
        if asked.method == "POST":
            return _json(found)
        if not found:
            return refusal(404, "EntryNotFound")
        start = int(parse_qs(urlsplit(asked.path).query).get("cursor", ["0"])[0])
        end = start + self.page_size
        path = asked.path.partition("?")[0]
        following = f'<{self.url}{path}?recursive=True&cursor={end}>; rel="next"'
        return _json(found[start:end], {"Link": following} if end < len(found) else {})

    def _file(self, commit: str, path: str) -> Page:
        revision = self.commits[commit]
        if path not in revision.files:
            return refusal(404, "EntryNotFound")
        body = revision.files[path]
        digest = hashlib.sha256(body).hexdigest()
        known = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        if path not in revision.large:
            return Page(body, f'"{_git_id(body)}"', headers=known, cut_after=self.cut_after)
        self.cdn.pages.setdefault(f"/cdn/{digest}", Page(body, f'"{digest}"', cut_after=self.cut_after))
        headers = {
            **known,
            "X-Linked-ETag": f'"{digest}"',
            "X-Linked-Size": str(len(body)),
            "X-Xet-Hash": digest,  # as the hub says it of everything large; who can, asks another service then
            "Location": f"{self.cdn.url}/cdn/{digest}",
        }
        return Page(status=302, head_status=302, headers=headers)


def _entry(path: str, body: bytes, large: bool) -> dict[str, Any]:
    digest = hashlib.sha256(body).hexdigest()
    lfs = {"lfs": {"oid": digest, "size": len(body), "pointerSize": 130}, "xetHash": digest} if large else {}
    return {"type": "file", "path": path, "size": len(body), "oid": _git_id(body), **lfs}


def _git_id(body: bytes) -> str:
    return hashlib.sha1(b"blob %d\0%b" % (len(body), body), usedforsecurity=False).hexdigest()


def _json(value: Any, headers: Mapping[str, str] | None = None) -> Page:
    return Page(json.dumps(value).encode(), headers={"Content-Type": "application/json", **(headers or {})})
