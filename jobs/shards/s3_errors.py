"""What boto3 raises, as this project's errors: what a retry can fix, and what someone must correct."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004, botocore's own, which is not a built-in one
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
)
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from jobs.errors import BadConfiguration, I2PError, NotFound, StoreAway, StoreError, StoreFull

_NOT_UNDERSTOOD = (
    ResponseParserError,
    LookupError,
    AttributeError,
    TypeError,
    ValueError,
    ArithmeticError,
    RuntimeError,
)
_CONFLICTS = ("ConditionalRequestConflict", "OperationAborted")  # 409 with other codes does not pass by itself
_FULL = ("QuotaExceeded", "InsufficientCapacity", "InsufficientStorage", "XMinioStorageFull", "EntityTooLargeQuota")
_ELSEWHERE = ("PermanentRedirect", "AuthorizationHeaderMalformed", "InvalidBucketName", "KeyTooLongError")
_ARCHIVED = ("InvalidObjectState", "ObjectNotInActiveTierError")
_EXPIRED = ("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired")
_SKEWED = ("RequestTimeTooSkewed", "RequestInTheFuture")
_LATER = (
    "SlowDown",
    "RequestTimeout",
    "ServiceUnavailable",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
    "RequestLimitExceeded",
    "InternalError",
)
_TOO_MANY, _TIMED_OUT = 429, 408
_REDIRECTED = range(300, 400)
_SERVER_ERROR = 500
_NOT_IMPLEMENTED = 501
_INSUFFICIENT_STORAGE = 507


class Unmet(StoreError):
    """The object is not, or not any more, what the request made its condition.

    `retried` says that boto3 sent the request more than once: the first may have changed the object itself.
    """

    retried = False


class Away(StoreAway):
    """The service did not do it now and may do it later: what patience waits for."""


class Busy(Away):
    """Another write of the same object is under way, and this one was not carried out; `retried` as above."""

    retried = False


class Unclear(Away):
    """The server or the connection failed for good, and the request may have been carried out all the same."""


class BrokenOff(Away):
    """The connection broke, time-outs included, while the body of a reply was read."""


class Garbled(Unclear):
    """The reply is none of S3's, so the request may have been carried out or never have arrived."""


class Archived(StoreError):
    """The object lies in an archive and has to be restored before it can be read."""


@contextmanager
def translate_boto_errors(where: str) -> Iterator[None]:
    """Translate what boto3 raises inside the block; `where` is the address that was asked for."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise _translated(error, where) from error
    except HTTPError as error:  # boto3 reads the bodies of short replies unguarded, and does not ask again
        raise BrokenOff(f"{where}: {error}") from error
    except _NOT_UNDERSTOOD as error:  # by boto3: no XML, numbers that are none, redirections without end
        raise Garbled(f"{where}: the answer is none of S3's ({type(error).__name__}: {error})") from error


@contextmanager
def translate_broken_off(where: str) -> Iterator[None]:
    """The same for reading the body of a reply, which boto3 does not retry."""
    try:
        yield
    except (FlexibleChecksumError, ValueError) as error:  # another checksum than was announced, or one that is none
        raise Unmet(f"{where}: {error}") from error
    except (HTTPClientError, IncompleteReadError, HTTPError) as error:
        raise BrokenOff(f"{where}: {error}") from error


def _translated(error: ClientError | BotoCoreError, where: str) -> I2PError:
    if isinstance(error, ClientError):
        return _refusal(error, where)
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return BadConfiguration(
            f"{where}: no credentials; set AWS_PROFILE, AWS_ACCESS_KEY_ID and "
            f"AWS_SECRET_ACCESS_KEY, or a workload identity ({error})"
        )
    if isinstance(error, ParamValidationError):
        return BadConfiguration(f"{where} is not an address that S3 takes: {error}")
    if isinstance(error, ConnectionError | HTTPClientError):
        return Unclear(f"{where}: {error}")
    return StoreError(f"{where}: {error}")


def _refusal(error: ClientError, where: str) -> I2PError:
    status, code = status_of(error), str(error.response.get("Error", {}).get("Code"))
    if code == "NoSuchBucket":
        return BadConfiguration(f"{where}: there is no such bucket; create it, or correct the store's address")
    if code in _FULL or status == _INSUFFICIENT_STORAGE:
        return StoreFull(f"{where}: the server has no space left ({code}); free some, everything committed is kept")
    if code in _ELSEWHERE or status == _NOT_IMPLEMENTED:
        return BadConfiguration(
            f"{where}: the server cannot do this here: {error}; correct the address, the region or "
            "the endpoint, or use a server with conditional writes"
        )
    if code in _LATER or status in (_TOO_MANY, _TIMED_OUT) or (status in _REDIRECTED and code != "304"):
        return Unclear(f"{where}: {error}")
    if code in _SKEWED:
        return StoreError(
            f"{where}: the clock of this machine, {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC, differs too "
            f"much from the server's ({_date(error)}); set it right"
        )
    if code in _EXPIRED:
        return StoreError(f"{where}: the credentials have expired ({code}); renew them, a new process reads them anew")
    if code in _ARCHIVED:
        return Archived(f"{where} lies in an archive of the bucket ({code}); restore it, or leave it out")
    if status in (401, 403):
        return BadConfiguration(
            f"{where}: these credentials may not do this ({code}); the pipeline needs to list, "
            "read, create and delete objects of the bucket"
        )
    if status == 404:
        return NotFound(f"{where} does not exist")
    if status in (412, 416) or (status == 409 and code in _CONFLICTS):
        refused = (Busy if status == 409 else Unmet)(f"{where}: {error}")
        refused.retried = error.response["ResponseMetadata"].get("RetryAttempts", 0) > 0
        return refused
    if status >= _SERVER_ERROR:
        return Unclear(f"{where}: {error}")
    return StoreError(f"{where}: {error}")


def is_untold(error: I2PError) -> bool:
    """Whether the server refused without saying why, as it does in answer to HEAD, which has no body."""
    cause = error.__cause__
    return (
        isinstance(cause, ClientError)
        and status_of(cause) in (400, 401, 403)
        and (
            cause.response["Error"].get("Code")
            in (None, "", "Unknown", "Forbidden", "Bad Request", str(status_of(cause)))
        )
    )


def status_of(error: ClientError) -> int:
    """The HTTP status of the server's refusal."""
    return int(error.response["ResponseMetadata"]["HTTPStatusCode"])


def _date(error: ClientError) -> str:
    return str(error.response["ResponseMetadata"].get("HTTPHeaders", {}).get("date", "not given"))
