"""What this package adds to the command line: the score on pairs of one's own."""

from __future__ import annotations

import argparse

from jobs.runtime.commands import Command
from jobs.runtime.models import LOCAL_SENTENCE_MODEL


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pairs", metavar="PAIRS", help="a folder, a file of pairs, or several with * in the last part")
    parser.add_argument(
        "--kind",
        metavar="KIND",
        help="how the pairs are laid out, as a source's kind: imagefolder, sidecar, csv-pairs, webdataset, parquet, "
        "png-parameters, … (default: recognised)",
    )
    parser.add_argument("--column", metavar="C", help="the prompts' column, or field of a WebDataset")
    parser.add_argument("--image", metavar="RULE", help="of a table, as '{file}.png'; of parquet, the images' column")
    parser.add_argument("--images", metavar="FOLDER", help="of a table whose images are not beside it")
    parser.add_argument(
        "--model",
        metavar="RUN[,RUN]",
        help="a trained run, by its name or address, or a folder of `i2p export model`; several with commas between "
        "them predict together",
    )
    parser.add_argument("--store", default="runs", metavar="FOLDER", help="where runs are found by name (default runs)")
    parser.add_argument(
        "--predictions",
        metavar="FILE",
        action="append",
        default=[],
        help="of another system: CSV, JSON lines or parquet with file and prompt, vectors as .npy, submission.csv, or "
        "a folder with predictions.jsonl and vectors.npy; may be given several times",
    )
    parser.add_argument(
        "--against", metavar="FILE", nargs="+", default=[], help="more predictions, each compared with the first system"
    )
    parser.add_argument("--out", metavar="FOLDER", help="where scores.csv, score.json and score.html go")
    parser.add_argument("--force", action="store_true", help="replace an earlier result in that folder")
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    parser.add_argument(
        "--embedding",
        default=LOCAL_SENTENCE_MODEL,
        metavar="MODEL",
        help=f"a folder, package:NAME, or a hub repository in the cache (default {LOCAL_SENTENCE_MODEL})",
    )
    parser.add_argument("--revision", metavar="COMMIT", help="of a hub repository, 40 digits")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="where it computes (default cpu)")
    parser.add_argument("--threads", type=int, help="CPU threads (default: all cores)")


COMMAND = Command(
    name="score",
    about="Score predictions on your own pairs of image and prompt: those of a run's network, or of any other system. "
    "Two systems are compared on the same pictures.",
    arguments=_arguments,
    run="jobs.score.run:run",
    extras="collect,embed,infer,local,pipeline",
)
