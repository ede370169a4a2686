"""Requests to web servers: no address that is not public, few redirections, and an end after so many seconds.

A host's name is looked up once, and the address that was looked at is the one that is connected to, with the name for
the certificate: a name that stands for another address a moment later leads nowhere. Proxies are not used: behind one
nobody knows which address is asked.
"""

from __future__ import annotations

import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import TypeVar

from urllib3 import BaseHTTPResponse
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from jobs.errors import BadConfiguration, I2PError, NotFound, StoreAway, StoreError
from jobs.shards.patience import Patience, pause
from jobs.shards.web_address import Access, WebAddress, addresses_of, parsed, redirected

TRIES = 10  # without progress, with waits in between: about 20 seconds
CONNECT_SECONDS = 10.0
IDLE_SECONDS = 60.0
_REDIRECTS = 5
_REDIRECTED = (301, 302, 303, 307, 308)
_GONE = (404, 410)
_REFUSED = (401, 402, 403, 407, 451)
_LATER = (408, 425, 429)
_SERVER_ERROR = 500
_BLOCK = 1 << 20

T = TypeVar("T")


@contextmanager
def reply_to(
    method: str, url: str, headers: Mapping[str, str], access: Access, deadline: float
) -> Generator[BaseHTTPResponse]:
    """The reply to a request, whatever its status, after redirections; its body is read by `blocks`.

    At `deadline`, by time.monotonic(), the connection is cut. Raises BadConfiguration for what is not asked, StoreAway
    where there is no answer.
    """
    address = parsed(url)
    for _ in range(_REDIRECTS + 1):
        with _connected(address, access, deadline, url) as connection:
            with _translated(url):
                _send(connection, method, address, headers, access)
                reply = connection.getresponse()
            if reply.status not in _REDIRECTED:
                yield reply
                return
            address = redirected(address, reply.headers.get("Location"), url)
    raise BadConfiguration(f"{url}: more than {_REDIRECTS} redirections, at last to {address}; correct the address")


def blocks(reply: BaseHTTPResponse, where: str) -> Iterator[bytes]:
    """The bytes of the reply's body as they come; raises StoreAway when it breaks off."""
    while True:
        with _translated(where):
            block = reply.read1(_BLOCK)
        if not block:
            return
        yield block


def check_status(reply: BaseHTTPResponse, where: str) -> None:
    """Raises the error that the status of a reply stands for: NotFound, BadConfiguration, StoreAway, StoreError."""
    if error := status_error(reply.status, reply.headers, where):
        raise error


def status_error(status: int, headers: Mapping[str, str], where: str) -> I2PError | None:
    """The error that the status of a reply stands for; None for those of success."""
    if status in (200, 206):
        return None
    if status in _GONE:
        return NotFound(f"{where} does not exist")
    if status in _REFUSED:
        return BadConfiguration(f"{where}: the server does not give it to everyone ({status}); download it yourself")
    if status in _LATER or status >= _SERVER_ERROR:
        away = StoreAway(f"{where}: the server does not answer now ({status}); try again later")
        away.retry_in = _seconds_to_wait(headers.get("Retry-After", ""))
        return away
    return StoreError(f"{where}: the server answers {status}, which is not understood")


def persistently(where: str, patience: Patience, ask: Callable[[], T], progress: Callable[[], int] = lambda: 0) -> T:
    """What `ask` gives. It is called again when it raises StoreAway: a few times, then for as long as the patience.

    Tries after which `progress` gives more than before do not count.
    """
    furthest, tries = 0, 0
    with patience.waiting(where) as wait:
        while True:
            try:
                return ask()
            except StoreAway as error:
                last = error
            if progress() > furthest:
                furthest, tries = progress(), 0
                wait.end()
            tries += 1
            if tries < TRIES and not last.retry_in:
                pause(tries)
            else:
                wait.out(last)
                tries = 0


@contextmanager
def _connected(address: WebAddress, access: Access, deadline: float, where: str) -> Iterator[HTTPConnection]:
    """A connection to the host, which ends with the block."""
    with _translated(where):
        connection = _connect(address, addresses_of(address, access, where))
    connection.timeout = IDLE_SECONDS
    watch = threading.Timer(max(0.0, deadline - time.monotonic()), _cut, [connection.sock])
    watch.daemon = True
    watch.start()
    try:
        yield connection
    finally:
        watch.cancel()
        connection.close()


def _connect(address: WebAddress, addresses: list[str]) -> HTTPConnection:
    """A connection to the first of the addresses that takes one."""
    for last, one in enumerate(addresses, 1):
        connection = (
            HTTPSConnection(
                one,
                address.port,
                timeout=CONNECT_SECONDS,
                ssl_context=ssl.create_default_context(),
                server_hostname=address.host,
            )
            if address.scheme == "https"
            else HTTPConnection(one, address.port, timeout=CONNECT_SECONDS)
        )
        try:
            connection.connect()
            return connection
        except (HTTPError, OSError):
            connection.close()
            if last == len(addresses):
                raise
    raise OSError("the name has no address")


def _send(
    connection: HTTPConnection, method: str, address: WebAddress, headers: Mapping[str, str], access: Access
) -> None:
    sent = {
        "Host": address.authority,
        "User-Agent": "image-to-prompts",
        "Accept-Encoding": "identity",
        **headers,
        **(access.headers if address.origin == access.trusted else {}),
    }
    connection.request(method, address.target, headers=sent, preload_content=False, decode_content=False)


def _cut(connected: socket.socket) -> None:
    """Wake whatever reads from the connection or writes to it, with an error."""
    with suppress(OSError):
        socket.socket.shutdown(connected, socket.SHUT_RDWR)  # not TLS's own, which is not for two threads


@contextmanager
def _translated(where: str) -> Iterator[None]:
    """Makes what can happen to a connection an error of ours."""
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise BadConfiguration(
            f"{where}: the server's certificate is not accepted ({error.verify_message}); correct the address, or name "
            "the certificates to trust in SSL_CERT_FILE"
        ) from error
    except (HTTPError, HTTPException, OSError, ValueError) as error:
        raise StoreAway(f"{where}: {error}") from error


def _seconds_to_wait(text: str) -> float:
    """What Retry-After says, seconds or a date; 0 where it says nothing that is understood."""
    if re.fullmatch(r"\d{1,9}", text, re.ASCII):
        return float(text)
    with suppress(ValueError, TypeError, OverflowError):
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    return 0.0
