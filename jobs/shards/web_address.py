"""URLs, and which of them may be asked: https only, of hosts whose addresses are all public.

Who writes a URL, or an answer that leads to another one, must not make this machine ask its own network in their name.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Network, ip_address
from urllib.parse import urljoin, urlsplit

from jobs.errors import BadConfiguration, StoreAway

_PORTS = {"https": 443, "http": 80}
_VISIBLE = re.compile(r"[!-\[\]-~]+")  # ASCII without blanks and without the backslash, which some take for a slash
_GLOBAL_UNICAST = IPv6Network("2000::/3")  # all else is reserved, local or multicast
_TRANSLATED = IPv6Network("64:ff9b::/96")  # NAT64: the last four bytes are an address of IPv4


@dataclass(frozen=True, slots=True)
class WebAddress:
    """The parts of a URL."""

    scheme: str
    host: str
    port: int
    target: str  # path and query

    @property
    def host_and_port(self) -> str:
        """HOST:PORT, also where the port is the scheme's own."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def authority(self) -> str:
        """The same without the port where it is the scheme's own, as it is sent to the server."""
        return self.host_and_port.removesuffix(f":{_PORTS[self.scheme]}")

    @property
    def origin(self) -> str:
        """SCHEME://HOST:PORT."""
        return f"{self.scheme}://{self.host_and_port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target.partition('?')[0]}"  # a query may be a signature


@dataclass(frozen=True, slots=True)
class Access:
    """Which servers may be asked beside the public ones, and what is sent to whom."""

    private_hosts: frozenset[str] = frozenset()  # HOST:PORT that may have an address that is not public
    trusted: str = ""  # the origin of a server that an operator named: at any address, also without encryption
    headers: Mapping[str, str] = field(default_factory=dict)  # for the trusted server alone, such as a token


def parsed(url: str) -> WebAddress:
    """The parts of a URL; raises BadConfiguration where it is none, or where a name or a password stands in it."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadConfiguration(f"{url!a} is not a URL: {error}") from error
    if not _VISIBLE.fullmatch(url) or parts.scheme not in _PORTS or not parts.hostname or port == 0:
        raise BadConfiguration(
            f"a URL is https://HOST/PATH, with other characters than those of ASCII, and blanks, as %XX; given {url!a}"
        )
    if "@" in parts.netloc:
        raise BadConfiguration(
            f"https://{parts.hostname}/…: a URL with a user's name or password in it is not asked, since it would be "
            "stored and printed; use a file that anyone may read, or download it first"
        )
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return WebAddress(parts.scheme, parts.hostname, port or _PORTS[parts.scheme], target)


def redirected(address: WebAddress, location: str | None, where: str) -> WebAddress:
    """The URL that a server sends on to; raises BadConfiguration where it is none."""
    if not location:
        raise BadConfiguration(f"{where}: {address} sends on to nowhere; correct the address")
    return parsed(urljoin(f"{address.origin}{address.target}", location))


def addresses_of(address: WebAddress, access: Access, where: str) -> list[str]:
    """The IP addresses of a URL's host, if it may be asked; raises BadConfiguration, StoreAway without an answer."""
    if address.origin != access.trusted and address.scheme != "https":
        raise BadConfiguration(f"{where}: {address} is not encrypted; only https:// is asked")
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise StoreAway(f"{where}: the name {address.host!r} has no address now ({error}); is it right?") from error
    addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
    if address.origin != access.trusted and address.host_and_port not in access.private_hosts:
        for one in addresses:
            if not is_public(one):
                raise BadConfiguration(
                    f"{where}: {address} is at {one}, which is not a public address, and is not asked; correct the "
                    f"address, or let whoever runs this allow the private host {address.host_and_port}"
                )
    return addresses


def is_public(address: str) -> bool:
    """Whether an IP address is one of the internet, and so is any address of IPv4 that it stands for."""
    ip = ip_address(address)
    if isinstance(ip, IPv4Address):
        return ip.is_global and not ip.is_multicast and not ip.is_reserved
    inside = ip.ipv4_mapped or ip.sixtofour
    if ip in _TRANSLATED:
        inside = IPv4Address(ip.packed[-4:])
    return is_public(str(inside)) if inside is not None else ip.is_global and ip in _GLOBAL_UNICAST
