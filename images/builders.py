"""The programs that build and push an image: docker, or buildah where there is no docker daemon."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from images.context import Image
from images.errors import ImageError
from images.registry import is_local

LINES_OF_A_FAILURE = 40
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy")
UV_SETTINGS = (  # what the names of uv's variables begin with that say where packages come from
    "UV_INDEX",
    "UV_DEFAULT_INDEX",
    "UV_EXTRA_INDEX",
    "UV_HTTP",
    "UV_INSECURE",
    "UV_NATIVE_TLS",
    "UV_SYSTEM_CERTS",
)


class Builder(Protocol):
    """Builds from a context folder, and pushes what it built."""

    name: str

    def build(self, image: Image, context: Path, *, labels: Mapping[str, str], secrets: Mapping[str, Path]) -> None: ...

    def push(self, image: Image) -> None: ...


class Buildah:
    """Needs root or a user namespace, but no daemon. Reads this machine's cache of packages."""

    name = "buildah"

    def build(self, image: Image, context: Path, *, labels: Mapping[str, str], secrets: Mapping[str, Path]) -> None:
        cache = _uv_cache()
        lent = ["--volume", f"{cache}:/var/cache/uv-host"] if cache.is_dir() else []
        options = [*_tls(image), *lent, *_options(image, labels, secrets)]
        # --layers makes one for each instruction, as docker does: changed code is a thin layer
        execute("buildah", "bud", "--isolation", "chroot", "--layers", "--pull=false", *options, str(context))

    def push(self, image: Image) -> None:
        packed = ("--compression-format", "zstd", "--compression-level", "1")
        execute("buildah", "push", *_tls(image), *packed, image.reference)


class Docker:
    """Needs its daemon, with BuildKit."""

    name = "docker"

    def build(self, image: Image, context: Path, *, labels: Mapping[str, str], secrets: Mapping[str, Path]) -> None:
        execute("docker", "build", *_options(image, labels, secrets), str(context), DOCKER_BUILDKIT="1")

    def push(self, image: Image) -> None:
        execute("docker", "push", "--quiet", image.reference)


def find_builder() -> Builder:
    """The one that works here; a docker client without its daemon does not."""
    if shutil.which("docker") and subprocess.run(["docker", "info"], capture_output=True).returncode == 0:  # noqa: S607
        return Docker()
    if shutil.which("buildah"):
        return Buildah()
    raise ImageError(
        "docker with its daemon, or buildah, is required, and neither is here; `apt-get install buildah` or the like"
    )


def find_uv() -> Path:
    """The uv of this environment, else the one of the search path."""
    beside = Path(sys.executable).parent / "uv"
    found = beside if beside.is_file() else shutil.which("uv")
    if not found:
        raise ImageError("uv is required, which installs an image's packages; `pip install uv` in this environment")
    return Path(found)


def host_secrets(folder: Path) -> dict[str, Path]:
    """How this machine reaches its package index, by the names that images/install.sh looks for."""
    found: dict[str, Path] = {}
    if settings := "".join(f"export {name}={shlex.quote(value)}\n" for name, value in sorted(_index_settings())):
        found["index"] = folder / "index"
        found["index"].touch(mode=0o600)
        found["index"].write_text(settings)
    config = Path(os.environ.get("XDG_CONFIG_HOME", Path.home() / ".config")) / "uv" / "uv.toml"
    candidates = {
        "uv-config": [os.environ.get("UV_CONFIG_FILE", ""), str(config), "/etc/uv/uv.toml"],
        "certificates": [os.environ.get(name, "") for name in ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE")],
    }
    for secret, paths in candidates.items():
        if existing := [Path(path) for path in paths if path and Path(path).is_file()]:
            found[secret] = existing[0]
    return found


def _uv_cache() -> Path:
    """Where uv keeps its cache, as uv itself finds it."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("UV_CACHE_DIR") or Path(caches) / "uv")


def _index_settings() -> Iterator[tuple[str, str]]:
    asked = {name: value for name, value in os.environ.items() if name.startswith(UV_SETTINGS) or name in PROXIES}
    yield from asked.items()
    for name, pip in (("UV_DEFAULT_INDEX", "PIP_INDEX_URL"), ("UV_INDEX", "PIP_EXTRA_INDEX_URL")):
        if pip in os.environ and not any(given.startswith("UV_") and "INDEX" in given for given in asked):
            yield name, os.environ[pip]


def _options(image: Image, labels: Mapping[str, str], secrets: Mapping[str, Path]) -> list[str]:
    """What docker and buildah have in common."""
    pairs = {
        "--build-arg": [f"{name}={value}" for name, value in image.arguments.items()],
        "--label": [f"{name}={value}" for name, value in labels.items()],
        "--secret": [f"id={name},src={path}" for name, path in secrets.items()],
        "--tag": [image.reference],
    }
    return [part for option, values in pairs.items() for value in values for part in (option, value)]


def _tls(image: Image) -> list[str]:
    return ["--tls-verify=false"] if is_local(image.repository) else []


def execute(*command: str, **environment: str) -> None:
    """Run to the end; raises ImageError with the end of the output."""
    result = subprocess.run(  # noqa: S603
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, **environment},
    )
    if result.returncode:
        tail = "\n".join(result.stdout.splitlines()[-LINES_OF_A_FAILURE:])
        raise ImageError(f"`{shlex.join(command)}` ended with {result.returncode}; the end of its output:\n{tail}")
