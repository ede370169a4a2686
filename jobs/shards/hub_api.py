"""What the hub says of a dataset, by huggingface_hub, whose errors become ours."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import httpx2
from huggingface_hub import HfApi, constants, get_session
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile

from jobs.errors import BadConfiguration, NotFound, StoreAway, StoreError
from jobs.shards.patience import Patience
from jobs.shards.web import CONNECT_SECONDS, IDLE_SECONDS, persistently, status_error

_ENDPOINT, _TOKEN = "HF_ENDPOINT", "HF_TOKEN"
_SECONDS = {"connect": CONNECT_SECONDS, "read": IDLE_SECONDS, "write": IDLE_SECONDS, "pool": IDLE_SECONDS}

T = TypeVar("T")


class HubApi:
    """Questions about one dataset; each is asked with what the environment says then."""

    def __init__(self, dataset: str) -> None:
        self.dataset = dataset

    @property
    def endpoint(self) -> str:
        """The hub's address."""
        return (os.environ.get(_ENDPOINT) or constants.ENDPOINT).rstrip("/")

    def headers(self) -> dict[str, str]:
        """What shows the hub who asks, if anybody."""
        token = os.environ.get(_TOKEN)
        return {"Authorization": f"Bearer {token}"} if token else {}

    def entry(self, where: str, commit: str, path: str, patience: Patience) -> RepoFile | None:
        """What the hub says of one file; None where there is none of that path."""
        found = self._ask(
            where, patience, lambda api: api.get_paths_info(self.dataset, [path], revision=commit, repo_type="dataset")
        )
        return next((one for one in found if isinstance(one, RepoFile) and one.path == path), None)

    def entries(self, where: str, commit: str, folder: str, patience: Patience) -> list[RepoFile]:
        """What it says of all files below a folder; none where there is no such folder."""
        options: Any = {"revision": commit, "repo_type": "dataset", "recursive": True}
        try:
            found = self._ask(
                where, patience, lambda api: list(api.list_repo_tree(self.dataset, folder or None, **options))
            )
        except NotFound:
            return []
        return [one for one in found if isinstance(one, RepoFile)]

    def commit_of(self, revision: str) -> str:
        """The commit that a branch or a tag stands for now."""
        where = f"{self.endpoint}/datasets/{self.dataset}"
        info = self._ask(where, Patience(0.0), lambda api: api.dataset_info(self.dataset, revision=revision))
        return str(info.sha)

    def _ask(self, where: str, patience: Patience, question: Callable[[HfApi], T]) -> T:
        return persistently(where, patience, partial(self._ask_once, where, question))

    def _ask_once(self, where: str, question: Callable[[HfApi], T]) -> T:
        with self._translated(where):
            limit_seconds = get_session().event_hooks["request"]
            if _limit_seconds not in limit_seconds:
                limit_seconds.append(_limit_seconds)
            return question(HfApi(endpoint=self.endpoint, token=os.environ.get(_TOKEN) or False))

    @contextmanager
    def _translated(self, where: str) -> Iterator[None]:
        page = f"{self.endpoint}/datasets/{self.dataset}"
        try:
            yield
        except OfflineModeIsEnabled as error:
            raise BadConfiguration(
                f"{where}: the hub is not asked, because HF_HUB_OFFLINE is set; unset it, or name a copy of the file"
            ) from error
        except GatedRepoError as error:
            raise BadConfiguration(
                f"{where}: the dataset is given to those who accept its terms; accept them at {page}, and set {_TOKEN}"
            ) from error
        except RepositoryNotFoundError as error:
            raise BadConfiguration(
                f"{where}: there is no dataset at {page}, or it is private and {_TOKEN} does not open it"
            ) from error
        except RevisionNotFoundError as error:
            raise BadConfiguration(f"{where}: the dataset has no such revision; see {page}/commits") from error
        except EntryNotFoundError as error:
            raise NotFound(f"{where} does not exist") from error
        except HfHubHTTPError as error:
            status = error.response.status_code
            raise status_error(status, error.response.headers, where) or StoreError(f"{where}: {error}") from error
        except httpx2.HTTPError as error:
            raise StoreAway(f"{where}: {self.endpoint} does not answer ({error})") from error
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise StoreError(f"{where}: the answer is none of the hub's ({type(error).__name__}: {error})") from error


def _limit_seconds(request: httpx2.Request) -> None:
    """For the questions of huggingface_hub, some of which wait for an answer without end."""
    request.extensions["timeout"] = _SECONDS
