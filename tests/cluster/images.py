"""The images of this working tree in a test registry, built on the base that BASE names.

Where BASE is not set, root on Debian 12 makes a base from Debian's packages, which needs no public image registry;
others take `python:3.11-slim`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from images.build import build_images
from images.builders import execute
from images.registry import digest_of, is_local

DEBOOTSTRAP = ("debootstrap", "--variant=minbase", "--include=python3,ca-certificates", "bookworm")
PUBLIC_BASE = "python:3.11-slim"
NOT_NEEDED = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale", "usr/share/man")
DOCKERFILE = """\
FROM scratch
ADD root.tar /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
"""


def built_images(registry: str) -> dict[str, str]:
    """References by digest of all images, by stage; builds what the registry lacks, in one process at a time."""
    with (Path(tempfile.gettempdir()) / "i2p-tests-images").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return build_images((), registry=registry, settings={"BASE": base_image(registry)})


def base_image(registry: str) -> str:
    """The reference of the base, which is made when the registry lacks it: 45 seconds, 123 MB."""
    if given := os.environ.get("BASE"):
        return given
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return PUBLIC_BASE
    recipe = "\n".join((*DEBOOTSTRAP, *NOT_NEEDED, DOCKERFILE))
    tag = hashlib.sha256(recipe.encode()).hexdigest()[:16]
    reference = f"{registry}/base:{tag}"
    if digest_of(f"{registry}/base", tag) is None:
        with tempfile.TemporaryDirectory(prefix="base-image-") as folder:
            _make_base(Path(folder), reference)
    return reference


def _make_base(folder: Path, reference: str) -> None:
    _install_missing("debootstrap", "buildah")
    root, context = folder / "root", folder / "context"
    context.mkdir()
    execute(*DEBOOTSTRAP, str(root))
    without = [f"--exclude=./{name}/*" for name in NOT_NEEDED]
    execute("tar", "-C", str(root), *without, "-cf", str(context / "root.tar"), ".")  # keeps owners, COPY would not
    (context / "Dockerfile").write_text(DOCKERFILE)
    execute("buildah", "bud", "--isolation", "chroot", "--tag", reference, str(context))
    execute("buildah", "push", f"--tls-verify={'false' if is_local(reference) else 'true'}", reference)


def _install_missing(*programs: str) -> None:
    """Install what is missing, each from Debian's package of its name."""
    missing = [program for program in programs if not shutil.which(program)]
    if missing:
        assert os.geteuid() == 0, f"needs {' and '.join(missing)}; install them, or run the tests as root"
        quiet = {"DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], check=True, capture_output=True)
        execute("apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing, **quiet)
