"""Files of every kind, predicted by the stage: one picture gives one vector, whatever it is kept in."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import ImageOps

from jobs.infer.stage import INFER, InferParams
from jobs.runtime.arrays import from_npy
from tests.hostile.images import encoded
from tests.image_kinds import ALPHA, COLOURS, ON_WHITE, PICTURE, Case
from tests.samples import json_of
from tests.stages import run_stage
from tests.unit.test_infer import inputs

SUFFIXES = {"jpeg": "jpg", "tiff": "tif"}


def written(folder: Path, cases: dict[str, Case]) -> Path:
    """The files, called as what they are."""
    folder.mkdir()
    for name, case in cases.items():
        kind = name.split()[0]
        (folder / f"{name.replace(' ', '-')}.{SUFFIXES.get(kind, kind)}").write_bytes(case.data)
    return folder


def predicted(run: Path, folder: Path, **changes: str) -> dict[str, np.ndarray]:
    store, datasets = inputs(run)
    asked = InferParams.model_validate({"images": str(folder), "num_candidates": 1, "compose": False, **changes})
    found = run_stage(store, INFER, asked, datasets).samples()
    return {Path(json_of(sample)["id"]).stem: from_npy(sample["npy"]) for sample in found}


def test_one_picture_in_more_than_thirty_files_has_one_vector(tmp_path: Path) -> None:
    folder = written(tmp_path / "files", COLOURS)
    (folder / "another.png").write_bytes(encoded(ImageOps.mirror(PICTURE).rotate(90), "PNG"))
    vectors = predicted(tmp_path, folder)
    assert len(vectors) == len(COLOURS) + 1 > 30
    another = vectors.pop("another")
    cosines = {name: float(vector @ vectors["png"]) for name, vector in vectors.items()}
    assert min(cosines.values()) > 0.99, min(cosines, key=lambda name: cosines[name])
    assert float(another @ vectors["png"]) < min(cosines.values())


def test_hidden_colours_do_not_count_and_the_background_does(tmp_path: Path) -> None:
    folder = written(tmp_path / "files", ALPHA)
    (folder / "on-white.png").write_bytes(encoded(ON_WHITE, "PNG"))
    on_white = predicted(tmp_path / "1", folder)
    assert min(float(vector @ on_white["on-white"]) for vector in on_white.values()) > 0.99
    on_black = predicted(tmp_path / "2", folder, background="#000000")
    assert np.array_equal(on_black.pop("on-white"), on_white.pop("on-white"))
    assert not any(np.array_equal(on_black[name], on_white[name]) for name in on_white)


def test_what_a_file_is_called_counts_for_nothing_but_that_it_is_read(tmp_path: Path) -> None:
    folder = written(tmp_path / "files", {"heic": COLOURS["heic"]})
    shutil.copy(folder / "heic.heic", folder / "called-a-png.PNG")
    shutil.copy(folder / "heic.heic", folder / "no-image.txt")
    vectors = predicted(tmp_path, folder)
    assert set(vectors) == {"heic", "called-a-png"}
    assert np.array_equal(vectors["heic"], vectors["called-a-png"])


@pytest.mark.parametrize("images", ["split:test", "files"])
def test_a_background_of_white_changes_no_fingerprint_and_that_of_a_split_never(tmp_path: Path, images: str) -> None:
    _, datasets = inputs(tmp_path / "inputs")
    folder = written(tmp_path / "files", {"png": COLOURS["png"]})
    address = str(folder) if images == "files" else images

    def fingerprints(**changes: str) -> list[str]:
        asked = InferParams.model_validate({"images": address, **changes})
        return [INFER.fingerprint(unit) for unit in INFER.units_of(asked, datasets)]

    assert fingerprints() == fingerprints(background="#ffffff") == fingerprints(background="#FFFFFF")
    assert (fingerprints() == fingerprints(background="#000000")) == (images != "files")
    assert "background" not in InferParams().model_dump()
