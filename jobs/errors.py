"""The one family of errors; each knows the exit code that says whether a retry can help.

The codes are those of sysexits.h, and they are the contract between a worker and whatever runs it: bad data fails
its index and nothing else, bad configuration fails the whole Job, everything else is tried again. A member of a gang
that ends only because another one did is tried again too, and none of its own tries is counted. A worker that waited
in vain for the store has a code of its own: its Job may be submitted again, because its tries said nothing of the work.
"""

from __future__ import annotations

from typing import ClassVar

OK = 0
BAD_DATA = 65
PEER_LOST = 69  # EX_UNAVAILABLE
STORE_AWAY = 74  # EX_IOERR; only workers end with it
TRY_AGAIN = 75
BAD_CONFIGURATION = 78


class I2PError(Exception):
    """Something went wrong that a retry may fix; says what was required, what was given and what to do."""

    exit_code: ClassVar[int] = TRY_AGAIN
    retry_in: float = 0.0  # seconds before which a retry is in vain, where that is known


class BadData(I2PError):
    """An input cannot be used as it is; a retry reads the same bytes and fails the same way."""

    exit_code = BAD_DATA


class Corrupt(BadData):
    """Stored bytes are not what their record says."""


class BadConfiguration(I2PError):
    """A setting cannot work; nothing of the stage can succeed before it is changed."""

    exit_code = BAD_CONFIGURATION


class StoreError(I2PError):
    """The store did not do what was asked of it."""


class NotFound(StoreError):
    """The store holds no object of that name."""


class StoreAway(StoreError):
    """The store cannot be reached, or does nothing now; waiting is all that helps."""


class StoreFull(StoreError):
    """The store has no space left."""


class PeerLost(I2PError):
    """Another process of the gang is gone or was asked to stop, and this one cannot go on without it."""

    exit_code = PEER_LOST


class StalePlan(I2PError):
    """An input was published anew after this task was planned; the controller plans it again."""


def exit_code_of(error: BaseException) -> int:
    """What a worker should exit with: the error's own code, or the one of a counted retry."""
    if isinstance(error, StoreAway):
        return STORE_AWAY
    return error.exit_code if isinstance(error, I2PError) else TRY_AGAIN


def severity(exit_code: int) -> int:
    """How far it reaches: a failure of the whole Job is more than one of an index, that more than a retry.

    To have lost another process is the least: where one of several fails by itself, the others lose it.
    """
    order = (OK, PEER_LOST, STORE_AWAY, TRY_AGAIN, BAD_DATA, BAD_CONFIGURATION)
    return order.index(exit_code if exit_code in order else TRY_AGAIN)
