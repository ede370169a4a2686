"""What stages promise each other is typed and checked, and no stage's name or key is known outside of its folder."""

from __future__ import annotations

import ast
import importlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.catalog import COMMANDS, STAGES
from jobs.contract.declaration import Access, Contract, Inputs, Many, One, Splits
from jobs.contract.samples import Origin
from jobs.errors import BadData, Corrupt
from jobs.runtime.spec import StageSpec
from jobs.shards.dataset import Dataset, Writer
from jobs.shards.keys import key_of
from jobs.shards.local import LocalStore
from jobs.shards.strict_json import JsonModel
from jobs.shards.tar import Sample
from tests.stages import dataset_of

ROOT = Path(__file__).parents[2]

# Words that the controller uses for things of its own, which are also members of some stage's JSON.
OWN_WORDS = {
    "shard",  # a member of plan rows
    "samples",  # a member of status rows
    "seed",  # how settings that are seeds are recognised
    "dropped",  # how a batch ended
    "images",  # where claims are made from
    "metrics",  # a command
    "limits",  # of a Pod's resources
    "kind",  # of objects of Kubernetes, and of sources
    "true",  # as JSON and annotations have it
}


class Weight(JsonModel):
    """A made-up value."""

    grams: int


class Weighed(Contract[Access], stage="weigh"):
    """A made-up contract."""

    total = One(Weight)
    parts = Many(Weight, "txt", key="prompt")
    splits = Splits(Weight, "npy", one_of=("png", "jpg"))


def prompt_sample(text: str, json: bytes = b'{"grams":1}') -> Sample:
    return Sample(key_of(text), {"txt": text.encode(), "json": json})


def test_what_is_written_by_attribute_is_read_by_attribute(tmp_path: Path) -> None:
    writer = Writer(LocalStore(tmp_path).at("weigh"))
    output = Weighed(writer)
    output.total.write(Weight(grams=7))
    output.parts.write([output.parts.sample(key_of("a fox"), Weight(grams=3), txt=b"a fox")], size=10)
    output.splits.write("train", [output.splits.sample("k", Weight(grams=4), npy=b"v", png=b"p")], size=10)
    found = dataset_of(LocalStore(tmp_path), "weigh", {})
    dataset = Dataset(found.store, found.manifest.__class__("weigh", (outcome_of(writer),)))
    read = Weighed(dataset)
    assert read.total.value().grams == 7
    assert [(one.text(), one.value.grams) for one in read.parts.samples()] == [("a fox", 3)]
    assert read.splits.names == ["train"]
    assert [one["png"] for one in read.splits["train"].samples()] == [b"p"]
    assert read.parts.reads() == dataset.reads("parts")


def outcome_of(writer: Writer):  # type: ignore[no-untyped-def]
    from jobs.shards.records import Outcome

    return Outcome("unit", "0" * 64, 1, {}, {}, tuple(writer.shards))


@pytest.mark.parametrize(
    ("sample", "reason"),
    [
        (Sample(key_of("a"), {"txt": b"a"}), "fields"),
        (prompt_sample("a", b'{"grams":1,"more":2}'), "more"),
        (prompt_sample("a", b'{"grams":"1"}'), "grams"),
        (Sample("another", {"txt": b"a", "json": b'{"grams":1}'}), "not that of its prompt"),
        (Sample(key_of("a"), {"txt": b"a", "json": b'{"grams":1}', "npy": b""}), "npy"),
    ],
)
def test_a_sample_that_is_not_as_declared_is_corrupt(sample: Sample, reason: str) -> None:
    Weighed.parts.check(prompt_sample("a"))
    with pytest.raises(Corrupt, match=reason):
        Weighed.parts.check(sample)


def test_of_alternative_fields_exactly_one_is_required() -> None:
    fields = {"npy": b"", "json": b'{"grams":1}'}
    Weighed.splits.check(Sample("k", {**fields, "png": b""}))
    for wrong in (fields, {**fields, "png": b"", "jpg": b""}):
        with pytest.raises(Corrupt, match="one of"):
            Weighed.splits.check(Sample("k", wrong))


def test_what_is_not_there_says_which_stage_to_run(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="run weigh first"):
        Weighed(dataset_of(LocalStore(tmp_path), "weigh", {})).total.value()


def test_members_that_were_not_given_change_no_bytes() -> None:
    origin = Origin.decode(b'{"row":1,"source":"a","url":"http://x"}', "a sample")
    assert origin.encode() == b'{"row":1,"source":"a","url":"http://x"}'
    with pytest.raises(Corrupt):
        Origin.decode(b'{"row":1,"source":"a","url":[1]}', "a sample")


def test_inputs_are_found_by_their_stage_whatever_their_order(tmp_path: Path) -> None:
    class Both(Inputs):
        weighed: Weighed[Dataset]

    Both.__annotations__["weighed"] = Weighed[Dataset]
    others = [dataset_of(LocalStore(tmp_path), name, {}) for name in ("other", "weigh")]
    assert Both.stages() == ("weigh",)
    assert Both(others).weighed.data is others[1]


# Renamed members


CODE = ("jobs", "pipeline", "images")
RENAMED = {
    "a score's": ("jobs/evaluate/contract.py", "cosine_to_train: float", "train_cosine: float"),
    "a certificate's": ("jobs/dedup/contract.py", "kept_keys_sha256: Digest", "keys_sha256: Digest"),
    "a curve's": ("jobs/train/contract.py", "learning_rate: float", "rate: float"),
    "a prediction's": ("jobs/infer/contract.py", "expected_cosine: float", "expected: float"),
}


@pytest.fixture(scope="module")
def checked_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code that has passed the type check, whose cache makes the next one quick."""
    tree = tmp_path_factory.mktemp("tree")
    for name in CODE:
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tree)
    if (ROOT / ".mypy_cache").is_dir():
        shutil.copytree(ROOT / ".mypy_cache", tree / ".mypy_cache")
    done = type_check(tree)
    assert done.returncode == 0, done.stdout
    return tree


def type_check(tree: Path) -> subprocess.CompletedProcess[str]:
    packages = [part for name in CODE for part in ("-p", name)]
    return subprocess.run([sys.executable, "-m", "mypy", *packages], cwd=tree, capture_output=True, text=True)


@pytest.mark.parametrize(("file", "before", "after"), RENAMED.values(), ids=RENAMED)
def test_a_renamed_member_fails_the_type_check(checked_tree: Path, file: str, before: str, after: str) -> None:
    path = checked_tree / file
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))
    try:
        done = type_check(checked_tree)
    finally:
        path.write_text(text)
    assert done.returncode == 1
    assert before.partition(":")[0] in done.stdout


# What each part knows


def literals(folder: str) -> Iterator[tuple[Path, str]]:
    """All texts in the code but docstrings."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
                body[0] = ast.Pass()
        texts = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
        yield from ((path.relative_to(ROOT), text) for text in texts if isinstance(text, str))


def keys_of(spec: StageSpec) -> set[str]:
    """The names of a stage's groups, and of the members of its JSON."""
    module = importlib.import_module(spec.writes.__module__)
    models = [one for one in vars(module).values() if isinstance(one, type) and issubclass(one, JsonModel)]
    return set(spec.writes.groups()) | {name for model in models for name in model.model_fields}


def test_the_controller_has_no_stage_s_name_and_no_key_of_its_json() -> None:
    names = {spec.name for spec in STAGES}
    keys = {key for spec in STAGES for key in keys_of(spec)} - OWN_WORDS
    assert {"witness", "candidates", "kept_keys_sha256", "best"} <= keys
    found = [
        (str(path), text)
        for path, text in literals("pipeline")
        if text in keys or names & set(re.findall(r"[a-z]+(?:-[a-z]+)*", text))
    ]
    assert found == []


@pytest.mark.parametrize("template", sorted((ROOT / "pipeline").rglob("*.j2")), ids=lambda path: path.name)
def test_no_template_of_the_controller_has_a_stage_s_name(template: Path) -> None:
    code = " ".join(re.findall(r"\{[{%].*?[%}]\}", template.read_text(), re.S))
    assert not {spec.name for spec in STAGES} & set(re.findall(r"[\w-]+", code))


def test_a_stage_imports_of_other_stages_their_contracts_and_settings_only() -> None:
    packages = {spec.writes.__module__.rpartition(".")[0] for spec in STAGES}
    wrong = []
    for path in sorted((ROOT / "jobs").rglob("*.py")):
        own = ".".join(path.relative_to(ROOT).parts[:2])
        if own in commands_of_their_own() - packages:  # they are put together from stages
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            package, _, rest = module.rpartition(".")
            if package in packages - {own} and rest not in ("contract", "stage"):
                wrong.append((str(path.relative_to(ROOT)), module))
    assert wrong == []


def commands_of_their_own() -> set[str]:
    """The packages that bring along a command."""
    return {".".join(one.run.split(".")[:2]) for one in COMMANDS}


def test_nothing_imports_a_command() -> None:
    packages = {spec.writes.__module__.rpartition(".")[0] for spec in STAGES}
    for path in sorted([*(ROOT / "jobs").rglob("*.py"), *(ROOT / "pipeline").rglob("*.py")]):
        own = ".".join(path.relative_to(ROOT).parts[:2])
        for node in ast.walk(ast.parse(path.read_text())):
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            of = ".".join(module.split(".")[:2])
            assert of not in commands_of_their_own() - packages - {own}, (path, module)


def test_the_length_of_a_vector_stands_once() -> None:
    found = [
        path.name
        for path in sorted((ROOT / "jobs").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and node.value.value == 384
    ]
    assert found == ["samples.py"]


def test_no_two_modules_of_the_controller_have_one_name() -> None:
    names = [path.stem for path in (ROOT / "pipeline").rglob("*.py") if not path.stem.startswith("__")]
    assert sorted(names) == sorted(set(names))
