"""Which version this is. The git tag decides: in a checkout it is asked, elsewhere it was when this was built."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

DISTRIBUTION = "image-to-prompts"
UNKNOWN = "0.0.0+unknown"  # neither a checkout nor installed, as in an image, whose label has the version
ROOT = Path(__file__).resolve().parents[2]


def version(root: Path = ROOT) -> str:
    """The version as PEP 440 writes it: `1.2.0` at the tag v1.2.0, `1.2.1.dev3+g0123456` three commits later."""
    if (root / ".git").exists():
        command = [sys.executable, "-m", "setuptools_scm"]  # of the developers' environment, and of every build
        found = subprocess.run(command, cwd=root, capture_output=True, text=True)  # noqa: S603
        if found.returncode == 0:
            return found.stdout.strip()
    try:
        return importlib.metadata.version(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return UNKNOWN


def commit(root: Path = ROOT) -> str:
    """The commit of a checkout, with `-dirty` where files differ from it; empty where that is not known."""
    git = shutil.which("git")
    if not git or not (root / ".git").exists():
        return ""
    command = [git, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    return subprocess.run(command, cwd=root, capture_output=True, text=True).stdout.strip()  # noqa: S603


def version_line() -> str:
    """What `i2p --version` prints; the commit of an installed version stands in its version, if anywhere."""
    number = version()
    found = commit() or "".join(re.findall(r"\+g([0-9a-f]+)", number))
    python = f"Python {platform.python_version()}"
    return f"{DISTRIBUTION} {number} ({python}, {f'commit {found}' if found else 'commit unknown'})"
