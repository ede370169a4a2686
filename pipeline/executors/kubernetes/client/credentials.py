"""Which server, as whom: a kubeconfig or a Pod's service account, read by the `kubernetes` library.

The library is imported only when a connection is made (half a second), and by name: its thousand generated models
would otherwise be type-checked with this code.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from jobs.errors import BadConfiguration

_CONNECTIONS = 4  # kept open: the controller's, the watch's, and two to spare
_KEEPALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))  # a vanished peer is noticed in 60 s


@dataclass(frozen=True, slots=True)
class Credentials:
    """A server's address, how to prove who asks, and the pool of connections to it."""

    server: str
    namespace: str  # that the context or the Pod is in; "" where it names none
    pool: Any  # urllib3.PoolManager, with certificates, proxy and keep-alive set
    _configuration: Any
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def authorization(self) -> str | None:
        """The Authorization header; renews a token that has expired, which may run the kubeconfig's exec plugin."""
        with self._lock, _overheard():  # its complaints would go to the terminal; a token that stays old gives a 401
            header = self._configuration.auth_settings().get("BearerToken", {}).get("value")
        return str(header) if header else None


def load(context: str | None = None) -> Credentials:
    """The Pod's service account where there is one and neither KUBECONFIG nor a context is given, else a kubeconfig."""
    import_module("kubernetes.config")
    account = Path(import_module("kubernetes.config.incluster_config").SERVICE_TOKEN_FILENAME)
    if context is None and not os.environ.get("KUBECONFIG") and account.exists():
        return _in_cluster(account)
    return _kubeconfig(context)


def _in_cluster(account: Path) -> Credentials:
    configuration = _configuration()
    try:
        import_module("kubernetes.config.incluster_config").load_incluster_config(configuration)
        namespace = account.with_name("namespace").read_text().strip()
    except Exception as error:
        raise BadConfiguration(
            f"a Pod's service account is required: {account} is here, but {error}; set "
            f"automountServiceAccountToken, or give KUBECONFIG"
        ) from error
    return _credentials(configuration, namespace)


def _kubeconfig(context: str | None) -> Credentials:
    library = import_module("kubernetes.config.kube_config")
    files = os.environ.get("KUBECONFIG") or "~/.kube/config"
    configuration = _configuration()
    with _overheard() as complaints:
        try:
            merger = library.KubeConfigMerger(files)
            if merger.config is None:
                raise BadConfiguration(
                    f"a kubeconfig or a Pod's service account is required; there is no {files} and "
                    f"this is not a Pod that has one: set KUBECONFIG, or run where a cluster is"
                )
            _check_context(context, merger.config.value, files)
            loader = library.KubeConfigLoader(
                merger.config, context, config_persister=merger.save_changes, config_base_path=None
            )
            loader.load_and_set(configuration)
            settings = dict(loader.current_context["context"])
        except BadConfiguration:
            raise
        except Exception as error:  # of half a dozen kinds, for a file that is not what it should be
            raise BadConfiguration(
                f"a kubeconfig that names server and user is required; {files} cannot be used: "
                f"{_words(error)}; try `kubectl version` with it"
            ) from error
    if not configuration.host:
        raise BadConfiguration(
            f"a cluster with a server is required; the context {_name(context)} of {files} names none"
        )
    if configuration.host.startswith("https") and not configuration.api_key and not configuration.cert_file:
        # The library only logs that an exec plugin failed, and would go on as nobody.
        raise BadConfiguration(
            f"credentials are required; the context {_name(context)} of {files} yields none"
            f"{''.join(f' ({words})' for words in complaints)}; log in, or try `kubectl version` "
            f"with it"
        )
    return _credentials(configuration, str(settings.get("namespace") or ""))


def _check_context(context: str | None, config: dict[str, Any], files: str) -> None:
    names = [str(entry["name"]) for entry in config.get("contexts") or ()]
    wanted = context or config.get("current-context")
    if not wanted:
        raise BadConfiguration(
            f"a context is required; {files} sets no current-context: choose one of "
            f"{', '.join(names) or '(it has none)'}"
        )
    if wanted not in names:
        raise BadConfiguration(
            f"the context {wanted!r} is asked for; {files} has {', '.join(names) or 'none'}: choose one of those"
        )


def _configuration() -> Any:
    configuration = import_module("kubernetes.client").Configuration()
    configuration.host = ""  # instead of http://localhost, which would hide that none was given
    return configuration


def _credentials(configuration: Any, namespace: str) -> Credentials:
    configuration.connection_pool_maxsize = _CONNECTIONS
    pool = import_module("kubernetes.client.rest").RESTClientObject(configuration).pool_manager
    pool.connection_pool_kw["socket_options"] = [  # the configuration's own setting is young
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        *((socket.IPPROTO_TCP, getattr(socket, name), value) for name, value in _KEEPALIVE if hasattr(socket, name)),
    ]
    return Credentials(configuration.host.rstrip("/"), namespace, pool, configuration)


def _name(context: str | None) -> str:
    return repr(context) if context else "in use"


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


class _Ear(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if "kubernetes" in record.pathname:
            self.said.append(" ".join(record.getMessage().split())[:300])


@contextmanager
def _overheard() -> Iterator[list[str]]:
    """What the library says to the root logger, which is how it reports that an exec plugin failed."""
    ear = _Ear()
    logging.getLogger().addHandler(ear)
    try:
        yield ear.said
    finally:
        logging.getLogger().removeHandler(ear)
