"""Write the pairs: `python -m benchmarks.clipart --out FOLDER [--svg FOLDER]`; a minute on two quiet cores."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from benchmarks.clipart.package import download, pictures_of_folder, pictures_of_package
from benchmarks.clipart.pairs import SUMMARY, write_pairs
from jobs.errors import I2PError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.clipart", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the folder to write; what is there whole stays")
    parser.add_argument("--svg", type=Path, help="an unpacked package, instead of one that apt-get downloads")
    parser.add_argument("--package", type=Path, help="a package that was downloaded before")
    parser.add_argument("--any-version", action="store_true", help="take another version of the package")
    parser.add_argument("--size", type=int, default=192, help="pixels of the longer side (192)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="pictures drawn at once (all cores)")
    args = parser.parse_args()
    if (args.out / SUMMARY).is_file():
        print(f"{args.out} is there already; to make it anew, remove it")
        return 0
    try:
        if args.svg:
            pictures = pictures_of_folder(args.svg)
        else:
            package = args.package or download(args.out.with_name(f"{args.out.name}.package"))
            pictures = pictures_of_package(package, any_version=args.any_version)
        summary = write_pairs(pictures, args.out, size=args.size, threads=args.threads)
    except I2PError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(summary.text(args.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
