"""Adds one file to a registry for the time of a test, as a user would add it to the registry's folder."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from textwrap import dedent

import pytest


def add(monkeypatch: pytest.MonkeyPatch, package: str, folder: Path, name: str, source: str) -> None:
    """Make `folder`/NAME.py a module of the package."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(dedent(source))
    registry = importlib.import_module(package)
    if str(folder) not in registry.__path__:
        monkeypatch.setattr(registry, "__path__", [*registry.__path__, str(folder)])
    monkeypatch.delitem(sys.modules, f"{package}.{name}", raising=False)
    importlib.invalidate_caches()


def forget(package: str, name: str) -> None:
    """Undo the import of such a module."""
    sys.modules.pop(f"{package}.{name}", None)
