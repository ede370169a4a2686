"""The images' contexts, tags, requirements and registry look-ups; tests/cluster has what needs a builder."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from packaging.requirements import Requirement

from images import build, builders, context, registry
from images.context import ROOT, image_names, plan
from images.errors import ImageError
from images.requirements import closure
from jobs.catalog import STAGES
from jobs.contract.declaration import Access, Contract

STAGE_NAMES = [spec.name for spec in STAGES]
REGISTRY = "localhost:1"
LOCK = """\
boto3==1.44.5
    # via image-to-prompts (pyproject.toml)
faiss-cpu==1.15.1
    # via image-to-prompts (pyproject.toml)
jmespath==1.1.0
    # via boto3
numpy==2.4.6
    # via
    #   faiss-cpu
    #   torch
pytest==9.2.0
    # via image-to-prompts (pyproject.toml:dev)
torch==2.15.0
    # via image-to-prompts (pyproject.toml)
"""


def planned(name: str, root: Path = ROOT, **settings: str) -> context.Image:
    return plan(name, registry=REGISTRY, settings=settings, root=root)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what images are made of, to be changed."""
    for folder in ("images", "jobs", "pipeline"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    for file in ("pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / file, tmp_path)
    return tmp_path


def with_line(path: Path, table: str, line: str) -> None:
    """Add a line at the beginning of a table of a TOML file."""
    text = path.read_text()
    assert text.count(f"\n[{table}]\n") == 1
    path.write_text(text.replace(f"\n[{table}]\n", f"\n[{table}]\n{line}\n"))


def requirements(name: str, root: Path = ROOT, **settings: str) -> list[str]:
    """What an image installs."""
    return planned(name, root, **settings).files["requirements.txt"].decode().splitlines()


# ---- what an image is ---------------------------------------------------------------------------------------------


def test_every_stage_and_the_controller_has_an_image() -> None:
    assert image_names() == sorted([*STAGE_NAMES, "controller"])


@pytest.mark.parametrize("name", image_names())
def test_an_image_starts_python_itself_as_an_unprivileged_number(name: str) -> None:
    image = planned(name)
    text = image.files["Dockerfile"].decode()
    last = text[text.index(f"FROM installed AS {image.arguments['MODULE']}\n") :]
    entrypoint = re.findall(r"^ENTRYPOINT (.*)$", last, re.MULTILINE)[0]
    module = "pipeline" if name == "controller" else "jobs"
    assert json.loads(entrypoint) == ["python", "-m", module]  # the exec form: SIGTERM reaches the worker
    assert text.endswith("\nFROM ${MODULE}\n")
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE) == ["65532:65532"]
    assert not re.findall(r"^(CMD|ADD) ", text, re.MULTILINE)


@pytest.mark.parametrize("name", [*image_names(), "torch"])
def test_what_decides_an_installation_is_copied_for_builders_that_look_at_no_mount(name: str) -> None:
    text = planned(name).files["Dockerfile"].decode()
    assert text.index("COPY requirements.txt install.sh /app/") < text.index("sh /app/install.sh")


def test_changed_code_installs_nothing_anew() -> None:
    text = planned("embed").files["Dockerfile"].decode()
    assert text.index("sh /app/install.sh") < text.index("COPY app /app")


@pytest.mark.parametrize(
    ("needs", "parent"), [("torch>=2.13", "torch"), ("image-to-prompts[train]", "torch"), ("numpy>=2.3", "python")]
)
def test_a_new_stage_needs_an_extra_and_nothing_else(
    tree: Path, monkeypatch: pytest.MonkeyPatch, needs: str, parent: str
) -> None:
    class Captioned(Contract[Access], stage="caption-images"):
        """A made-up contract."""

    monkeypatch.setattr(context, "STAGES", (*STAGES, dataclasses.replace(STAGES[0], writes=Captioned)))
    assert "caption-images" in image_names()
    with pytest.raises(ImageError, match="needs the extra 'caption-images'"):
        planned("caption-images", tree)
    with_line(tree / "pyproject.toml", "project.optional-dependencies", f'caption-images = ["{needs}"]')
    image = planned("caption-images", tree)
    assert image.parent is not None
    assert image.parent.name == parent
    assert {"MODULE": "jobs", "PARENT": image.parent.reference} == image.arguments


@pytest.mark.parametrize("name", image_names())
def test_a_context_holds_what_the_image_runs_and_nothing_else(name: str, tree: Path) -> None:
    (tree / "LICENSE").write_text("licence")
    files = planned(name, tree).files
    folders = {"app/jobs", "app/pipeline"} if name == "controller" else {"app/jobs"}
    found = {"/".join(file.split("/")[:2]) for file in files}
    assert found == {"Dockerfile", "install.sh", "requirements.txt", "app/LICENSE"} | folders
    assert "app/jobs/catalog.py" in files
    assert not [file for file in files if "__pycache__" in file or "test" in file or file.endswith(".pyc")]


def test_the_licence_goes_into_every_image_with_code_as_soon_as_there_is_one(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "LICENSE").unlink(missing_ok=True)
    without = planned("embed", tree)
    (tree / "LICENSE").write_text("licence")
    text = re.sub(r"(?m)^license = .*\n", "", (tree / "pyproject.toml").read_text())
    (tree / "pyproject.toml").write_text(text)
    with_line(tree / "pyproject.toml", "project", 'license = "Apache-2.0"')
    image = planned("embed", tree)
    assert image.files.keys() - without.files.keys() == {"app/LICENSE"}
    assert image.parent == without.parent
    monkeypatch.setattr(build, "ROOT", tree)
    assert build.labels_of(image)["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert image.parent is not None
    assert "org.opencontainers.image.licenses" not in build.labels_of(image.parent)


def test_the_written_context_is_readable_for_any_user_whatever_the_umask(tmp_path: Path) -> None:
    uv = tmp_path / "uv"
    uv.write_text("")
    (tmp_path / "context").mkdir()
    before = os.umask(0o077)
    try:
        context.write(planned("submission"), tmp_path / "context", uv)
    finally:
        os.umask(before)
    files = [path for path in (tmp_path / "context" / "app").rglob("*") if not path.is_dir()]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o644}
    folders = {path.parent for path in files}
    assert {path.stat().st_mode & 0o777 for path in folders} == {0o755}


# ---- tags ---------------------------------------------------------------------------------------------------------


def test_a_tag_follows_the_code_and_not_its_times(tree: Path) -> None:
    before = planned("embed", tree).tag
    for path in tree.rglob("*"):
        os.utime(path, (1, 1))
    assert planned("embed", tree).tag == before
    with (tree / "jobs" / "embed" / "worker.py").open("a") as file:
        file.write("# changed\n")
    assert planned("embed", tree).tag != before


def test_changed_code_leaves_the_parents_as_they_are(tree: Path) -> None:
    before = planned("train", tree).parent
    (tree / "jobs" / "new.py").write_text("")
    assert planned("train", tree).parent == before


def test_the_controllers_code_is_in_no_other_image(tree: Path) -> None:
    before = {name: planned(name, tree).tag for name in image_names()}
    (tree / "pipeline" / "new.py").write_text("")
    after = {name: planned(name, tree).tag for name in image_names()}
    assert {name for name in before if before[name] != after[name]} == {"controller"}


def test_a_new_linter_changes_no_tag(tree: Path) -> None:
    before = {name: planned(name, tree).tag for name in image_names()}
    for file in ("pyproject.toml", "requirements.lock"):
        path = tree / file
        path.write_text(re.sub(r"(?m)^ruff==.*$", "ruff==99.0.0", path.read_text()).replace("ruff>=", "ruff>=99,>="))
    assert {name: planned(name, tree).tag for name in image_names()} == before


def test_a_new_torch_changes_the_images_that_hold_it_and_no_other(tree: Path) -> None:
    before = {name: planned(name, tree).tag for name in image_names()}
    lock = tree / "requirements.lock"
    lock.write_text(re.sub(r"(?m)^torch==.*$", "torch==99.0.0", lock.read_text()))
    after = {name: planned(name, tree).tag for name in image_names()}
    changed = {name for name in before if before[name] != after[name]}
    with_torch = {
        "generate-prompts",
        "cut-prompts",
        "embed",
        "dedup",
        "generate-images",
        "compare-images",
        "train",
        "evaluate",
        "infer",
    }
    assert changed == with_torch


def test_a_tag_follows_the_base_and_faiss_where_they_count() -> None:
    assert planned("collect", BASE="a").tag != planned("collect", BASE="b").tag
    assert planned("infer", FAISS="faiss-gpu==1.15.1").tag != planned("infer").tag
    assert planned("collect", FAISS="faiss-gpu==1.15.1").tag == planned("collect").tag


def test_a_tag_does_not_follow_the_registry() -> None:
    assert (
        plan("infer", registry="a.example", settings={}).tag == plan("infer", registry="b.example/x", settings={}).tag
    )


# ---- requirements -------------------------------------------------------------------------------------------------


def test_the_closure_of_a_lock_is_what_is_wanted_and_what_that_needs() -> None:
    assert closure(["boto3", "faiss-cpu"], LOCK) == [
        "boto3==1.44.5",
        "faiss-cpu==1.15.1",
        "jmespath==1.1.0",
        "numpy==2.4.6",
    ]


def test_a_name_that_the_lock_lacks_is_asked_for() -> None:
    with pytest.raises(ImageError, match=r"lacks pillow, which pyproject.toml asks for; `make lock`"):
        closure(["boto3", "pillow"], LOCK)


@pytest.mark.parametrize("name", image_names())
def test_another_faiss_is_installed_instead_of_the_one_of_the_lock_and_never_beside_it(name: str) -> None:
    plain, other = requirements(name), requirements(name, FAISS="faiss-gpu==1.15.1")
    assert len(plain) == len(other)
    changed = {("faiss-cpu==1.15.1", "faiss-gpu==1.15.1")} if name in ("evaluate", "infer") else set()
    assert {pair for pair in zip(plain, other, strict=True) if pair[0] != pair[1]} == changed


@pytest.mark.parametrize("name", [*image_names(), "torch"])
def test_an_images_requirements_are_complete(name: str) -> None:
    pins = {line.partition("==")[0] for line in requirements(name)}
    assert pins
    for pin in pins:
        for line in importlib.metadata.requires(pin) or []:
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                assert re.sub(r"[-_.]+", "-", needed.name).lower() in pins, f"{name}: {pin} needs {needed}"


@pytest.mark.parametrize("name", ["collect", "submission", "controller"])
def test_an_image_that_computes_without_torch_does_not_carry_it(name: str) -> None:
    assert not [line for line in requirements(name) if line.startswith("torch")]
    parent = planned(name).parent
    assert parent is not None
    assert parent.name == "python"


@pytest.mark.parametrize("name", image_names())
def test_no_image_carries_weights_or_tools_of_development(name: str) -> None:
    text = " ".join(requirements(name))
    assert not [word for word in ("minilm", "pytest", "ruff", "mypy", "semhash") if word in text]


@pytest.mark.parametrize("name", STAGE_NAMES)
def test_no_stage_carries_the_controllers_packages(name: str) -> None:
    assert not [line for line in requirements(name) if line.startswith("kubernetes")]


# ---- the registry -------------------------------------------------------------------------------------------------


class FakeRegistry(BaseHTTPRequestHandler):
    """Has one image, embed:known; private/ wants a token."""

    digest: ClassVar[str] = f"sha256:{'a' * 64}"

    def do_HEAD(self) -> None:
        if "/private/" in self.path and self.headers.get("Authorization") != "Bearer t0ken":
            address = f"http://{self.headers['Host']}/token"
            return self._answer(401, {"WWW-Authenticate": f'Bearer realm="{address}",service="s",scope="pull"'})
        if self.path.endswith("/manifests/known") and "oci.image.manifest" in self.headers["Accept"]:
            return self._answer(200, {"Docker-Content-Digest": self.digest})
        return self._answer(500 if "/broken/" in self.path else 404, {})

    def do_GET(self) -> None:
        wanted = self.path.startswith("/token?service=s") and self.headers.get("Authorization") == "Basic dTpw"
        self._answer(200 if wanted else 403, {}, json.dumps({"token": "t0ken"}).encode())

    def _answer(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def host() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), FakeRegistry) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_registry_is_asked_for_the_digest(host: str) -> None:
    assert registry.digest_of(f"{host}/embed", "known") == FakeRegistry.digest
    assert registry.digest_of(f"{host}/embed", "unknown") is None


def test_a_private_registry_is_asked_with_the_stored_log_in(
    host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = tmp_path / "auth.json"
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(login))
    with pytest.raises(ImageError, match="log in with"):
        registry.digest_of(f"{host}/private/embed", "known")
    login.write_text(json.dumps({"auths": {host: {"auth": "dTpw"}}}))
    assert registry.digest_of(f"{host}/private/embed", "known") == FakeRegistry.digest
    assert registry.digest_of(f"{host}/private/embed", "unknown") is None


def test_a_registry_that_fails_is_distinguished_from_one_that_lacks_the_image(host: str) -> None:
    with pytest.raises(ImageError, match="answered 500"):
        registry.digest_of(f"{host}/broken/embed", "x")


def test_plain_http_is_for_this_machine_only() -> None:
    assert registry.is_local("localhost:5000/embed")
    assert registry.is_local("127.0.0.1:5000")
    assert not registry.is_local("localhost.example.com:5000/embed")
    assert not registry.is_local("registry.example.com/localhost:5000")


# ---- the command --------------------------------------------------------------------------------------------------


def test_what_the_registry_has_is_neither_built_nor_pushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "digest_of", lambda repository, tag: FakeRegistry.digest)
    monkeypatch.setattr(build, "find_builder", lambda: pytest.fail("looked for a builder"))
    out = tmp_path / "built.yaml"
    assert build.main(["--registry", REGISTRY, "--out", str(out)]) == 0
    first = out.stat()
    assert build.main(["--registry", REGISTRY, "--out", str(out)]) == 0
    assert (out.stat().st_mtime_ns, out.stat().st_ino) == (first.st_mtime_ns, first.st_ino)
    lines = out.read_text().splitlines()
    assert lines[1:3] == ["kubernetes:", "  images:"]
    assert f"    embed: {REGISTRY}/embed@{FakeRegistry.digest}" in lines
    assert len(lines) == 3 + len(image_names())


class Recorder:
    """Remembers what it was asked to build and push."""

    name = "recorder"

    def __init__(self) -> None:
        self.built: list[str] = []
        self.pushed: set[str] = set()

    def build(self, image: context.Image, folder: Path, **_: object) -> None:
        assert (folder / "uv").exists()
        self.built.append(image.name)

    def push(self, image: context.Image) -> None:
        self.pushed.add(f"{image.repository}:{image.tag}")

    def digest_of(self, repository: str, tag: str) -> str | None:
        return FakeRegistry.digest if f"{repository}:{tag}" in self.pushed else None


def test_parents_are_built_first_and_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder()
    monkeypatch.setattr(build, "digest_of", recorder.digest_of)
    monkeypatch.setattr(build, "find_builder", lambda: recorder)
    out = tmp_path / "built.yaml"
    assert build.main(["embed", "train", "collect", "--registry", REGISTRY, "--out", str(out)]) == 0
    assert recorder.built == ["python", "torch", "embed", "train", "collect"]
    assert len(out.read_text().splitlines()) == 3 + 3


def test_a_parents_labels_follow_no_revision_and_its_childrens_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def revisions_seen(name: str) -> int:
        seen = set()
        for revision in ("one", "two"):
            monkeypatch.setattr(build, "_revision", lambda revision=revision: revision)
            seen.add(json.dumps(build.labels_of(planned(name))))
        return len(seen)

    assert revisions_seen("torch") == 1
    assert revisions_seen("embed") == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["embedd", "--registry", REGISTRY],
            "there is no image 'embedd'; the images are collect, compare-images, ",
        ),
        (["embed"], "a registry is required, e.g. --registry localhost:5000"),
        (["embed", "--registry", REGISTRY], "an image registry is required at localhost:1, which cannot be reached"),
    ],
)
def test_errors_say_what_is_required(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REGISTRY", raising=False)
    assert build.main(arguments) == 1
    assert said in capsys.readouterr().err


def test_a_docker_client_without_a_daemon_is_no_builder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\nexit 1\n")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ImageError, match="docker with its daemon, or buildah, is required"):
        builders.find_builder()


def test_a_failed_build_shows_the_end_of_its_output() -> None:
    with pytest.raises(ImageError, match=r"ended with 3; the end of its output:\nno such package"):
        builders.execute("sh", "-c", "echo no such package; exit 3")


# ---- where packages come from -------------------------------------------------------------------------------------


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An environment that says nothing about package indexes."""
    for name in os.environ:
        if name.startswith(("UV_", "PIP_")) or name in (*builders.PROXIES, "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


def test_the_machines_index_reaches_the_build_as_secrets(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificates = bare / "ca.crt"
    certificates.write_text("certificate")
    monkeypatch.setenv("PIP_CERT", str(certificates))
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.example/a b'c")
    secrets = builders.host_secrets(bare)
    assert secrets["certificates"] == certificates
    assert secrets["index"].stat().st_mode & 0o077 == 0
    script = f'. {secrets["index"]}; printf %s "$UV_DEFAULT_INDEX"'
    assert subprocess.run(["sh", "-c", script], capture_output=True, text=True).stdout == "https://index.example/a b'c"


def test_uvs_own_settings_win_over_pips(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://pip.example")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://uv.example")
    assert builders.host_secrets(bare)["index"].read_text() == "export UV_DEFAULT_INDEX=https://uv.example\n"


def test_a_machine_without_settings_passes_none(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "index" not in builders.host_secrets(bare)
