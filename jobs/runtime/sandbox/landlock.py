"""Takes from this process the right to open files and connections, where the kernel has Landlock (Linux 5.13, 6.7).

What stays are the descriptors that are open. Where the kernel has no Landlock, nothing happens: the bounds of time and
memory hold all the same. https://docs.kernel.org/userspace-api/landlock.html
"""

from __future__ import annotations

import ctypes
import os
import struct

_CREATE_RULESET, _RESTRICT_SELF = 444, 446  # system calls, the same number on every architecture
_GET_VERSION = 1
_NO_NEW_PRIVILEGES = 38  # prctl
# Rights that a ruleset takes away where no rule gives them back, by the version that brought them.
_FILES = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 5: 0xFFFF}
_CONNECTIONS = {4: 0x3}
_SCOPES = {6: 0x3}  # sockets of the local machine, signals to other processes


def confine() -> bool:
    """Open no file and no TCP connection from now on; returns whether the kernel promised that."""
    system = ctypes.CDLL(None, use_errno=True)
    version = system.syscall(_CREATE_RULESET, None, 0, _GET_VERSION)
    if version < 1 or system.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0:
        return False
    rights = [_newest(known, version) for known in (_FILES, _CONNECTIONS, _SCOPES)]
    size = 8 if version < 4 else 16 if version < 6 else 24
    attributes = struct.pack("=QQQ", *rights)[:size]
    ruleset = system.syscall(_CREATE_RULESET, attributes, size, 0)
    if ruleset < 0:
        return False
    try:
        return bool(system.syscall(_RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _newest(rights: dict[int, int], version: int) -> int:
    return max((right for since, right in rights.items() if since <= version), default=0)
