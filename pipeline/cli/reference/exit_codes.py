"""Every exit code of the command line and of workers, from jobs/errors.py."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass

from jobs import errors

_EFFECTS = {
    errors.OK: "Done.",
    errors.BAD_DATA: "Not tried again. It fails its index and nothing else: all other units are finished first.",
    errors.PEER_LOST: "Only of a worker. Tried again, and uses no retry: another process of the same world has failed.",
    errors.STORE_AWAY: "Only of a worker, which waited in vain for the store. Its Job is submitted again when the "
    "store answers, at most three times by one controller.",
    errors.TRY_AGAIN: "Tried again, `resources.retries` times. Everything that is not one of the other codes counts as "
    "this one.",
    errors.BAD_CONFIGURATION: "Not tried again. It fails the whole Job at once: nothing can succeed before the "
    "configuration is changed.",
}
_OF_THE_COMMAND_LINE = {
    2: "The arguments cannot be parsed; `i2p COMMAND --help` shows them.",
    130: "Interrupted with Ctrl-C or SIGTERM. What is committed is kept: run again to go on.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitCode:
    """One exit code: what follows from it, and the errors that end with it."""

    code: int
    name: str
    effect: str
    errors: tuple[tuple[str, str], ...] = ()


def exit_codes() -> dict[int, ExitCode]:
    """All of them by number."""
    named = {value: name for name, value in vars(errors).items() if name.isupper() and isinstance(value, int)}
    found = {code: ExitCode(code=code, name="", effect=effect) for code, effect in _OF_THE_COMMAND_LINE.items()}
    for code, name in named.items():
        ending = tuple((kind.__name__, _about(kind)) for kind in _family() if _code_of(kind) == code)
        found[code] = ExitCode(code=code, name=name, effect=_EFFECTS[code], errors=ending)
    return dict(sorted(found.items()))


def _family() -> Iterator[type[errors.I2PError]]:
    for kind in vars(errors).values():
        if inspect.isclass(kind) and issubclass(kind, errors.I2PError):
            yield kind


def _code_of(kind: type[errors.I2PError]) -> int:
    return errors.exit_code_of(kind())


def _about(kind: type[errors.I2PError]) -> str:
    return " ".join((kind.__doc__ or "").split())
