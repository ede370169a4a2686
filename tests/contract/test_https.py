"""Sources behind https://: which servers are asked, what they may send, and what happens when they break off."""

from __future__ import annotations

import gzip
import pickle
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs.collect.stage import COLLECT, CollectParams, units
from jobs.contract.declaration import Inputs
from jobs.errors import STORE_AWAY, BadConfiguration, BadData, NotFound, StoreAway, StoreError, exit_code_of
from jobs.runtime.environment import PRIVATE_HOSTS_VARIABLE, private_hosts
from jobs.shards import https, web
from jobs.shards.address import open_file, open_store
from jobs.shards.digests import sha256
from jobs.shards.store import Downloads, Readable
from jobs.shards.web_address import is_public, parsed
from pipeline.configuration.run_config import load_config
from tests.fakes.web_server import CERTIFICATE, Page, WebServer
from tests.samples import noise
from tests.stages import local_run, run_stage

BODY = noise(300_000)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    """A server on this machine whose certificate is accepted; no pause between tries."""
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    monkeypatch.setattr(web, "pause", lambda tries: None)
    https._kept.clear()
    with WebServer() as one:
        yield one


def reader(server: WebServer, path: str = "/data/a.csv", **limits: Any) -> tuple[Readable, str]:
    downloads = Downloads(private_hosts=frozenset({server.host}), **limits)
    return open_file(server.url + path, downloads=downloads)


def downloaded(server: WebServer, page: Page, **limits: Any) -> bytes:
    """What is read of a page, whose server is allowed."""
    server.pages["/data/a.csv"] = page
    files, name = reader(server, **limits)
    with files.open(name) as file:
        return file.read()


def test_a_file_is_read_and_its_version_is_known_without_reading_it(server: WebServer) -> None:
    server.pages["/data/a.csv"] = Page(BODY, '"abc"')
    files, name = reader(server)
    stat = files.stat(name)
    assert stat and stat.size == len(BODY) and stat.version == files.version(name)
    assert server.ranges() == [], "a GET"
    assert files.read(name).data == BODY
    again: Readable = pickle.loads(pickle.dumps(files))  # noqa: S301, what was dumped just here
    assert again.version(name) == stat.version
    assert (
        open_file(f"{server.url}/a", downloads=Downloads(private_hosts=frozenset({server.host})))[0]
        .at("data")
        .version(name)
        == stat.version
    )
    sent = server.asked[-1].headers
    assert (sent["host"], sent["accept-encoding"]) == (server.host, "identity")
    server.pages["/data/a.csv"] = Page(BODY, '"abd"')
    assert files.version(name) != stat.version
    server.pages["/other/a.csv"] = Page(BODY, '"abc"')
    assert reader(server, "/other/a.csv")[0].version(name) != stat.version, "an ETag is of one address"


@pytest.mark.parametrize("etag", [None, 'W/"weak"', "none"])
def test_without_a_strong_etag_the_content_is_downloaded_once_for_its_digest(
    server: WebServer, etag: str | None
) -> None:
    server.pages["/data/a.csv"] = Page(BODY, etag, headers={"Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"})
    files, name = reader(server)
    assert files.version(name) == sha256(BODY)
    assert files.read(name).data == BODY == files.read(name).data
    stat = files.stat(name)
    assert stat and stat.size == len(BODY)
    assert server.ranges() == [None], "one GET for all"


def test_a_file_that_is_not_there_is_not_found(server: WebServer) -> None:
    files, name = reader(server)
    assert files.stat(name) is None
    for ask in (files.read, files.open, files.version):
        with pytest.raises(NotFound, match=r"a\.csv does not exist"):
            ask(name)


@pytest.mark.parametrize("status", [403, 405, 501])
@pytest.mark.parametrize("body", [BODY, b""])
def test_where_head_is_refused_one_byte_is_asked_for(server: WebServer, status: int, body: bytes) -> None:
    server.pages["/data/a.csv"] = Page(body, head_status=status)
    files, name = reader(server)
    stat = files.stat(name)
    assert stat and stat.size == len(body)
    assert server.ranges() == ["bytes=0-0"]
    assert files.read(name).data == body


def test_a_download_that_breaks_off_goes_on_where_it_was(server: WebServer) -> None:
    assert downloaded(server, Page(BODY, cut_after=[100_000, 50_000])) == BODY
    assert server.ranges() == [None, "bytes=100000-", "bytes=150000-"]
    assert [one.headers.get("if-range") for one in server.asked] == [None, None, '"1"', '"1"']


def test_a_download_begins_again_where_parts_might_not_go_together(server: WebServer) -> None:
    assert downloaded(server, Page(BODY, None, cut_after=[100_000])) == BODY
    assert downloaded(server, Page(BODY, ranges=False, cut_after=[100_000])) == BODY


def test_a_file_that_changes_while_it_is_downloaded_is_never_mixed(server: WebServer) -> None:
    server.pages["/data/a.csv"] = Page(BODY, '"old"', cut_after=[100_000])
    files, name = reader(server)
    answer = server.page

    def changing(asked: Any, body: bytes) -> Page:
        if "range" in asked.headers:
            return Page(BODY[::-1], '"new"')
        return answer(asked, body)

    server.page = changing  # type: ignore[method-assign]
    with pytest.raises(StoreError, match='its ETag was "old", and is "new" now'):
        files.open(name)


@pytest.mark.parametrize("announced", [len(BODY) + 1, None])
def test_a_server_that_breaks_off_for_ever_is_away(server: WebServer, announced: int | None) -> None:
    server.pages["/data/a.csv"] = Page(BODY, announced=announced, cut_after=[0] * 1000)
    files, name = reader(server)
    if announced:
        with pytest.raises(StoreAway) as raised:
            files.open(name)
        assert exit_code_of(raised.value) == STORE_AWAY
        assert len(server.ranges()) == web.TRIES
    else:  # the end of the connection is the end of the content, as long as nothing else was said
        assert files.read(name).data == b""


def test_a_length_that_is_not_the_one_of_before_is_no_file(server: WebServer) -> None:
    server.pages["/data/a.csv"] = Page(BODY, '"1"')
    files, name = reader(server)
    answer = server.page

    def shorter(asked: Any, body: bytes) -> Page:
        return Page(BODY[:-1]) if asked.method == "GET" else answer(asked, body)

    server.page = shorter  # type: ignore[method-assign]
    with pytest.raises(StoreError, match=r"300,000 bytes, and sends 299,999"):
        files.open(name)


def test_a_file_larger_than_the_limit_is_refused_before_it_is_read_or_as_soon_as_it_is(server: WebServer) -> None:
    with pytest.raises(BadData, match=r"300,000 bytes or more, at most 1,000 .* raise `limits\.download_mib`"):
        downloaded(server, Page(BODY), most_bytes=1000)
    assert server.ranges() == []
    with pytest.raises(BadData, match=r"at most 1,000 are downloaded"):
        downloaded(server, Page(BODY, announced=None), most_bytes=1000)


def test_compressed_content_is_refused_unread(server: WebServer) -> None:
    bomb = Page(gzip.compress(bytes(10 << 20)), headers={"Content-Encoding": "gzip"})
    with pytest.raises(BadData, match="Content-Encoding 'gzip'"):
        downloaded(server, bomb)
    assert server.ranges() == []
    assert downloaded(server, Page(BODY, headers={"Content-Encoding": "identity"})) == BODY


def test_a_server_that_drips_is_cut_off_after_the_time(server: WebServer) -> None:
    began = time.monotonic()
    with pytest.raises(StoreError, match=r"more than 0\.5 s went by, and \d+ bytes .* raise `limits.download_seconds`"):
        downloaded(server, Page(BODY, seconds_a_byte=0.1), most_seconds=0.5)
    assert time.monotonic() - began < 5


# Who is asked


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("http://localhost:PORT/x", "is not encrypted; only https:// is asked"),
        ("https://169.254.169.254/latest/meta-data", "at 169.254.169.254, which is not a public address"),
        ("https://localhost/x", "which is not a public address"),
        ("https://[::ffff:10.0.0.1]/x", "which is not a public address"),
        ("https://user:password@localhost:PORT/x", "name or password"),
        ("ftp://localhost/x", "a URL is https://HOST/PATH"),
        ("", "sends on to nowhere"),
        ("/data/a.csv", "more than 5 redirections"),
    ],
)
@pytest.mark.parametrize("status", [302, 308])
def test_a_redirection_leads_to_public_encrypted_servers_only(
    server: WebServer, target: str, message: str, status: int
) -> None:
    headers = {"Location": target.replace("PORT", str(server.port))}
    server.pages["/data/a.csv"] = Page(status=status, head_status=status, headers=headers)
    files, name = reader(server)
    with pytest.raises(BadConfiguration, match=message) as raised:
        files.open(name)
    assert "user:password" not in str(raised.value)
    assert len(server.asked) <= 6


def test_a_redirection_to_another_server_is_followed(server: WebServer) -> None:
    moved = Page(status=302, head_status=302, headers={"Location": "../elsewhere/b.csv?signature=1"})
    server.pages["/elsewhere/b.csv"] = Page(BODY, cut_after=[10])
    assert downloaded(server, moved) == BODY
    assert server.ranges("/elsewhere/b.csv?signature=1") == [None, "bytes=10-"]


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.1", "224.0.0.1",
        "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1",
        "fec0::1", "ff0e::1", "2001:db8::1", "::ffff:127.0.0.1", "2002:7f00:1::1", "2002:a00:1::1", "64:ff9b::a00:1",
        "64:ff9b:1::1", "2001::1", "::127.0.0.1",
    ],
)  # fmt: skip
def test_an_address_that_is_not_of_the_internet_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "2130706433", "0x7f.1", "[::1]", "127.1"])
def test_this_machine_is_not_asked_however_it_is_written(server: WebServer, host: str) -> None:
    files, name = open_file(f"https://{host}:{server.port}/a.csv")
    with pytest.raises(BadConfiguration, match="not a public address"):
        files.stat(name)
    assert server.asked == []


def test_a_name_is_looked_up_once_and_that_address_is_connected_to(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up, original = [], socket.getaddrinfo

    def lookup(host: str, port: int, *args: Any, **options: Any) -> Any:
        """A name that stands for a public address at first and for this machine later; and the way to that address."""
        looked_up.append(host)
        if host == "public.example" and looked_up.count(host) == 1:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", port))]
        return original("127.0.0.1", port, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    server.pages["/a.csv"] = Page(BODY)
    files, name = open_file(f"https://public.example:{server.port}/a.csv")
    assert files.stat(name), "the certificate is that of the name"
    assert looked_up == ["public.example", "93.184.216.34"]
    assert server.asked[-1].headers["host"] == f"public.example:{server.port}"
    with pytest.raises(BadConfiguration, match=r"is at 127\.0\.0\.1, which is not a public address"):
        files.stat(name)


def test_a_certificate_of_another_name_is_refused(server: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    host = f"127.0.0.1:{server.port}"
    files, name = open_file(f"https://{host}/a.csv", downloads=Downloads(private_hosts=frozenset({host})))
    with pytest.raises(BadConfiguration, match=r"certificate is not accepted .* SSL_CERT_FILE"):
        files.stat(name)
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(BadConfiguration, match="certificate is not accepted"):
        reader(server)[0].stat("a.csv")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://user:secret@example.org/a.csv", "name or password"),
        ("https:///a.csv", "a URL is"),
        ("https://example.org:0/a.csv", "a URL is"),
        ("https://example.org:x/a.csv", "is not a URL"),
        ("https://example.org\\@localhost/a.csv", "a URL is"),
        ("https://exämple.org/a.csv", "a URL is"),
        ("https://example.org/a b/c.csv", "a URL is"),
        ("https://[fe80::1/a.csv", "is not a URL"),
    ],
)
def test_an_address_that_is_no_url_or_has_a_password_is_refused(url: str, message: str) -> None:
    with pytest.raises(BadConfiguration, match=message) as raised:
        open_file(url)
    assert "secret" not in str(raised.value)


def test_a_name_is_escaped_where_it_is_not(server: WebServer) -> None:
    server.pages["/data/%C3%A9t%C3%A9%20(1).csv"] = Page(BODY)
    files, _ = reader(server)
    for name in ("été (1).csv", "%C3%A9t%C3%A9%20(1).csv"):
        assert files.read(name).data == BODY


@pytest.mark.parametrize("name", ["a.csv?download=1", "a.csv#part", "*.csv", ""])
def test_a_file_is_named_by_its_path_alone(name: str) -> None:
    files, _ = open_file(f"https://example.org/{name}")
    with pytest.raises(BadData, match=r"named by its path alone, without \?, # and \*"):
        files.stat(name)


def test_plain_http_is_no_address() -> None:
    with pytest.raises(BadConfiguration, match=r"a file is in .* or https://HOST/PATH or s3://.*, not 'http://x/a'"):
        open_file("http://x/a")
    assert parsed("https://x/a?b").target == "/a?b"


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_asks_for_patience_gets_it(
    server: WebServer, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    waited: list[float] = []

    class Clock:
        now = 0.0

        def monotonic(self) -> float:
            return self.now

        def sleep(self, seconds: float) -> None:
            waited.append(seconds)
            self.now += seconds
            server.pages["/a.csv"] = Page(BODY) if self.now >= 40 else server.pages["/a.csv"]

    monkeypatch.setattr("jobs.shards.patience.time", Clock())
    server.pages["/a.csv"] = Page(status=status, head_status=status, headers={"Retry-After": "40"})
    downloads = Downloads(private_hosts=frozenset({server.host}))
    files, name = open_file(f"{server.url}/a.csv", patience_seconds=100, downloads=downloads)
    assert files.stat(name)
    assert sum(waited) == pytest.approx(40)
    server.pages["/a.csv"] = Page(status=status, head_status=status, headers={"Retry-After": "40"})
    with pytest.raises(StoreAway, match=f"does not answer now \\({status}\\)"):
        reader(server, "/a.csv")[0].stat(name)


@pytest.mark.parametrize("status", [401, 403])
def test_a_file_that_is_not_for_everyone_is_refused(server: WebServer, status: int) -> None:
    with pytest.raises(BadConfiguration, match="does not give it to everyone"):
        downloaded(server, Page(status=status, head_status=status))


# In a configuration


def test_a_source_behind_https_is_collected(server: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PRIVATE_HOSTS_VARIABLE, server.host)
    text = gzip.compress("".join(f"prompt number {number}\n" for number in range(1000)).encode())
    server.pages["/lists/a.txt.gz"] = Page(text, cut_after=[100])
    source = {"kind": "text", "name": "web", "path": f"{server.url}/lists/a.txt.gz"}
    params = CollectParams.model_validate({"sources": [source]})
    dataset = run_stage(local_run(tmp_path), COLLECT, params)
    assert sum(1 for _ in dataset.samples()) == 1000
    assert server.ranges() == [None, "bytes=100-"]
    (unit,) = units(params, Inputs(()))
    assert list(unit.reads) == ["a.txt.gz"]
    many = CollectParams.model_validate({"sources": [{**source, "path": f"{server.url}/lists/*.txt"}]})
    with pytest.raises(BadConfiguration, match="cannot be listed; name each one"):
        units(many, Inputs(()))
    monkeypatch.delenv(PRIVATE_HOSTS_VARIABLE)
    with pytest.raises(BadConfiguration, match="not a public address"):
        units(params, Inputs(()))


@pytest.mark.parametrize("store", ["https://example.org/runs", "hf://datasets/o/n@main/runs"])
def test_no_run_is_stored_where_nothing_can_be_written(store: str) -> None:
    message = r"a store is a folder or s3://BUCKET/PREFIX, not '.*', whose files can only be read"
    with pytest.raises(BadConfiguration, match=message):
        open_store(store)
    with pytest.raises(BadConfiguration, match=f"store: {message}"):
        load_config("demo", [f"store={store}"])


def test_private_hosts_are_named_with_their_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PRIVATE_HOSTS_VARIABLE, " Mirror.corp:443, localhost:8443,")
    assert private_hosts() == {"mirror.corp:443", "localhost:8443"}
    monkeypatch.setenv(PRIVATE_HOSTS_VARIABLE, "mirror.corp")
    with pytest.raises(BadConfiguration, match="I2P_PRIVATE_HOSTS: HOST:PORT is required"):
        private_hosts()
