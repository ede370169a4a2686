"""Pictures of openclipart as pairs: what is drawn, what is refused and why, what prompts say; a tower's weights."""

from __future__ import annotations

import importlib.resources
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import safetensors
import torch
from PIL import Image

from benchmarks.clipart import __main__ as command
from benchmarks.clipart import package, pairs, rendering, svg_metadata, weights
from benchmarks.clipart.package import Pictures, pictures_of_folder, pictures_of_package
from benchmarks.clipart.pairs import write_pairs
from benchmarks.clipart.prompts import prompts_of
from benchmarks.clipart.rendering import drawn
from benchmarks.clipart.svg_metadata import Unfit, metadata_in
from benchmarks.clipart.svg_service import Metadata
from jobs.errors import BadConfiguration, BadData
from jobs.imaging.pixels import pixels
from jobs.regressor.model import Regressor
from jobs.regressor.pretrained import load_pretrained, normalisation
from jobs.regressor.values import Architecture
from jobs.runtime.sandbox.pool import Bounds

RED = '<rect width="40" height="20" fill="#f00"/>'


def svg(shapes: str = RED, *, about: str = "", beginning: str = "", size: str = 'width="80pt" height="40pt"') -> bytes:
    return (
        f'<?xml version="1.0"?>{beginning}<svg xmlns="http://www.w3.org/2000/svg" {size} '
        f'xmlns:xlink="http://www.w3.org/1999/xlink">{about}{shapes}</svg>'
    ).encode()


def work(title: str = "", *keywords: str, creator: str = "Ann Other", licence: str = "free") -> str:
    said = "".join(f"<r:li>{keyword}</r:li>" for keyword in keywords)
    return (
        '<metadata><r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:c="http://web.resource.org/cc/" '
        f'xmlns:d="http://purl.org/dc/elements/1.1/"><c:Work><d:title>{title}</d:title><d:creator><c:Agent><d:title>'
        f"{creator}</d:title></c:Agent></d:creator><d:subject><r:Bag>{said}</r:Bag></d:subject>"
        f'<c:license r:resource="{licence}"/></c:Work></r:RDF></metadata>'
    )


def laughs() -> str:
    lines = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    return f'<!DOCTYPE svg [<!ENTITY l0 "ha">{lines}]>'


def folder_of(folder: Path, files: dict[str, bytes]) -> Pictures:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return pictures_of_folder(folder)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def metadata(title: str, *keywords: str, creator: str = "") -> Metadata:
    return Metadata(title=title, keywords=keywords, creator=creator, licence="")


# What a file says


def test_title_keywords_creator_and_licence_are_read_without_blanks() -> None:
    found = metadata_in(svg(about=work(" A  dog\n", "animal", "", " big cat ")))
    assert found == Metadata(title="A dog", keywords=("animal", "big cat"), creator="Ann Other", licence="free")


def test_a_file_that_says_nothing_has_empty_metadata() -> None:
    assert metadata_in(svg()) == metadata("")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (svg(beginning=laughs(), shapes="<text>&l11;</text>"), svg_metadata.ENTITIES),
        (
            svg(beginning='<!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]>', shapes="&x;"),
            svg_metadata.ENTITIES,
        ),
        (svg('<image xlink:href="/etc/hostname" width="9" height="9"/>'), svg_metadata.OUTSIDE),
        (svg('<filter id="f"><feImage href="https://example.com/a.png"/></filter>'), svg_metadata.OUTSIDE),
        (svg()[:-9], svg_metadata.NO_XML),
        (b"", svg_metadata.NO_XML),
    ],
)
def test_what_is_harmful_or_broken_is_refused_with_its_reason(data: bytes, reason: str) -> None:
    with pytest.raises(Unfit) as caught:
        metadata_in(data)
    assert caught.value.reason == reason


def test_an_image_inside_of_the_file_is_none_from_outside() -> None:
    metadata_in(
        svg('<image xlink:href="data:image/png;base64,AAAA"/><use xlink:href="#a"/><a xlink:href="http://a.b"/>')
    )


# What is drawn


def test_a_picture_is_drawn_on_white_with_its_longer_side_fitted() -> None:
    image = drawn(svg(), 64)
    assert (image.size, image.mode) == ((64, 32), "RGB")
    assert (image.getpixel((1, 1)), image.getpixel((60, 30))) == ((255, 0, 0), (255, 255, 255))


def test_a_file_of_this_machine_that_an_image_in_an_image_names_is_not_drawn(tmp_path: Path) -> None:
    Image.new("RGB", (40, 40), (0, 0, 255)).save(tmp_path / "secret.png")
    inner = f"data:image/svg+xml,{svg(f'<image xlink:href=&quot;{tmp_path}/secret.png&quot;/>').decode()}"
    outer = svg(
        RED + f'<image width="80" height="40" xlink:href="{inner.replace("<", "&lt;").replace(chr(34), "&quot;")}"/>'
    )
    assert (0, 0, 255) not in {colour for _, colour in drawn(outer, 64).getcolors() or ()}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (svg("<text x='9' y='9'>words</text>"), rendering.BLANK),
        (svg(size='width="0" height="9"'), rendering.NOT_RENDERED),
        (b"<html/>", rendering.NOT_RENDERED),
        ("\u00e9".encode("latin-1"), rendering.NOT_UTF_8),
    ],
)
def test_what_gives_no_picture_is_refused_with_its_reason(data: bytes, reason: str) -> None:
    with pytest.raises(Unfit) as caught:
        drawn(data, 64)
    assert caught.value.reason == reason


# What prompts say


def test_a_prompt_is_the_title_and_the_keywords_that_add_a_word() -> None:
    found = prompts_of(
        {"a.svg": metadata("Red apple", "apple", "fruit", "hash", "big_fruit", "Ann", creator="Ann Other")}
    )
    assert found == {"a.svg": "Red apple, fruit, big fruit"}


def test_where_several_pictures_have_a_title_the_words_of_the_file_name_are_taken() -> None:
    pictures = {
        "icons/folder_open_ann_01.svg": metadata("Lemon SVG theme", "icon", creator="Annette"),
        "icons/folder_shut_2.svg": metadata("Lemon SVG theme", "icon", creator="Annette"),
        "x.svg": metadata("Clipart by Ann Other - ball_2"),
    }
    assert list(prompts_of(pictures).values()) == ["folder open, icon", "folder shut, icon", "ball 2"]


# What is written


def test_pictures_in_are_those_written_and_those_refused_by_reason(tmp_path: Path) -> None:
    files = {
        "animals/dog.svg": svg(about=work("A dog", "animal")),
        "b.svg": svg(beginning=laughs(), shapes="&l11;"),
        "c.svg": svg("", about=work("nothing")),
        "d.svg": svg('<image xlink:href="/etc/hostname"/>'),
        "12.svg": svg(),
        "e.svg": svg(f"{'<g>' * 200_000}{RED}{'</g>' * 200_000}"),
    }
    (tmp_path / "svg").mkdir()
    (tmp_path / "svg" / "f.svg").symlink_to("animals/dog.svg")
    written = write_pairs(folder_of(tmp_path / "svg", files), tmp_path / "out", size=64, threads=2)
    refused = {one["svg"]: one["reason"] for one in lines(tmp_path / "out" / pairs.REFUSED)}
    deep = refused.pop("e.svg")  # of its parser's limit, or of the process that it ended
    assert deep in {rendering.NOT_RENDERED, "ended the process that decoded it"}
    assert refused == {
        "b.svg": svg_metadata.ENTITIES,
        "c.svg": rendering.BLANK,
        "d.svg": svg_metadata.OUTSIDE,
        "f.svg": pairs.LINK,
        "12.svg": pairs.WORDLESS,
    }
    assert (written.pictures, written.written, sum(written.refused.values())) == (7, 1, 6)
    (row,) = lines(tmp_path / "out" / pairs.METADATA)
    assert row == {
        "file_name": "images/00001.png",
        "text": "A dog, animal",
        "title": "A dog",
        "keywords": ["animal"],
        "creator": "Ann Other",
        "licence": "free",
        "svg": "animals/dog.svg",
    }
    assert [path.name for path in (tmp_path / "out" / "images").iterdir()] == ["00001.png"]
    assert Image.open(tmp_path / "out" / row["file_name"]).size == (64, 32)


def test_a_picture_that_takes_too_long_is_refused_and_the_next_one_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pairs, "_BOUNDS", Bounds(seconds=0.1, memory=512 << 20))
    blur = '<filter id="f"><feTurbulence numOctaves="9999999" baseFrequency="0.1"/></filter><g filter="url(#f)">'
    pictures = folder_of(tmp_path / "svg", {"a.svg": svg(f"{blur}{RED}</g>"), "b.svg": svg(about=work("A dog"))})
    written = write_pairs(pictures, tmp_path / "out", size=64, threads=1)
    assert (written.written, written.refused) == (1, {"took more than 0.1 s to decode": 1})


def test_the_same_pictures_give_the_same_bytes_from_a_package_and_from_a_folder(tmp_path: Path) -> None:
    inside = tmp_path / "package" / package._INSIDE
    files = {f"{name}.svg": svg(about=work(name)) for name in ("one", "two", "three")}
    of_folder = folder_of(inside, files)
    (inside / "more.svg").symlink_to("one.svg")
    of_folder = pictures_of_folder(inside)
    of_package = pictures_of_package(built(tmp_path / "package"), any_version=True)
    assert (of_package.names, of_package.links) == (of_folder.names, of_folder.links)
    for name, pictures in (("a", of_folder), ("b", of_package)):
        write_pairs(pictures, tmp_path / name, size=64, threads=2)
    found = [
        {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.*g*")}
        for name in "ab"
    ]
    assert found[0] == found[1]
    assert len(found[0]) == 3


def built(folder: Path) -> Path:
    """A Debian package of the folder."""
    if not shutil.which("dpkg-deb"):
        pytest.skip("needs dpkg-deb")
    (folder / "DEBIAN").mkdir()
    (folder / "DEBIAN" / "control").write_text(
        f"Package: {package.NAME}\nVersion: 1\nArchitecture: all\nMaintainer: Ann <a@example.com>\nDescription: few\n"
    )
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", str(folder)], check=True, capture_output=True)
    return folder.with_suffix(".deb")


def test_another_version_of_the_package_is_taken_only_when_allowed(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    path = built(tmp_path / "package")
    with pytest.raises(BadData, match="--any-version"):
        pictures_of_package(path)
    assert pictures_of_package(path, any_version=True).names == []


def test_without_apt_get_the_error_says_what_else_can_be_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["clipart", "--out", str(tmp_path / "out")])
    assert command.main() == BadConfiguration.exit_code
    assert "--svg FOLDER" in capsys.readouterr().err


def test_a_folder_that_is_there_whole_stays_and_another_one_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = folder_of(tmp_path / "svg", {"a.svg": svg(about=work("A dog"))})
    (tmp_path / "out").mkdir()
    with pytest.raises(BadConfiguration, match="choose another folder"):
        write_pairs(pictures, tmp_path / "out", size=64, threads=1)
    (tmp_path / "out" / pairs.SUMMARY).write_text("{}")
    monkeypatch.setattr("sys.argv", ["clipart", "--out", str(tmp_path / "out"), "--svg", str(tmp_path / "svg")])
    assert command.main() == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == [pairs.SUMMARY]


# The weights


@pytest.mark.parametrize(("photo", "class_of_imagenet"), [("china.jpg", 698), ("flower.jpg", 985)])
def test_the_tower_with_the_converted_weights_sees_a_palace_and_a_daisy(
    photo: str, class_of_imagenet: int, tmp_path: Path
) -> None:
    path = weights.convert(tmp_path)
    mean, std = normalisation(weights.MODEL, str(path))
    regressor = Regressor(Architecture(model=weights.MODEL, image_size=224, head="linear", mean=mean, std=std)).eval()
    load_pretrained(regressor, str(path), None)
    with Image.open(str(importlib.resources.files("sklearn.datasets.images") / photo)) as image:
        images = torch.from_numpy(pixels(image, 224).copy()).permute(2, 0, 1)[None]
    given = torch.load(weights._package_file(), weights_only=True)
    with torch.inference_mode():
        features = regressor.tower((images.float() - regressor.mean) / regressor.std)
        classes = features @ given["_fc.weight"].T + given["_fc.bias"]
    assert classes.argmax().item() == class_of_imagenet


def test_the_file_of_weights_is_the_same_each_time_and_says_its_licence(tmp_path: Path) -> None:
    first, second = (weights.convert(tmp_path / name) for name in "ab")
    assert first.read_bytes() == second.read_bytes()
    with safetensors.safe_open(first, "pt") as file:
        assert file.metadata()["license"].startswith("Apache-2.0; ")


def test_another_file_than_the_known_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.pth").write_bytes(b"no weights")
    with pytest.raises(BadData, match="SHA-256"):
        weights.tower_weights(tmp_path / "other.pth")
