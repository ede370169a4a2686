"""What dedup adds to the command line: the filter of files, and a run's prompts in the same files."""

from __future__ import annotations

import argparse

from jobs.runtime.commands import Command, Export
from jobs.runtime.models import LOCAL_SENTENCE_MODEL

MODEL = LOCAL_SENTENCE_MODEL


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="text, .csv, .tsv or .jsonl, also .gz, or .parquet")
    parser.add_argument(
        "--column",
        metavar="C",
        help="the prompts' (default: prompt, text or caption, or the only one); a number, counted from 1, where a CSV "
        "or TSV has no header",
    )
    parser.add_argument(
        "--threshold", type=float, default=0.8, help="prompts are near duplicates from this cosine on (default 0.8)"
    )
    parser.add_argument("--out", required=True, metavar="FOLDER", help="where kept.*, dropped.csv and summary.json go")
    parser.add_argument("--force", action="store_true", help="replace an earlier result in that folder")
    parser.add_argument(
        "--model", default=MODEL, help=f"a folder, package:NAME, or a hub repository in the cache (default {MODEL})"
    )
    parser.add_argument("--revision", metavar="COMMIT", help="of a hub repository, 40 digits")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="where it computes (default cpu)")
    parser.add_argument("--threads", type=int, help="CPU threads (default: all cores)")


COMMAND = Command(
    name="dedup",
    about="Filter near duplicates out of files of prompts, without a run: keep a prompt unless one kept before it is "
    "as close as the threshold, and say which.",
    arguments=_arguments,
    run="jobs.dedup.tool.run:run",
    extras="collect,embed,dedup,local",
)

EXPORT = Export(
    name="dedup",
    about="kept prompts, dropped ones with their witnesses, and the counts",
    content="jobs.export.contents.dedup:content",
    write="jobs.dedup.tool.export:write",
    extras="dedup",
)
