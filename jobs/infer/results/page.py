"""Predictions as a page: pictures with their prompts, to be searched and sorted; works from a disk, without a server.

predictions.html
page/rows-00000.js            what is shown of 2,000 images each; the page loads all of them
page/pictures/000/000012.webp small copies, which the browser loads when they come into view
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from markupsafe import Markup

from jobs.infer.results.rows import Outcome, Row
from jobs.infer.results.summary import Counts
from jobs.report.html import environment, text_of

PAGE = "predictions.html"
FOLDER = "page/"
ROWS_PER_FILE = 2_000
_OUTCOMES = {outcome: number for number, outcome in enumerate(Outcome)}
_PACKAGE = "jobs.infer.results"


def page(counts: Counts, model: str, rows: Sequence[str], tables: Sequence[str]) -> bytes:
    """The page itself; `rows` are the names of the files that it loads, `tables` of those that it leads to."""
    script = Markup(text_of(_PACKAGE, "page.js"))  # noqa: S704 - the page's own
    template = environment().get_template(f"{_PACKAGE}/page.html.j2")
    text = template.render(counts=counts, model=model, rows=sorted(rows), tables=tables, script=script)
    return text.encode()


def rows_file(number: int) -> str:
    """The name of a file of rows."""
    return f"{FOLDER}rows-{number:05d}.js"


def picture_name(position: int) -> str:
    """The name of the small copy of the image at this position."""
    return f"{FOLDER}pictures/{position // 1000:03d}/{position:06d}.webp"


def rows_script(first: int, rows: Sequence[Row]) -> bytes:
    """A script that gives the page these rows, which are at the positions from `first` on."""
    values = json.dumps([list(_shown(row)) for row in rows], ensure_ascii=True, separators=(",", ":"))
    return f"addRows({first},{values});\n".encode()


def _shown(row: Row) -> Iterator[Any]:
    """What page.js takes: file, outcome, expected cosine, interval, reason, whether it has a picture, candidates, each
    with its cosine and whether it is composed.
    """
    prediction = row.prediction
    yield prediction.id
    yield _OUTCOMES[row.outcome]
    yield prediction.expected_cosine
    yield prediction.interval
    yield row.reason
    yield int(row.thumbnail is not None)
    yield [[one.prompt, one.cosine, int(one.kind == "composed")] for one in prediction.candidates]
