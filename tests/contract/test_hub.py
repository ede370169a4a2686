"""Sources on the Hugging Face hub, from a hub on this machine: pinned, resumed, digests checked, refusals explained."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import constants

from jobs.collect.contract import Collected
from jobs.collect.stage import COLLECT, CollectParams, units
from jobs.contract.declaration import Inputs
from jobs.errors import STORE_AWAY, BadConfiguration, BadData, NotFound, StoreAway, StoreError, exit_code_of
from jobs.shards import web
from jobs.shards.address import open_file
from jobs.shards.digests import sha256
from jobs.shards.store import Downloads, Readable
from tests import pictures
from tests.fakes.hub import Hub, Revision, refusal
from tests.fakes.web_server import CERTIFICATE, Page, WebServer
from tests.samples import noise
from tests.stages import local_run, run_stage

FIRST, SECOND = "1" * 40, "2" * 40
SMALL = b"a small cat\na small dog\n"
LARGE = "".join(f"prompt number {number} of the first commit\n" for number in range(5000)).encode()
CHANGED = LARGE.replace(b"first", b"second")
FILES = {"README.md": b"# name\n", "data/a.txt": LARGE, "data/b.txt": SMALL, "data/deeper/c.txt": SMALL}


@pytest.fixture
def cdn(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    """The server that sends large files."""
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    with WebServer() as one:
        yield one


@pytest.fixture
def hub(cdn: WebServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A dataset of two commits, and nothing else of the hub in the environment; no pause between tries."""
    monkeypatch.setattr(web, "pause", lambda tries: None)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    huggingface_hub.close_session()
    with Hub(cdn) as one:
        one.commits[FIRST] = Revision(FILES, frozenset({"data/a.txt"}))
        one.commits[SECOND] = Revision({**FILES, "data/a.txt": CHANGED}, frozenset({"data/a.txt"}))
        one.branches["main"] = SECOND
        monkeypatch.setenv("HF_ENDPOINT", one.url)
        monkeypatch.setenv("I2P_PRIVATE_HOSTS", cdn.host)
        yield one


def address(path: str, revision: str = FIRST, dataset: str = "owner/name") -> str:
    return f"hf://datasets/{dataset}@{revision}/{path}"


def reader(hub: Hub, path: str, revision: str = FIRST, **limits: Any) -> tuple[Readable, str]:
    downloads = Downloads(private_hosts=frozenset({hub.cdn.host}), **limits)
    return open_file(address(path, revision), downloads=downloads)


def params(path: str, **more: Any) -> CollectParams:
    return CollectParams.model_validate({"sources": [{"kind": "text", "name": "hub", "path": path, **more}]})


def test_a_source_on_the_hub_is_collected_and_goes_on_after_a_cut(hub: Hub, cdn: WebServer, tmp_path: Path) -> None:
    hub.cut_after[:] = [50_000, 20_000]
    dataset = run_stage(local_run(tmp_path), COLLECT, params(address("data/a.txt")))
    assert {sample.text() for sample in dataset.samples()} == set(LARGE.decode().splitlines())
    assert cdn.ranges("/cdn/") == [None, "bytes=50000-", "bytes=70000-"]
    assert {one.path.split("/resolve/")[1] for one in hub.asked if "/resolve/" in one.path} == {f"{FIRST}/data/a.txt"}
    (unit,) = units(params(address("data/a.txt")), Inputs(()))
    assert unit.reads == {"a.txt": sha256(LARGE)}, "the digest that the hub names, which is that of the content"
    assert [outcome.reads for outcome in dataset.manifest.outcomes] == [unit.reads]


def test_another_commit_is_another_version_where_the_file_changed(hub: Hub) -> None:
    versions = {
        (path, revision): units(params(address(path, revision)), Inputs(()))[0].reads
        for path in ("data/a.txt", "data/b.txt")
        for revision in (FIRST, SECOND)
    }
    assert versions["data/a.txt", FIRST] != versions["data/a.txt", SECOND]
    assert versions["data/b.txt", FIRST] == versions["data/b.txt", SECOND]
    assert not [one for one in hub.asked if one.method in ("GET", "HEAD")], "nothing is downloaded for a version"


def test_a_pattern_names_the_files_of_one_folder(hub: Hub, tmp_path: Path) -> None:
    hub.page_size = 1
    found = units(params(address("data/*.txt")), Inputs(()))
    assert [list(unit.reads) for unit in found] == [["a.txt"], ["b.txt"]]
    assert len([one for one in hub.asked if "/tree/" in one.path]) == 3, "a request a page, and none for each file"
    dataset = run_stage(local_run(tmp_path), COLLECT, params(address("data/?.txt")))
    assert sum(1 for _ in dataset.samples()) == 5002
    for pattern in ("data/*.csv", "elsewhere/*.txt"):
        with pytest.raises(BadConfiguration, match="there is no file"):
            units(params(address(pattern)), Inputs(()))
    with pytest.raises(BadConfiguration, match="only in the last part"):
        units(params(address("*/a.txt")), Inputs(()))


def test_a_folder_of_pairs_on_the_hub_is_collected(hub: Hub, tmp_path: Path) -> None:
    images = {f"images/{number}.png": pictures.picture(number, seed=number) for number in range(3)}
    rows = "".join(json.dumps({"file_name": name, "text": f"cat in {name}"}) + "\n" for name in images)
    files = {f"set/{name}": data for name, data in {**images, "metadata.jsonl": rows.encode()}.items()}
    hub.commits[FIRST] = Revision(files, frozenset({"set/images/1.png"}))
    source = {"kind": "imagefolder", "name": "hub", "path": address("set")}
    settings = CollectParams.model_validate({"sources": [source]})
    (unit,) = units(settings, Inputs(()))
    assert list(unit.reads) == ["metadata.jsonl", "images"]
    assert not [one for one in hub.asked if "/resolve/" in one.path], "nothing is downloaded for a version"
    collected = Collected(run_stage(local_run(tmp_path), COLLECT, settings))
    found = {one.text(): one.value.given[0].sha256 for one in collected.prompts.samples()}
    assert found == {f"cat in {name}": sha256(data) for name, data in images.items()}
    assert {one.key: one["png"] for one in collected.images.samples()} == {sha256(one): one for one in images.values()}


def test_what_is_there_and_what_is_not(hub: Hub) -> None:
    files, name = reader(hub, "data/b.txt")
    stat = files.stat(name)
    assert stat and (stat.size, stat.version) == (len(SMALL), files.version(name))
    assert files.read(name).data == SMALL
    assert [one.name for one in files.list("")] == ["a.txt", "b.txt", "deeper/c.txt"]
    assert files.at("deeper").read("c.txt").data == SMALL
    assert [one.name for one in files.at("deeper").list("")] == ["c.txt"]
    assert [one.name for one in open_file(address("README.md"))[0].list("data/d")] == ["data/deeper/c.txt"]
    assert files.stat("missing") is None
    for ask in (files.read, files.open, files.version):
        with pytest.raises(NotFound, match="missing does not exist"):
            ask("missing")


@pytest.mark.parametrize("revision", ["main", "v1", FIRST[:12], "1" * 41, "A" * 40, ""])
def test_a_revision_that_is_no_commit_is_refused_with_the_commit_that_it_is_now(hub: Hub, revision: str) -> None:
    with pytest.raises(BadConfiguration, match="a commit of 40 digits is required") as raised:
        open_file(address("data/a.txt", revision))
    assert (f"pin it: {address('data', SECOND)}" in str(raised.value)) == (revision == "main")


@pytest.mark.parametrize(
    "path",
    [
        "hf://datasets/name/a.txt",
        "hf://datasets/name@main/a.txt",
        "hf://owner/name@main/a.txt",
        "hf://models/owner/name@main/a.txt",
        "hf://datasets/owner/../x@main/a.txt",
        "hf://a.txt",
    ],
)
def test_an_address_that_is_no_dataset_is_refused(path: str) -> None:
    with pytest.raises(BadConfiguration, match=r"hf://datasets/OWNER/NAME@COMMIT/PATH"):
        open_file(path)


@pytest.mark.parametrize(
    "body", [b"3", b"[{}]", b"no JSON", b'[{"type": "file", "path": "a", "size": -1, "oid": "1"}]']
)
def test_an_answer_that_is_none_of_the_hubs_is_an_error(hub: Hub, body: bytes) -> None:
    hub.instead[:] = [Page(body)]
    files, _ = open_file(address("a"))
    with pytest.raises(StoreError, match="none"):
        files.stat("a")


def test_the_token_is_for_the_hub_alone(hub: Hub, cdn: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    files, name = reader(hub, "data/a.txt")
    assert files.read(name).data == LARGE
    assert {one.headers.get("authorization") for one in hub.asked} == {"Bearer hf_secret"}
    assert [one.headers.get("authorization") for one in cdn.asked] == [None]


def test_without_a_token_in_the_environment_none_is_sent(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("hf_of_this_machine")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    assert huggingface_hub.get_token() == "hf_of_this_machine"
    assert reader(hub, "data/b.txt")[0].read("b.txt").data == SMALL
    assert {one.headers.get("authorization") for one in hub.asked} == {None}


def test_the_hub_sends_on_to_public_servers_only(hub: Hub) -> None:
    files, name = open_file(address("data/a.txt"))
    with pytest.raises(BadConfiguration, match="not a public address"):
        files.open(name)


def test_limits_hold(hub: Hub) -> None:
    with pytest.raises(BadData, match=r"bytes or more, at most 1,000"):
        reader(hub, "data/a.txt", most_bytes=1000)[0].open("a.txt")
    hub.cut_after[:] = [10]
    with pytest.raises(StoreError, match=r"more than 0 s went by"):
        reader(hub, "data/a.txt", most_seconds=0)[0].open("a.txt")


@pytest.mark.parametrize("path", ["data/a.txt", "data/b.txt"])
def test_bytes_that_are_not_those_of_the_digest_are_refused(hub: Hub, path: str) -> None:
    files, name = reader(hub, path)
    files.version(name)
    same_size = noise(len(FILES[path]))
    hub.commits[FIRST] = Revision({**FILES, path: same_size}, frozenset({"data/a.txt"}))
    with pytest.raises(StoreError, match="it was damaged on its way, try again"):
        files.open(name)


@pytest.mark.parametrize(
    ("page", "kind", "message"),
    [
        (
            refusal(401, "RepoNotFound"),
            BadConfiguration,
            "there is no dataset at .*/datasets/owner/name, or .*HF_TOKEN",
        ),
        (refusal(403, "GatedRepo"), BadConfiguration, "accept them at .*/datasets/owner/name, and set HF_TOKEN"),
        (refusal(404, "RevisionNotFound"), BadConfiguration, "no such revision"),
        (refusal(403), BadConfiguration, "does not give it to everyone"),
        (refusal(400), StoreError, "400"),
    ],
)
def test_a_refusal_says_what_to_do(hub: Hub, page: Page, kind: type[Exception], message: str) -> None:
    hub.instead.append(page)
    with pytest.raises(kind, match=message):
        reader(hub, "data/a.txt")[0].stat("a.txt")


@pytest.mark.parametrize("page", [refusal(429, **{"Retry-After": "30"}), refusal(503), refusal(500)])
def test_what_passes_by_itself_is_waited_for_and_worth_a_retry(hub: Hub, page: Page) -> None:
    hub.instead[:] = [page] * web.TRIES
    with pytest.raises(StoreAway) as raised:
        reader(hub, "data/a.txt")[0].stat("a.txt")
    assert exit_code_of(raised.value) == STORE_AWAY
    assert raised.value.retry_in == float(page.headers.get("Retry-After", 0))
    hub.instead[:] = [refusal(503)]
    assert reader(hub, "data/a.txt")[0].stat("a.txt")


def test_a_hub_that_is_not_there_is_away(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(StoreAway, match=r"http://127\.0\.0\.1:9 does not answer"):
        open_file(address("data/a.txt"))[0].stat("a.txt")


def test_offline_nothing_is_asked(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(BadConfiguration, match="HF_HUB_OFFLINE is set"):
        open_file(address("data/a.txt"))[0].stat("a.txt")
    assert hub.asked == []


def test_nothing_is_left_in_a_cache(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_HUB_CACHE", "HF_XET_CACHE", "HF_HOME"):
        monkeypatch.setattr(constants, name, str(tmp_path / name))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    reader(hub, "data/a.txt")[0].open("a.txt").close()
    assert not list(tmp_path.iterdir())
