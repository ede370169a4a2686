"""What the S3 store makes of every kind of reply: nothing is believed that is not plainly S3's."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from itertools import count
from operator import methodcaller
from typing import Any

import pytest

from jobs.errors import BAD_CONFIGURATION, TRY_AGAIN, BadConfiguration, I2PError, NotFound, StoreError
from jobs.shards import s3_client
from jobs.shards.digests import sha256
from jobs.shards.s3 import S3Store
from jobs.shards.s3_errors import Archived, Garbled, Unclear
from jobs.shards.store import Body, ObjectStat
from tests.fakes.scripted_s3 import (
    ETAG,
    FOUND,
    HTML,
    MISSING,
    OBJECT,
    WRITTEN,
    Reply,
    Script,
    ScriptedS3,
    listing,
    one_after_the_other,
    refusal,
    xml,
)

Asking = Callable[..., tuple[S3Store, ScriptedS3]]
Operation = Callable[[S3Store], Any]
LARGE = b"x" * (1 << 10)

READ: Operation = methodcaller("read", "name")
STAT: Operation = methodcaller("stat", "name")
VERSION: Operation = methodcaller("version", "name")
CREATE: Operation = methodcaller("create", "name", b"a")
REPLACE: Operation = methodcaller("replace", "name", b"a", version='"old"')
CREATE_IN_PARTS: Operation = methodcaller("create", "name", LARGE)
PUT: Operation = methodcaller("put", "name", b"a")
DELETE: Operation = methodcaller("delete", "name")
SWEEP: Operation = methodcaller("sweep")


def LIST(store: S3Store) -> list[ObjectStat]:  # noqa: N802, an operation like the others
    return list(store.list("in/"))


ALL = {
    "read": READ,
    "stat": STAT,
    "version": VERSION,
    "list": LIST,
    "create": CREATE,
    "replace": REPLACE,
    "create in parts": CREATE_IN_PARTS,
    "put": PUT,
    "delete": DELETE,
    "sweep": SWEEP,
}


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[S3Store, ScriptedS3]]:
    """A store on a server that follows a script; requests are sent once."""
    with ScriptedS3(one_after_the_other([FOUND])) as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr(s3_client, "TRIES", 1)
        patch.setattr(s3_client, "pause", lambda tries: None)
        for name, value in (
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
            ("AWS_ENDPOINT_URL", server.address),
        ):
            patch.setenv(name, value)
        yield S3Store("bucket", part_size=len(LARGE) - 1, timeout_seconds=2), server


@pytest.fixture
def asking(served: tuple[S3Store, ScriptedS3]) -> Asking:
    """The store, whose server will reply so from now on, and the server."""

    def ask(*replies: Reply, script: Script | None = None) -> tuple[S3Store, ScriptedS3]:
        store, server = served
        server.script = script or one_after_the_other(replies)
        server.asked.clear()
        store._connection._bucket_is_there, store._connection.etags_are_md5 = False, True
        return served

    return ask


def test_right_replies_are_believed(asking: Asking) -> None:
    assert READ(asking(FOUND)[0]) == Body(b"a", ETAG, sha256(b"a"))
    assert STAT(asking(FOUND)[0]) == ObjectStat("name", 1)
    assert STAT(asking(MISSING, xml("", 200))[0]) is None
    assert CREATE(asking(WRITTEN)[0]) is True
    assert DELETE(asking(Reply(204))[0]) is None
    pages = asking(listing("in/a", more="1"), listing(more="2"), listing("in/b"))[0]
    assert LIST(pages) == [ObjectStat("in/a", 1), ObjectStat("in/b", 1)]


@pytest.mark.parametrize("operation", ALL.values(), ids=ALL)
def test_a_page_for_people_is_no_answer(asking: Asking, operation: Operation) -> None:
    store, _ = asking(HTML)
    with pytest.raises(Garbled, match="none of S3's") as raised:
        operation(store)
    assert "s3://bucket" in str(raised.value) and raised.value.exit_code == TRY_AGAIN


def without(name: str) -> Reply:
    headers = {key: value for key, value in OBJECT.items() if key != name}
    return Reply(200, headers, b"a", announced_length=name != "Content-Length")


OTHERS = {"x-amz-meta-sha256": "0" * 64}
UPLOAD = xml("<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>")
PART = Reply(200, OBJECT | {"Content-Length": "0"})
RANGED = OBJECT | {"Content-Range": "bytes 0-0/2"}


@pytest.mark.parametrize(
    ("operation", "replies", "noted"),
    [
        (CREATE, [Reply(200), MISSING], "an ETag is required, given None"),
        (CREATE, [Reply(200, {"ETag": "two words"}), MISSING], "an ETag is required"),
        (REPLACE, [Reply(200), Reply(200, OBJECT | {"ETag": '"old"', **OTHERS})], "an ETag is required"),
        (PUT, [Reply(200)], "an ETag is required"),
        (DELETE, [Reply(203)], "given status 203"),
        (STAT, [without("ETag")], "an ETag is required"),
        (STAT, [without("Content-Length")], "Content-Length is required, given None"),
        (VERSION, [without("ETag")], "an ETag is required"),
        (READ, [without("ETag")], "an ETag is required"),
        (READ, [without("Content-Length")], "Content-Length is required"),
        (READ, [Reply(200, OBJECT | {"Content-Length": "one"}, b"a")], "none of S3's"),
        (READ, [Reply(206, RANGED, b"a")], "given a part: 'bytes 0-0/2'"),
        (READ, [Reply(200, RANGED, b"a")], "given a part"),
        (LIST, [Reply(200)], "IsTruncated is required"),
        (LIST, [xml("<ListBucketResult><Name>bucket</Name></ListBucketResult>")], "IsTruncated is required"),
        (LIST, [Reply(200, {"Content-Type": "application/xml"}, b"<ListBucketRes")], "s3://bucket/in/"),
        (LIST, [listing(extra="<Contents><Size>1</Size></Contents>")], "Key is required"),
        (LIST, [listing(extra="<Contents><Key>in/a</Key></Contents>")], "in/a: .*Size is required"),
        (LIST, [listing(extra="<Contents><Key>in/a</Key><Size>-1</Size></Contents>")], "Size is required"),
        (LIST, [listing(extra="<Contents><Key>in/a</Key><Size>big</Size></Contents>")], "none of S3's"),
        (LIST, [xml("<R><Name>bucket</Name><IsTruncated>true</IsTruncated></R>")], "NextContinuationToken is required"),
        (LIST, [listing("out/a")], "'out/a', which was not asked for"),
        (LIST, [listing("in/b", "in/a")], "'in/a' after 'in/b'"),
        (LIST, [listing("in/a", more="same")], "'in/a' after 'in/a'"),
        (LIST, [listing(more="same")], "does not go on"),
        (LIST, [listing(more="1"), listing(more="2"), listing(more="1")], "does not go on"),
        (CREATE_IN_PARTS, [MISSING, Reply(200), MISSING], "UploadId is required"),
        (CREATE_IN_PARTS, [MISSING, UPLOAD, Reply(200), Reply(204), MISSING], "an ETag is required"),
        (CREATE_IN_PARTS, [MISSING, UPLOAD, PART, PART, HTML, Reply(204), MISSING], "given status 200 and text/html"),
        (SWEEP, [xml("<R><Bucket>b</Bucket></R>")], "IsTruncated is required"),
    ],
)
def test_a_reply_that_lacks_something_is_an_error(
    asking: Asking, operation: Operation, replies: list[Reply], noted: str
) -> None:
    store, server = asking(*replies)
    with pytest.raises(StoreError, match=noted) as raised:
        operation(store)
    assert "s3://bucket" in str(raised.value), "it names the object"
    assert raised.value.exit_code == TRY_AGAIN
    assert len(server.asked) < 20


def test_a_listing_whose_pages_are_all_empty_ends(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.shards.s3_replies._MOST_EMPTY_PAGES", 10)
    numbers = count()
    store, server = asking(script=lambda _method, _path: listing(more=str(next(numbers))))
    with pytest.raises(StoreError, match="does not go on"):
        LIST(store)
    assert len(server.asked) == 11


def test_a_write_that_was_answered_by_a_page_is_settled_by_what_is_there(asking: Asking) -> None:
    digest = sha256(b"a")
    ours = Reply(200, OBJECT | {"x-amz-meta-sha256": digest})
    assert CREATE(asking(HTML, ours)[0]) is True
    assert REPLACE(asking(HTML, ours)[0]) is True
    theirs = Reply(200, OBJECT | OTHERS)
    assert CREATE(asking(HTML, theirs)[0]) is False
    assert REPLACE(asking(HTML, theirs)[0]) is False


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("operation", [READ, STAT, LIST, CREATE], ids=["read", "stat", "list", "create"])
def test_redirections_in_a_circle_end(asking: Asking, operation: Operation, status: int) -> None:
    def around(_method: str, path: str) -> Reply:
        return Reply(status, {"Location": f"http://127.0.0.1:1{path}", "x-amz-bucket-region": "eu-west-1"})

    store, server = asking(script=around)
    with pytest.raises(I2PError):
        operation(store)
    assert len(server.asked) < 500


@pytest.mark.parametrize(
    ("status", "code", "kind", "noted"),
    [
        (403, "AccessDenied", BadConfiguration, "may not do this"),
        (403, "InvalidAccessKeyId", BadConfiguration, "may not do this"),
        (403, "SignatureDoesNotMatch", BadConfiguration, "may not do this"),
        (401, "Unauthorized", BadConfiguration, "may not do this"),
        (403, "RequestTimeTooSkewed", StoreError, "the clock of this machine, .* differs too much"),
        (403, "InvalidObjectState", Archived, "restore it"),
        (400, "ExpiredToken", StoreError, "credentials have expired"),
        (403, "ExpiredToken", StoreError, "credentials have expired"),
        (429, "TooManyRequests", Unclear, "s3://bucket"),
        (400, "RequestTimeout", Unclear, "s3://bucket"),
        (503, "SlowDown", Unclear, "s3://bucket"),
        (404, "NoSuchBucket", BadConfiguration, "no such bucket"),
    ],
)
@pytest.mark.parametrize("operation", [READ, LIST, CREATE, PUT], ids=["read", "list", "create", "put"])
def test_a_refusal_is_reported_by_its_code(
    asking: Asking, operation: Operation, status: int, code: str, kind: type[I2PError], noted: str
) -> None:
    def refused(method: str, path: str) -> Reply:
        return refusal(status, code) if method != "HEAD" else Reply() if path == "/bucket" else MISSING

    store, _ = asking(script=refused)
    with pytest.raises(kind, match=noted) as raised:
        operation(store)
    assert raised.value.exit_code == (BAD_CONFIGURATION if kind is BadConfiguration else TRY_AGAIN)


def test_bytes_under_the_etag_of_another_version_are_read_again(asking: Asking) -> None:
    digest = sha256(b"a")
    new = OBJECT | {"ETag": '"new"'}
    torn, whole = Reply(200, new | OTHERS, b"a"), Reply(200, new | {"x-amz-meta-sha256": digest}, b"a")
    assert READ(asking(torn, whole)[0]) == Body(b"a", '"new"', digest)
    store, server = asking(torn)
    assert READ(store) == Body(b"a", '"new"', digest), "damage is for the reader, who knows what should be there"
    assert len(server.asked) == 2
    numbers = count()
    store, server = asking(
        script=lambda _method, _path: Reply(200, torn.headers | {"ETag": f'"{next(numbers)}"'}, b"a")
    )
    with pytest.raises(StoreError, match="not of the ETag"):
        READ(store)


def test_why_head_is_refused_is_asked_for(asking: Asking) -> None:
    def skewed(method: str, _path: str) -> Reply:
        return Reply(403) if method == "HEAD" else refusal(403, "RequestTimeTooSkewed")

    store, server = asking(script=skewed)
    with pytest.raises(StoreError, match="clock"):
        STAT(store)
    assert [method for method, _ in server.asked] == ["HEAD", "GET"]
    with pytest.raises(BadConfiguration, match="may not do this"):
        STAT(asking(Reply(403), FOUND)[0])


@pytest.mark.parametrize("operation", [READ, STAT, CREATE, LIST], ids=["read", "stat", "create", "list"])
def test_a_missing_bucket_is_distinguished_from_a_missing_object(asking: Asking, operation: Operation) -> None:
    store, server = asking(script=lambda method, _path: Reply(404) if method == "HEAD" else MISSING)
    with pytest.raises(BadConfiguration, match="no such bucket"):
        operation(store)
    assert ("HEAD", "/bucket") in server.asked


def test_a_bucket_that_is_known_is_not_asked_for_again(asking: Asking) -> None:
    def only_bucket(_method: str, path: str) -> Reply:
        return Reply(200) if path == "/bucket" else MISSING

    store, server = asking(script=only_bucket)
    for _ in range(3):
        with pytest.raises(NotFound):
            READ(store)
    assert server.asked.count(("HEAD", "/bucket")) == 1


PIECES: list[Reply] = [
    FOUND,
    WRITTEN,
    MISSING,
    HTML,
    UPLOAD,
    PART,
    listing("in/a", "in/b"),
    listing(more="1"),
    refusal(403, "AccessDenied"),
    refusal(412, "PreconditionFailed"),
    refusal(503, "SlowDown"),
    Reply(206, RANGED, b"a"),
    Reply(204),
]
VALUES = ["", "-1", "0", "1", "9" * 30, "NaN", "é", "bytes 0-0/1", "text/html", "chunked", "gzip", '"', "Wed", "<"]
HEADERS = [
    "ETag",
    "Content-Length",
    "Content-Range",
    "Content-Type",
    "Last-Modified",
    "Location",
    "x-amz-meta-sha256",
    "x-amz-bucket-region",
    "x-amz-checksum-crc32",
    "Retry-After",
    "Content-Encoding",
    "Date",
]


def mutated(random_: random.Random) -> Reply:
    """A right reply with some things wrong."""
    reply = random_.choice(PIECES)
    status, headers, body = reply.status, dict(reply.headers), bytearray(reply.body)
    for _ in range(random_.randint(0, 3)):
        match random_.randrange(6):
            case 0:
                status = random_.choice([200, 204, 206, 301, 307, 400, 403, 404, 409, 412, 416, 429, 500, 501, 503])
            case 1:
                headers[random_.choice(HEADERS)] = random_.choice(VALUES)
            case 2 if headers:
                del headers[random_.choice(list(headers))]
            case 3 if body:
                body[random_.randrange(len(body))] = random_.randrange(256)
            case 4 if body:
                del body[random_.randrange(len(body)) :]
            case 5:
                body += random_.choice([b"<", b"</Name>", b"\0", b"<Contents/>", b"&x;", bytes(10)])
    if int(headers["Content-Length"]) > len(body) if headers.get("Content-Length", "").isdigit() else False:
        headers["Content-Length"] = str(len(body) + 1)
    return Reply(status, headers, bytes(body))


@pytest.mark.parametrize("seed", range(4))
def test_no_reply_raises_anything_but_our_errors(asking: Asking, seed: int, fuzz_rounds: int = 300) -> None:
    random_, operations = random.Random(seed), list(ALL.values())  # noqa: S311, to be repeated
    store, server = asking(script=lambda _method, _path: mutated(random_))
    began = time.monotonic()
    for turn in range(fuzz_rounds):
        server.asked.clear()
        try:
            operations[turn % len(operations)](store)
        except I2PError as error:
            assert "s3://bucket" in str(error)
        assert len(server.asked) < 500, "it ends"
    assert time.monotonic() - began < 120
