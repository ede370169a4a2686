"""Canonical JSON and SHA-256: the two things that make equal work recognisable as equal."""

from __future__ import annotations

import hashlib
import json
from typing import Any, BinaryIO

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_json(value: Any) -> bytes:
    """The one encoding of a JSON value: sorted keys, no spaces, UTF-8, no NaN; equal values give equal bytes."""
    return _CANONICAL.encode(value).encode()


def sha256(data: bytes | bytearray | memoryview) -> str:
    """SHA-256 as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(file: BinaryIO) -> str:
    """SHA-256 of what is in an open file from where it stands to its end."""
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type] # any file that can be read


def digest_of(value: Any) -> str:
    """SHA-256 of a JSON value's canonical encoding."""
    return sha256(canonical_json(value))
