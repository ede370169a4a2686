"""Builds and pushes the images that a registry lacks, and notes all of them by digest.

    python -m images.build --registry registry.example.com/prompts [--base IMAGE] [--faiss PACKAGE] [IMAGE ...]

An image's tag is a digest of everything that goes into it, so what the registry has is neither built nor pushed again.
images/built.yaml is configuration for `i2p --preset`: the references, pinned by digest.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from images.builders import Builder, find_builder, find_uv, host_secrets
from images.context import ROOT, Image, image_names, plan, write
from images.errors import ImageError
from images.registry import digest_of
from images.requirements import PARENTS
from pipeline.cli.version import commit, version

BUILT = ROOT / "images" / "built.yaml"


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    options = _options(arguments)
    try:
        if not options.registry:
            raise ImageError("a registry is required, e.g. --registry localhost:5000, or REGISTRY in the environment")
        settings = {key: value for key, value in {"BASE": options.base, "FAISS": options.faiss}.items() if value}
        found = build_images(options.images, registry=options.registry.rstrip("/"), settings=settings)
        if older := noted(options.out).keys() - found.keys():
            print(f"images: noted as before, of an older tree: {', '.join(sorted(older))}", file=sys.stderr)
        write_built(noted(options.out) | found, options.out)
    except ImageError as error:
        print(f"images: {error}", file=sys.stderr)
        return 1
    return 0


def build_images(names: Iterable[str], *, registry: str, settings: Mapping[str, str]) -> dict[str, str]:
    """Make what the registry lacks of these images (all, when none is named); pinned references of all it then has."""
    images = {name: plan(name, registry=registry, settings=settings) for name in image_names()}
    wanted = [images.get(name) or plan(name, registry=registry, settings=settings) for name in names]
    found = {name: digest for name, image in images.items() if (digest := digest_of(image.repository, image.tag))}
    maker = Maker()
    for image in wanted or images.values():
        found[image.name] = found.get(image.name) or maker.make(image)
    maker.report(f"{sum(name in found for name in images)} of {len(images)} images are in {registry}")
    return {name: f"{image.repository}@{found[name]}" for name, image in images.items() if name in found}


class Maker:
    """Builds and pushes images, each after its parent; looks for a builder only when there is something to build."""

    def __init__(self) -> None:
        self.builder: Builder | None = None
        self.since = time.monotonic()

    def make(self, image: Image) -> str:
        """The digest of the image, which the registry has when this returns."""
        if digest := digest_of(image.repository, image.tag):
            return digest
        if image.parent:
            self.make(image.parent)
        self.builder = self.builder or find_builder()
        self.report(f"{image.name}: building {image.tag} with {self.builder.name}")
        with tempfile.TemporaryDirectory(prefix="image-") as name:
            context, private = Path(name) / "context", Path(name) / "secrets"
            context.mkdir()
            private.mkdir(mode=0o700)
            write(image, context, find_uv())
            self.builder.build(image, context, labels=labels_of(image), secrets=host_secrets(private))
        self.report(f"{image.name}: pushing")
        self.builder.push(image)
        if digest := digest_of(image.repository, image.tag):
            return digest
        raise ImageError(
            f"{image.reference} was pushed, but the registry does not have it; does something delete images?"
        )

    def report(self, text: str) -> None:
        print(f"images: {time.monotonic() - self.since:5.0f} s  {text}", file=sys.stderr, flush=True)


def labels_of(image: Image) -> dict[str, str]:
    """The OCI labels. The revision is the one that the image was built from; later ones with equal content share it.

    A parent holds none of the code and has none of its labels: a new revision would make it another image, and builders
    would make torch's layer anew on top of it.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    labels = {"title": f"{project['name']}/{image.name}"}
    if image.name not in PARENTS:
        labels |= {"description": project["description"], "licenses": project["license"]}
        labels |= {"version": version(ROOT), "revision": _revision()}
    return {f"org.opencontainers.image.{name}": value for name, value in labels.items() if value}


def _revision() -> str:
    """The commit of the working tree; empty where there is no git, as in an unpacked archive."""
    return commit(ROOT)


def write_built(references: Mapping[str, str], path: Path) -> None:
    """Note the references as configuration; a file with the same text stays as it is."""
    lines = ["# Written by images/build.py.", "kubernetes:", "  images:" if references else "  images: {}"]
    text = "\n".join([*lines, *(f"    {name}: {reference}" for name, reference in sorted(references.items())), ""])
    if path.is_file() and path.read_text() == text:
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text)
    temporary.replace(path)


def noted(path: Path) -> dict[str, str]:
    """The references that `write_built` has noted before; none where there is no such file."""
    lines = path.read_text().splitlines()[3:] if path.is_file() else []
    return dict(line.strip().split(": ", 1) for line in lines if line.strip())


def _options(arguments: list[str] | None) -> argparse.Namespace:
    about, _, usage = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m images.build",
        description=about,
        epilog=usage,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "images", nargs="*", metavar="IMAGE", help=f"{', '.join(image_names())}; all when none is named"
    )
    parser.add_argument(
        "--registry", default=os.environ.get("REGISTRY"), help="where to push, with any path; or REGISTRY"
    )
    parser.add_argument("--base", help="the Python image that all stand on; pin it by digest in production")
    parser.add_argument("--faiss", help="in place of the extra faiss's package, e.g. faiss-gpu==1.15.1")
    parser.add_argument("--out", type=Path, default=BUILT, help="where the references go; images/built.yaml")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
