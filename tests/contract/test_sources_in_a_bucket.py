"""Sources in a bucket, on real S3 servers: what is collected is what the same files give on this machine."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from jobs.collect.contract import Collected
from jobs.collect.stage import COLLECT, CollectParams, units
from jobs.contract.declaration import Inputs
from jobs.shards.dataset import Dataset
from jobs.shards.s3 import S3Store
from tests import pictures
from tests.stages import local_run, run_stage

IMAGES = {f"images/{number}.png": pictures.picture(number, seed=number) for number in range(3)}
ROWS = "".join(json.dumps({"file_name": name, "text": f"cat in {name}"}) + "\n" for name in IMAGES).encode()


def tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as out:
        for number, image in enumerate(IMAGES.values()):
            for field, data in (("png", image), ("txt", b"dog %d" % number)):
                member = tarfile.TarInfo(f"{number:04}.{field}")
                member.size = len(data)
                out.addfile(member, io.BytesIO(data))
    return file.getvalue()


LAYOUTS: dict[str, tuple[str, Mapping[str, bytes]]] = {  # kind: what `path` ends with, and the files
    "text": ("lists/*.txt", {f"lists/{name}.txt": f"a cat {name}\na dog {name}\n".encode() for name in "ab"}),
    "imagefolder": ("set", {f"set/{name}": data for name, data in {**IMAGES, "metadata.jsonl": ROWS}.items()}),
    "webdataset": ("tars/0.tar", {"tars/0.tar": tar()}),
}


def params(kind: str, path: str) -> CollectParams:
    return CollectParams.model_validate({"sources": [{"kind": kind, "name": "mine", "path": path}]})


def content(dataset: Dataset) -> list[tuple[str, Mapping[str, Any]]]:
    groups = (Collected(dataset).prompts, Collected(dataset).images)
    return [(one.key, dict(one.raw.fields)) for group in groups for one in group.samples()]


@pytest.mark.parametrize("kind", LAYOUTS)
def test_it_is_collected_as_from_a_folder(s3_store: S3Store, tmp_path: Path, kind: str) -> None:
    path, files = LAYOUTS[kind]
    for name, data in files.items():
        s3_store.put(name, data)
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    there = run_stage(local_run(tmp_path / "there"), COLLECT, params(kind, f"{s3_store.url}/{path}"))
    here = run_stage(local_run(tmp_path / "here"), COLLECT, params(kind, str(tmp_path / path)))
    assert content(there) == content(here)
    assert len(content(there)) == {"text": 4}.get(kind, 6)


def test_an_image_that_changed_there_is_read_again(s3_store: S3Store) -> None:
    path, files = LAYOUTS["imagefolder"]
    for name, data in files.items():
        s3_store.put(name, data)
    settings = params("imagefolder", f"{s3_store.url}/{path}")
    before, same = (units(settings, Inputs(()))[0].reads for _ in range(2))
    assert before == same
    s3_store.put("set/images/1.png", pictures.picture(1, seed=9))
    after = units(settings, Inputs(()))[0].reads
    assert after["metadata.jsonl"] == before["metadata.jsonl"]
    assert after["images"] != before["images"]
