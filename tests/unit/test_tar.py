"""Shards: one digest for the same samples, read by the webdataset library and the other way round, never trusted."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import webdataset
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.errors import BadData, Corrupt
from jobs.shards.tar import Sample, TarSummary, index_tar, read_tar, write_tar
from jobs.shards.tar_header import BLOCK
from tests.samples import SAMPLES, SAMPLES_DIGEST, json_of

KEYS = st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="./"), min_size=1, max_size=20).filter(
    lambda key: not key.startswith("__")
)
FIELDS = st.from_regex(r"[a-z0-9][a-z0-9_]{0,5}(\.[a-z0-9_]{1,5})?", fullmatch=True)
BODIES = st.dictionaries(FIELDS, st.binary(max_size=2000), min_size=1, max_size=4)


def written(samples: Iterable[Sample]) -> tuple[bytes, TarSummary]:
    file = io.BytesIO()
    summary = write_tar(samples, file)
    return file.getvalue(), summary


def tar_of(*members: tuple[str | tarfile.TarInfo, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for member, body in members:
            info = tarfile.TarInfo(member) if isinstance(member, str) else member
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    return file.getvalue()


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def by_webdataset(path: Path) -> list[dict[str, Any]]:
    return list(webdataset.WebDataset(str(path), shardshuffle=False))


def test_the_same_samples_always_have_the_same_digest() -> None:
    _, summary = written(SAMPLES)
    assert summary == TarSummary(10240, SAMPLES_DIGEST, 3, "a1", "雪")


def test_a_digest_depends_on_nothing_of_the_process() -> None:
    program = (
        "import io; from tests.samples import SAMPLES; from jobs.shards.tar import write_tar;"
        "print(write_tar(SAMPLES, io.BytesIO()).sha256)"
    )
    environment = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "USER": "someone"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == SAMPLES_DIGEST


@given(st.dictionaries(KEYS, BODIES, max_size=5))
def test_what_is_written_is_read(contents: dict[str, dict[str, bytes]]) -> None:
    samples = [Sample(key, contents[key]) for key in sorted(contents)]
    data, summary = written(samples)
    assert list(read_tar(data)) == samples
    assert (summary.size, summary.samples) == (len(data), len(samples))
    assert written(Sample(one.key, dict(reversed(list(one.fields.items())))) for one in samples) == (data, summary)


def test_tar_and_python_read_it_too(tmp_path: Path) -> None:
    path = tmp_path / "shard.tar"
    path.write_bytes(written(SAMPLES)[0])
    listed = subprocess.run(["tar", "-tf", path], capture_output=True, text=True, check=True, env={"LC_ALL": "C.UTF-8"})
    assert listed.stdout.split() == ["a1.json", "a1.npy", "a1.txt", "a2-ü.seg.png", "a2-ü.txt", "雪.jpg"]
    with tarfile.open(path) as tar:
        assert {(member.mtime, member.uid, member.mode, member.uname) for member in tar} == {(0, 0, 0o644, "")}


def test_an_empty_shard_holds_no_samples() -> None:
    data, summary = written([])
    assert (summary.samples, summary.first_key, summary.last_key) == (0, None, None)
    assert list(read_tar(data)) == []


def test_webdataset_reads_what_is_written_here(tmp_path: Path) -> None:
    path = tmp_path / "shard.tar"
    path.write_bytes(written(SAMPLES)[0])
    found = by_webdataset(path)
    assert [one["__key__"] for one in found] == [sample.key for sample in SAMPLES]
    for one, sample in zip(found, SAMPLES, strict=True):
        assert {name: body for name, body in one.items() if not name.startswith("__")} == sample.fields


@settings(max_examples=25)
@given(st.dictionaries(KEYS, BODIES, min_size=1, max_size=4))
def test_webdataset_reads_whatever_is_written_here(contents: dict[str, dict[str, bytes]]) -> None:
    data, _ = written(Sample(key, contents[key]) for key in sorted(contents))
    streams = [{"url": "shard", "stream": io.BytesIO(data)}]
    files = webdataset.tariterators.tar_file_expander(streams)
    found = {one["__key__"]: one for one in webdataset.tariterators.group_by_keys(files)}
    assert found.keys() == contents.keys()
    for key, fields in contents.items():
        assert {name: found[key][name] for name in found[key] if not name.startswith("__")} == fields


def test_what_webdataset_writes_is_read_here(tmp_path: Path) -> None:
    long = "a-rather-long-folder/" * 8 + "x" * 150
    samples: list[dict[str, Any]] = [
        {"__key__": "folder/one", "txt": "text", "json": {"a": 1}, "cls": 3},
        {"__key__": long, "txt": "beyond ustar's 100 bytes", "seg.PNG": b"upper case"},
        {"__key__": "ünï", "bin": b"\x00" * 600},
    ]
    path = tmp_path / "shard.tar"
    with webdataset.TarWriter(str(path)) as writer:
        for sample in samples:
            writer.write(sample)
    found = {sample.key: sample for sample in read_tar(path.read_bytes())}
    assert list(found) == ["folder/one", long, "ünï"]
    assert json_of(found["folder/one"]) == {"a": 1}
    assert (found["folder/one"].text(), found["folder/one"]["cls"]) == ("text", b"3")
    assert found[long].fields == {"txt": b"beyond ustar's 100 bytes", "seg.png": b"upper case"}
    assert [(one["__key__"], one.get("bin")) for one in by_webdataset(path)] == [
        (key, found[key].fields.get("bin")) for key in found
    ]


def test_shards_of_webdatasets_shard_writer_are_read_here(tmp_path: Path) -> None:
    with webdataset.ShardWriter(str(tmp_path / "%03d.tar"), maxcount=4, verbose=0) as writer:
        for number in range(10):
            writer.write({"__key__": f"{number:03d}", "txt": f"text {number}"})
    found = [[sample.text() for sample in read_tar(path.read_bytes())] for path in sorted(tmp_path.glob("*.tar"))]
    assert found == [[f"text {number}" for number in range(start, min(start + 4, 10))] for start in (0, 4, 8)]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (tar_of((special("a.txt", tarfile.SYMTYPE, "/etc/passwd"), b"")), "not a regular file"),
        (tar_of(("a.txt", b"x"), (special("b.txt", tarfile.LNKTYPE, "a.txt"), b"")), "not a regular file"),
        (tar_of((special("a.dev", tarfile.CHRTYPE), b"")), "not a regular file"),
        (tar_of((special("a.fifo", tarfile.FIFOTYPE), b"")), "not a regular file"),
        (tar_of((special("folder.d", tarfile.DIRTYPE), b"")), "not a regular file"),
        (tar_of((special("a.txt", tarfile.GNUTYPE_SPARSE), b"x" * 600)), "not a"),
        (tar_of(("a.txt", b"1"), ("a.txt", b"2")), "is in it twice"),
        (tar_of(("a.txt", b"1"), ("a.TXT", b"2")), "is in it twice"),
        (tar_of(("a.txt", b"1"), ("b.txt", b"2"), ("a.json", b"3")), "are in two positions"),
        (tar_of(("README", b"1")), "not KEY.FIELD"),
        (tar_of((".hidden", b"1")), "not KEY.FIELD"),
        (tar_of(("a.", b"1")), "not KEY.FIELD"),
        (tar_of(("a.txt", b"1")) + tar_of(("b.txt", b"2")), "bytes after the end marker"),
        (b"", "not a whole tar"),
        (b"not a tar at all", "not a whole tar"),
        (b"\x1f\x8b" + bytes(2000), "not a whole tar"),
    ],
)
def test_a_tar_that_no_shard_can_be_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(Corrupt, match=reason):
        read_tar(data, name="shards/x.tar")


def test_names_that_lead_elsewhere_stay_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = tar_of(("../../escape.txt", b"1"), ("/absolute.txt", b"2"))
    assert [sample.key for sample in read_tar(data)] == ["../../escape", "/absolute"]
    assert list(tmp_path.iterdir()) == []


def test_a_header_with_a_negative_size_is_refused() -> None:
    """On Python before 3.11.14 the tarfile module goes round in a circle on such a header (CVE-2025-8194)."""
    header = bytearray(tar_of(("a.txt", b""))[:BLOCK])
    header[124:136] = b"\xff" * 10 + b"\xfe\x00"  # -512 in base 256
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\x00 " % sum(header)
    with pytest.raises(Corrupt, match="not a regular file"):
        read_tar(bytes(header) + bytes(2 * BLOCK))


def test_every_cut_is_noticed_without_the_digest() -> None:
    data, summary = written(SAMPLES)
    last_byte = max(end for fields in index_tar(data).values() for _, end in fields.values())
    end_of_marker = -(-last_byte // BLOCK) * BLOCK + 2 * BLOCK
    for size in range(0, end_of_marker, 64):
        with pytest.raises(Corrupt):
            read_tar(data[:size])
    assert summary.samples == len(list(read_tar(data[:end_of_marker])))  # only padding is missing


@settings(max_examples=300)
@given(st.data())
def test_damage_is_corruption_or_harmless_never_another_error(draw: st.DataObject) -> None:
    data = bytearray(written(SAMPLES)[0])
    for _ in range(draw.draw(st.integers(1, 4))):
        data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    with suppress(Corrupt):
        list(read_tar(bytes(data)))


@pytest.mark.parametrize(
    "sample",
    [
        Sample("a.b", {"txt": b""}),
        Sample("a/b", {"txt": b""}),
        Sample("", {"txt": b""}),
        Sample("a\0", {"txt": b""}),
        Sample("\udcff", {"txt": b""}),
        Sample("__meta", {"txt": b""}),
        Sample("a", {"TXT": b""}),
        Sample("a", {"__key__": b""}),
        Sample("a", {"": b""}),
        Sample("a", {"x/y": b""}),
        Sample("k" * 97, {"txt": b""}),
        Sample("é" * 49, {"txt": b""}),
        Sample("a", {}),
    ],
)
def test_a_sample_that_could_not_be_read_back_is_not_written(sample: Sample) -> None:
    with pytest.raises(BadData):
        written([sample])


def test_the_longest_names_are_written() -> None:
    samples = [Sample("k" * 96, {"txt": b"1"}), Sample("é" * 48, {"txt": b"2"})]
    assert list(read_tar(written(samples)[0])) == samples


@pytest.mark.parametrize("keys", [["b", "a"], ["a", "a"]])
def test_keys_must_ascend(keys: list[str]) -> None:
    with pytest.raises(ValueError, match="must ascend strictly"):
        written(Sample(key, {"txt": b""}) for key in keys)


def test_fields_are_only_added() -> None:
    sample = SAMPLES[0].adding(png=b"image")
    assert sample["png"] == b"image"
    with pytest.raises(ValueError, match="only added"):
        sample.adding(txt=b"other")


@pytest.mark.parametrize(
    ("fields", "look"),
    [
        ({"npy": b""}, Sample.text),
        ({"txt": b"\xff"}, Sample.text),
    ],
)
def test_a_field_that_is_not_there_or_not_what_it_should_be_is_reported(
    fields: dict[str, bytes], look: Callable[[Sample], Any]
) -> None:
    with pytest.raises(Corrupt, match="sample a"):
        look(Sample("a", fields))
