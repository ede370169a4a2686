"""Pretrained weights of an image tower: from the model hub or a file, safetensors only, loaded strictly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import open_clip
import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError
from open_clip.constants import HF_SAFE_WEIGHTS_NAME, OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from safetensors import SafetensorError, safe_open

from jobs.errors import BadConfiguration, I2PError
from jobs.regressor.known_towers import is_file
from jobs.regressor.model import Regressor

_PREFIX = "visual."  # of the image tower's weights in a checkpoint of open_clip


def normalisation(model: str, pretrained: str | None) -> tuple[Any, Any]:
    """Mean and standard deviation that the pretrained tower's images had; CLIP's where nothing else is said.

    A file's are read from `open_clip_config.json` beside it, which open_clip stores with every model.
    """
    config: dict[str, Any] = {}
    if pretrained is not None and is_file(pretrained):
        beside = Path(pretrained).with_name("open_clip_config.json")
        if beside.is_file():
            config = json.loads(beside.read_text()).get("preprocess_cfg", {})
    elif pretrained is not None:
        config = _hub_config(model, pretrained)
    return tuple(config.get("mean", OPENAI_DATASET_MEAN)), tuple(config.get("std", OPENAI_DATASET_STD))


def load_pretrained(regressor: Regressor, pretrained: str, revision: str | None) -> None:
    """Load the tower's weights, all of them and nothing else; raises BadConfiguration where they do not fit."""
    model = regressor.architecture.model
    path = Path(pretrained) if is_file(pretrained) else _download(model, pretrained, revision)
    try:
        with safe_open(path, framework="pt") as file:
            state = {key.removeprefix(_PREFIX): file.get_tensor(key) for key in file.keys() if key.startswith(_PREFIX)}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise BadConfiguration(f"pretrained: {path} cannot be read as safetensors: {error}") from error
    try:
        with torch.no_grad():
            regressor.tower.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise BadConfiguration(
            f"pretrained: {path} must hold exactly the weights `{_PREFIX}*` of {model} for "
            f"{regressor.architecture.image_size} px: {error}"
        ) from error


def _hub_config(model: str, tag: str) -> dict[str, Any]:
    config: dict[str, Any] = open_clip.get_pretrained_cfg(model, tag)
    if not config.get("hf_hub"):
        known = [name for name in open_clip.list_pretrained_tags_by_model(model) if name]
        raise BadConfiguration(
            f"pretrained: {model} has no weights {tag!r} on the model hub, only {known}; "
            "name one of these, a file NAME.safetensors, or null for random weights"
        )
    return config


def _download(model: str, tag: str, revision: str | None) -> Path:
    repository = _hub_config(model, tag)["hf_hub"].strip("/")
    if revision is None:
        raise BadConfiguration(
            f"pretrained: {tag} comes from the hub repository {repository} and needs `revision`, the 40 digits of "
            "the commit to use"
        )
    try:
        return Path(hf_hub_download(repository, HF_SAFE_WEIGHTS_NAME, revision=revision))
    except EntryNotFoundError as error:
        raise BadConfiguration(
            f"pretrained: {repository} at {revision} has no {HF_SAFE_WEIGHTS_NAME}, and pickles are never loaded; "
            "use a commit that has it, or convert the weights and name the file"
        ) from error
    except (HfHubHTTPError, OSError) as error:
        raise I2PError(f"pretrained: {repository} at {revision} could not be downloaded: {error}") from error
