"""Asks a registry whether it has an image, and for its digest: HEAD of a manifest, as OCI distribution 1.1 has it."""

from __future__ import annotations

import base64
import json
import os
import re
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from images.errors import ImageError

MANIFESTS = ", ".join(
    (
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    )
)
TIMEOUT_SECONDS = 20


def is_local(registry: str) -> bool:
    """Whether a registry is on this machine; only such a one is spoken to without TLS."""
    return registry.partition("/")[0].rpartition(":")[0] in {"localhost", "127.0.0.1"}


def digest_of(repository: str, tag: str) -> str | None:
    """The digest of `repository:tag`, e.g. `localhost:5000/embed`, or None where the registry has no such image."""
    host, _, name = repository.partition("/")
    url = f"{'http' if is_local(repository) else 'https'}://{host}/v2/{name}/manifests/{tag}"
    try:
        return _head(url)
    except HTTPError as error:
        if error.code == 404:
            return None
        if error.code == 401:
            return _head_with_token(url, host, error.headers.get("WWW-Authenticate", ""))
        raise ImageError(f"the registry {host} answered {error.code} {error.reason} to HEAD {url}") from error
    except (URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise ImageError(
            f"an image registry is required at {host}, which cannot be reached ({reason}); "
            "start it, or name another with --registry"
        ) from error


def _head(url: str, authorization: str = "") -> str:
    headers = {"Accept": MANIFESTS, **({"Authorization": authorization} if authorization else {})}
    with urlopen(Request(url, method="HEAD", headers=headers), timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
        if digest := answer.headers.get("Docker-Content-Digest"):
            return str(digest)
    raise ImageError(f"the registry gave no Docker-Content-Digest for {url}; a registry of OCI images is required")


def _head_with_token(url: str, host: str, challenge: str) -> str | None:
    """Ask again with what the registry's challenge wants: the log-in itself, or a token got with it."""
    basic = stored_login(host)
    try:
        return _head(url, _token(challenge, basic) if challenge.lower().startswith("bearer") else basic)
    except HTTPError as error:
        if error.code == 404:
            return None
        raise ImageError(
            f"the registry {host} refuses access ({error.code}); log in with `docker login {host}` or `buildah login "
            f"{host}`, which must leave the log-in itself in its file: credential helpers are not asked"
        ) from error


def _token(challenge: str, basic: str) -> str:
    fields = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    query = urlencode({key: fields[key] for key in ("service", "scope") if key in fields})
    request = Request(f"{fields['realm']}?{query}", headers={"Authorization": basic} if basic else {})  # noqa: S310
    with urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
        body = json.load(answer)
    return f"Bearer {body.get('token') or body['access_token']}"


def stored_login(host: str) -> str:
    """The Authorization header of a log-in that docker or buildah stored for this host; empty without one."""
    for path in _login_files():
        if path.is_file():
            entry = json.loads(path.read_text()).get("auths", {}).get(host, {})
            if "auth" in entry:
                return f"Basic {entry['auth']}"
            if "username" in entry:
                pair = f"{entry['username']}:{entry['password']}".encode()
                return f"Basic {base64.b64encode(pair).decode()}"
    return ""


def _login_files() -> list[Path]:
    named = os.environ.get("REGISTRY_AUTH_FILE")
    return [
        *([Path(named)] if named else []),
        Path(os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")) / "containers" / "auth.json",
        Path(os.environ.get("DOCKER_CONFIG", Path.home() / ".docker")) / "config.json",
    ]
