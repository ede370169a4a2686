"""A source, a store and an executor are one file each, found by listing the folder that they are put in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from jobs.collect.sources import KINDS, AnySource
from jobs.collect.stage import COLLECT, CollectParams
from jobs.errors import BadConfiguration
from jobs.registry import names_in
from jobs.shards.address import SCHEMES, normalised, open_store
from jobs.shards.identity import proved
from jobs.shards.store_checks import examine
from pipeline.__main__ import main
from pipeline.configuration.run_config import load_config
from pipeline.executors.kind import KINDS as EXECUTORS
from tests.additions import add, forget
from tests.stages import local_run, run_stage

NUMBERS = """
    from typing import Literal

    from jobs.collect.sources.base import WrittenSource
    from jobs.collect.sources.rows import Row

    class Numbers(WrittenSource):
        kind: Literal["plain-numbers"]
        count: int

        def rows(self):
            for number in range(1, self.count + 1):
                yield Row(number, f"the number {number}")
"""

COUNTED = """
    from pathlib import Path

    from jobs.shards.local import LocalStore

    ADDRESS = "counted://FOLDER"

    class Counted(LocalStore):
        endpoint = "counted"

        def at(self, path):
            return Counted(self.root / path)

        def own_checks(self, *, quick):
            return [("it counts", lambda: "one and one are two")]

    def open_at(rest, *, patience_seconds):
        return Counted(Path("/", rest)) if rest else None
"""

ONE_BY_ONE = """
    from pipeline.executors.kind import ExecutorKind
    from pipeline.executors.kinds.local import LocalExecutor

    class OneByOne(LocalExecutor):
        at_once = 1

    class Kind(ExecutorKind):
        def executor(self, config):
            print(f"one by one: {config.run}")
            return OneByOne()
"""


# Sources


def test_a_source_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, KINDS, tmp_path / "more", "plain_numbers", NUMBERS)
    CollectParams.model_rebuild(force=True)
    params = CollectParams.model_validate({"sources": [{"kind": "plain-numbers", "name": "n", "count": 3}]})
    collected = run_stage(local_run(tmp_path), COLLECT, params)
    prompts = {sample["txt"].decode() for sample in collected.samples("n")}
    assert prompts == {"the number 1", "the number 2", "the number 3"}
    assert "plain-numbers" in str(CollectParams.model_json_schema())
    with pytest.raises(ValidationError, match="no 'plain-number'; did you mean 'plain-numbers'"):
        CollectParams.model_validate({"sources": [{"kind": "plain-number", "name": "n", "count": 3}]})
    forget(KINDS, "plain_numbers")
    monkeypatch.undo()
    CollectParams.model_rebuild(force=True)
    assert "plain-numbers" not in str(CollectParams.model_json_schema())


def test_every_kind_is_the_name_of_its_file() -> None:
    schema = TypeAdapter(AnySource).json_schema()
    assert sorted(schema["discriminator"]["mapping"]) == names_in(KINDS)


def test_a_file_without_the_source_that_its_name_promises_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(monkeypatch, KINDS, tmp_path / "more", "letters", NUMBERS)
    with pytest.raises(TypeError, match=r"letters\.py must define a source with `kind: Literal\['letters'\]`"):
        TypeAdapter(AnySource)
    forget(KINDS, "letters")


def test_an_unknown_kind_is_refused_with_what_was_probably_meant() -> None:
    with pytest.raises(BadConfiguration, match=r"collect\.sources\.0: kind: there is no 'csvv'; did you mean 'csv'"):
        load_config("demo", ["collect.sources.0.kind=csvv"])


def test_the_sources_need_no_package_of_the_worker() -> None:
    code = "import sys, jobs.catalog; print([name for name in ('pyarrow', 'numpy') if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


# Stores


def test_a_store_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, SCHEMES, tmp_path / "more", "counted", COUNTED)
    store = open_store(f"counted://{tmp_path}/runs")
    assert store.create("a", b"x")
    assert (tmp_path / "runs" / "a").read_bytes() == b"x"
    assert set(proved(store).proved) == {"counted"}
    assert [check.name for check in examine(store)][-1] == "it counts"
    assert [stat.name for stat in store.list("")] == ["a", "store.json"], "nothing is left of what was tried"
    assert normalised("counted://runs//a/") == "counted://runs/a"
    with pytest.raises(BadConfiguration, match=r"counted://FOLDER or a folder or s3://BUCKET/PREFIX, not 'gs://x'"):
        open_store("gs://x")
    forget(SCHEMES, "counted")


@pytest.mark.parametrize(("url", "one_way"), [("file:///runs//a/", "/runs/a"), ("file:///runs", "/runs")])
def test_a_folder_may_be_given_as_a_url(url: str, one_way: str) -> None:
    assert normalised(url) == one_way
    assert open_store(url).url == "/runs" + one_way.removeprefix("/runs")


def test_an_unknown_kind_of_store_ends_a_plan(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--preset", "demo", "--set", "store=gs://bucket/runs"]) == 78
    assert "a store is a folder or s3://BUCKET/PREFIX, not 'gs://bucket/runs'" in capsys.readouterr().err


def test_opening_a_folder_needs_no_client_of_s3(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom jobs.shards.address import open_store\n"
        f"open_store({str(tmp_path)!r}).create('a', b'x')\nprint('boto3' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_who_has_no_source_in_the_web_needs_no_client_of_it() -> None:
    code = (
        "import sys, jobs.catalog, pipeline.__main__\n"
        "from pipeline.configuration.run_config import load_config\n"
        "load_config('demo', ['collect.sources=[{kind: text, name: a, path: /tmp/a.txt}]'])\n"
        "print([name for name in ('huggingface_hub', 'urllib3', 'httpx2') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


# Executors


def test_an_executor_is_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    add(monkeypatch, EXECUTORS, tmp_path / "more", "one_by_one", ONE_BY_ONE)
    small = ["--set", f"store={tmp_path}/runs", "--set", "stages=[collect]", "--set", "run=small"]
    assert main(["run", "--preset", "demo", "--executor", "one-by-one", *small]) == 0
    assert main(["verify", "--preset", "demo", "--executor", "one-by-one", *small]) == 0
    noted = capsys.readouterr().out
    assert noted.count("one by one: small") == 2
    assert "collect" in noted and "samples" in noted
    with pytest.raises(BadConfiguration, match=r"executor: there is no 'one-by-on'; did you mean 'one-by-one'"):
        load_config("demo", ["executor=one-by-on"])
    forget(EXECUTORS, "one_by_one")


def test_an_unknown_executor_ends_a_plan(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--preset", "demo", "--set", "executor=kubernets"]) == 78
    assert "there is no 'kubernets'; did you mean 'kubernetes'" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["render"], ["release", "node-1"], ["deploy", "collect"]])
def test_a_command_about_jobs_of_a_cluster_says_what_it_needs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    assert main([*command, "--preset", "demo", "--set", f"store={tmp_path}"]) == 78
    assert f"{command[0]} is about a run on a cluster: add --executor kubernetes" in capsys.readouterr().err
    assert not list(tmp_path.iterdir()), "it is refused before anything is written"
