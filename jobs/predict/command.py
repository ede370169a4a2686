"""The command `i2p predict`. Light to import."""

from __future__ import annotations

import argparse

from jobs.infer.stage import InferParams
from jobs.runtime.commands import Command

_DEFAULTS = {name: field.default for name, field in InferParams.model_fields.items()}


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", metavar="PATH", help="an image, a folder of images, or s3://BUCKET/PREFIX")
    parser.add_argument(
        "--model",
        required=True,
        metavar="RUN[,RUN]",
        help="a trained run, by its name or address, or a folder of `i2p export model`; several with commas between "
        "them predict together",
    )
    parser.add_argument("--store", default="runs", metavar="FOLDER", help="where runs are found by name (default runs)")
    parser.add_argument(
        "--out",
        metavar="FOLDER",
        help="a folder or s3://BUCKET/PREFIX for predictions.csv, predictions.jsonl, vectors.npy, summary.json and the "
        "page predictions.html; without it there is only the table on the terminal",
    )
    parser.add_argument("--force", action="store_true", help="replace other predictions in that folder")
    parser.add_argument("--submission", action="store_true", help="also submission.csv, of the images' vectors")
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    parser.add_argument(
        "--candidates",
        type=int,
        default=_DEFAULTS["num_candidates"],
        metavar="NUMBER",
        help="known prompts for each image (default %(default)s)",
    )
    parser.add_argument(
        "--no-composing",
        dest="composing",
        action="store_false",
        help="give known prompts only: many times quicker, and further from what was read out of the images",
    )
    parser.add_argument(
        "--background",
        default=_DEFAULTS["background"],
        metavar="#RRGGBB",
        help="behind what is transparent (default %(default)s)",
    )
    parser.add_argument(
        "--thumbnail",
        type=int,
        default=_DEFAULTS["thumbnail"],
        metavar="PIXELS",
        help="the longer side of pictures on the page, 0 for none (default %(default)s)",
    )
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="where it computes (default cpu)")
    parser.add_argument(
        "--precision", choices=["fp32", "bf16", "fp16"], default="fp32", help="of the network (default fp32)"
    )
    parser.add_argument("--batch-size", type=int, default=_DEFAULTS["batch_size"], help="images at once (default 64)")
    parser.add_argument("--threads", type=int, help="CPU threads (default: all cores)")


COMMAND = Command(
    name="predict",
    about="Predict the prompts of images with a trained model, without a configuration: of files, folders and buckets, "
    "with what to expect of each prediction, or why there is none.",
    arguments=_arguments,
    run="jobs.predict.run:run",
    extras="infer,submission",
)
