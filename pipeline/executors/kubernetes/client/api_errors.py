"""What can go wrong with a cluster, in one family, and how a server's refusal is put into words.

Only words that are safe to log are passed on: the server repeats whole objects in some messages (an immutable Pod
template with all its environment), so values that it quotes are cut out when they are long.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
from typing import Any, ClassVar

from jobs.errors import BadConfiguration, I2PError

_LONGEST_VALUE = 80  # characters of a value that the server quotes
_LONGEST_REASON = 600
_LONGEST_RETRY_AFTER = 300.0  # seconds that a Retry-After may ask for; more is taken for a mistake
_QUOTED = re.compile(r'((?:Invalid|Unsupported|Duplicate) value: )("(?:[^"\\]|\\.)*"|.*)(?=: )', re.DOTALL)
_LACKS = re.compile(r'cannot (\w+) resource "([^"]+)"')
_SCHEMA = ("field not declared in schema", "typed patch object", "strict decoding error")


class ClusterError(I2PError):
    """A cluster did not do what was asked of it."""

    answered: ClassVar[bool] = True  # the server is there and healthy, whatever it said


class Unreachable(ClusterError):
    """No usable answer: refused, reset, silent, overloaded or failing. A retry may fix it.

    `retry_in` is the number of seconds before which no request to this server is let through.
    """

    answered = False

    def __init__(self, message: str, retry_in: float = 0.0) -> None:
        super().__init__(message)
        self.retry_in = retry_in


class Untrusted(ClusterError, BadConfiguration):
    """What answers does not prove to be the server that the configuration names."""

    answered = False


class Forbidden(ClusterError, BadConfiguration):
    """The server does not allow it to this identity."""


class Unauthenticated(Forbidden):
    """The server does not accept the credentials."""


class Refused(ClusterError, BadConfiguration):
    """The server finds the request wrong; the same request is refused again."""


class Conflict(ClusterError):
    """What is there now stands in the way: changed since, another uid, quota used up. A retry may fix it."""


class Missing(ClusterError):
    """There is no object of that name. The client turns it into None or False."""


class Expired(ClusterError):
    """A version or a page is too old for the server. The client starts again."""


def from_answer(
    wanted: str, verb: str, target: tuple[str, str], code: int, body: bytes, retry_after: str | None
) -> ClusterError:
    """The error behind an answer that is not a success; `target` is the plural and the name that were asked for."""
    status = _status(body)
    found = status.get("details")
    details = found if isinstance(found, dict) else {}
    said = reason(status, details) or f"HTTP {code}, and not in the words of a Kubernetes API server"
    if code == 401:
        return Unauthenticated(
            f"{wanted}: the server does not accept the credentials ({said}); log in anew, or renew "
            f"the token or certificate that the kubeconfig names"
        )
    if code == 403:
        return _forbidden(wanted, verb, target[0], said)
    if code == 404 and target[1] and (details.get("kind"), details.get("name")) == target:
        return Missing(f"{wanted}: it does not exist")
    if code == 409:
        return Conflict(f"{wanted}: in conflict with what is there: {said}")
    if code == 410:
        return Expired(f"{wanted}: {said}")
    if code == 429 or (code >= 500 and not any(words in said for words in _SCHEMA)):
        # A field that the schema lacks comes as a plain 500 from server-side apply; every other 500 may pass.
        return Unreachable(
            f"{wanted}: the server answers {code}: {said}; if this stays, look at its health "
            f"(kubectl get --raw /readyz)",
            _retry_after(retry_after, details),
        )
    if 300 <= code < 400:
        return Unreachable(
            f"{wanted}: something answers with a redirect (HTTP {code}), which an API server does not; "
            f"look for a proxy or a log-in page in between"
        )
    return Refused(f"{wanted}: refused: {said}; correct what was asked for, the same request is refused again")


def from_exception(wanted: str, error: BaseException) -> ClusterError:
    """The error behind a connection that failed; says why without addresses of objects and without headers."""
    chain = list(_chain(error))
    if any(isinstance(link, ssl.SSLCertVerificationError) for link in chain):
        why = next(link.verify_message for link in chain if isinstance(link, ssl.SSLCertVerificationError))
        return Untrusted(
            f"{wanted}: the server's certificate cannot be trusted: {why}; check the server's address and "
            f"the certificate authority in the kubeconfig"
        )
    return Unreachable(
        f"{wanted}: {_why(chain)}; if this stays, check the server's address, the network and that the API server runs"
    )


def reason(status: dict[str, Any], details: dict[str, Any]) -> str:
    """A Status object in words: its causes with their fields where it has any, else its message."""
    causes = [cause for cause in details.get("causes") or () if isinstance(cause, dict)]
    said = [": ".join(filter(None, [cause.get("field"), _short(str(cause.get("message", "")))])) for cause in causes]
    text = "; ".join(filter(None, dict.fromkeys(said))) or _short(str(status.get("message") or ""))
    return text if len(text) <= _LONGEST_REASON else text[:_LONGEST_REASON] + " …"


def _short(text: str) -> str:
    return _QUOTED.sub(lambda match: match[1] + (match[2] if len(match[2]) <= _LONGEST_VALUE else "…"), text)


def _status(body: bytes) -> dict[str, Any]:
    try:
        status = json.loads(body)
    except ValueError:
        return {}
    return status if isinstance(status, dict) and status.get("kind") == "Status" else {}


def _forbidden(wanted: str, verb: str, plural: str, said: str) -> ClusterError:
    if lacks := _LACKS.search(said):
        return Forbidden(
            f"{wanted}: not allowed: the verb {lacks[1]!r} on {lacks[2]!r} is required, and no Role gives "
            f"it ({said}); grant it, or use a context that has it"
        )
    if "exceeded quota" in said:
        return Conflict(f"{wanted}: {said}; free some of the quota or raise it")
    return Forbidden(
        f"{wanted}: the server forbids {verb!r} on {plural!r}: {said}; remove what forbids it or ask for "
        f"something that is allowed"
    )


def _retry_after(retry_after: str | None, details: dict[str, Any]) -> float:
    """Seconds that the server wants to be left alone; a date, which no API server sends, counts as none."""
    for given in (retry_after, details.get("retryAfterSeconds")):
        if given is not None and str(given).strip().isdecimal():
            return min(float(given), _LONGEST_RETRY_AFTER)
    return 0.0


def _chain(error: BaseException | None) -> Any:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        inner = [argument for argument in error.args if isinstance(argument, BaseException)]
        error = inner[0] if inner else error.__cause__ or error.__context__


def _why(chain: list[BaseException]) -> str:
    names = {type(link).__name__ for link in chain}
    if names & {"NameResolutionError", "gaierror"}:
        return "the name of the server does not resolve"
    if "ConnectTimeoutError" in names:
        return "nothing takes the connection in time"
    if names & {"ReadTimeoutError", "TimeoutError"} or any(isinstance(link, socket.timeout) for link in chain):
        return "the connection stands, but no answer comes in time"
    for link in reversed(chain):
        if isinstance(link, OSError) and (words := link.strerror or ""):
            return words[0].lower() + words[1:]
    return f"the connection broke off ({type(chain[-1]).__name__})"
