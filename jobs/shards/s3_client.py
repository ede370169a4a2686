"""The way to one bucket: the client of this process, and short requests that may be sent any number of times."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from jobs.errors import BadConfiguration, I2PError, NotFound
from jobs.shards.patience import Patience, pause
from jobs.shards.s3_errors import Away, BrokenOff, is_untold, translate_boto_errors
from jobs.shards.s3_replies import Pages, check_head, check_page

TRIES = 10  # without progress, full-jitter waits in between: about 20 seconds
CONNECTIONS = 16
_Check = Callable[[str, Mapping[str, Any]], object]


class Connection:
    """Shared by all stores of one bucket that were opened together, by threads, and by forked processes."""

    def __init__(self, bucket: str, *, timeout_seconds: float, patience_seconds: float) -> None:
        self.bucket, self.timeout_seconds, self.patience = bucket, timeout_seconds, Patience(patience_seconds)
        self._clients: dict[int, Any] = {}
        self._bucket_is_there = False
        self.etags_are_md5 = True  # until an object proves that they are not
        _ = self.client  # so that wrong settings show at once

    @property
    def client(self) -> Any:
        """The boto3 client of this process: connections must not be shared with a parent that forked."""
        if os.getpid() not in self._clients:
            config = Config(
                retries={"mode": "standard", "total_max_attempts": TRIES},
                connect_timeout=min(10, self.timeout_seconds),
                read_timeout=self.timeout_seconds,
                max_pool_connections=CONNECTIONS,
                tcp_keepalive=True,
            )
            try:
                self._clients[os.getpid()] = boto3.session.Session().client("s3", config=config)
            except (BotoCoreError, ValueError) as error:
                raise BadConfiguration(
                    f"s3://{self.bucket}: {error}; correct the AWS settings of this machine"
                ) from error
        return self._clients[os.getpid()]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_clients": {}}

    def without_patience(self) -> Connection:
        """The same way for requests that do not wait for a service that is away."""
        impatient = copy.copy(self)
        impatient._clients, impatient.patience = self._clients, Patience(0.0)  # a client is costly to make
        return impatient

    @contextmanager
    def translating_errors(self, where: str) -> Iterator[None]:
        """`translate_boto_errors`, with a missing bucket apart from a missing object, which some servers do not do."""
        try:
            with translate_boto_errors(where):
                yield
            self._bucket_is_there = True
        except NotFound:
            if not self._bucket_is_there:
                self._bucket_is_there = self._look_for_bucket()
            raise

    def answer(self, where: str, ask: Callable[[], dict[str, Any]], check: _Check) -> dict[str, Any]:
        """A short reply to a request that may be sent any number of times, after a check."""
        tries = 0
        with self.patience.waiting(where) as wait:
            while True:
                try:
                    with self.translating_errors(where):
                        reply = ask()
                        check(where, reply)
                        return reply
                except BrokenOff as error:
                    tries += 1
                    if tries < TRIES:
                        pause(tries)
                        continue
                    last: Away = BrokenOff(f"{where}: the reply broke off {TRIES} times, at last by: {error}")
                except Away as error:
                    last = error
                tries = 0
                wait.out(last)

    def head(self, where: str, target: Mapping[str, str]) -> dict[str, Any] | None:
        """What the server says of an object without sending it, or None where there is none."""
        try:
            return self.answer(where, partial(self.client.head_object, **target), check_head)
        except NotFound:
            return None
        except I2PError as error:
            if is_untold(error):  # a refusal of HEAD has no body, and so no code
                self.answer(where, partial(self._first_byte, **target), lambda *_: None)
            raise

    def pages(
        self, where: str, ask: Callable[..., dict[str, Any]], markers: Mapping[str, str], entries: str
    ) -> Iterator[dict[str, Any]]:
        """All pages of a listing; `markers` names where the next request's stand in the last reply."""
        going_on, after = Pages(where, markers), dict[str, str]()
        while True:
            page = self.answer(where, partial(ask, **after), check_page)
            yield page
            found = going_on.after(page, empty=not page.get(entries))
            if found is None:
                return
            after = found

    def _first_byte(self, **target: str) -> dict[str, Any]:
        reply: dict[str, Any] = self.client.get_object(**target, Range="bytes=0-0")
        reply["Body"].close()
        return reply

    def _look_for_bucket(self) -> bool:
        """Whether the bucket is known to be there; raises BadConfiguration where it is not."""
        try:
            with translate_boto_errors(f"s3://{self.bucket}"):
                self.client.head_bucket(Bucket=self.bucket)
        except NotFound as error:
            raise BadConfiguration(
                f"s3://{self.bucket}: there is no such bucket; create it, or correct the store's address"
            ) from error
        except I2PError:  # may not be asked, or nobody answers now: the first answer counts
            return False
        return True
