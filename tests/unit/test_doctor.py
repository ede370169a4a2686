"""What the doctor says of models, seen from here and from a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.shards.identity import proved
from jobs.shards.local import LocalStore
from jobs.shards.store_checks import Check
from pipeline.configuration.run_config import load_config
from pipeline.executors.kind import kind_of
from pipeline.maintenance import preflight


def model_of_embed(tmp_path: Path, *assignments: str, executor: str = "kubernetes") -> Check:
    config = load_config("demo", [f"executor={executor}", *assignments])
    checks = preflight.examine(LocalStore(tmp_path), config, kind_of(config))
    return next(check for check in checks if check.name == "model of embed")


@pytest.mark.parametrize("claim", [[], ["kubernetes.models=weights"]])
def test_a_model_on_this_machine_only_is_no_model_for_pods(tmp_path: Path, claim: list[str]) -> None:
    found = model_of_embed(tmp_path, f"embed.model={tmp_path}", *claim)
    assert not found.ok
    assert "Pods do not see it" in found.detail and "kubernetes.models" in found.detail


def test_a_model_on_the_claim_or_of_the_hub_is_one(tmp_path: Path) -> None:
    claim = ["kubernetes.models=weights", f"kubernetes.models_path={tmp_path}", f"embed.model={tmp_path}"]
    assert model_of_embed(tmp_path, *claim).ok
    assert model_of_embed(tmp_path, "embed.model=some/model", f"embed.revision={'a' * 40}").ok


def test_where_stages_run_here_a_folder_is_enough(tmp_path: Path) -> None:
    assert model_of_embed(tmp_path, f"embed.model={tmp_path}", executor="local").ok


def test_what_is_noted_of_the_store_is_shown(tmp_path: Path) -> None:
    def identity() -> Check:
        config = load_config("demo", [f"store={tmp_path}"])
        checks = preflight.examine(LocalStore(tmp_path / "run"), config, kind_of(config))
        return next(check for check in checks if check.name == "identity")

    assert "the first run proves the store" in identity().detail
    found = proved(LocalStore(tmp_path))
    assert f"store {found.id}, proved by way of local" in identity().detail
