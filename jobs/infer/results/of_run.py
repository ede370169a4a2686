"""The files of the predictions of a run, also of a scheduled one. Light to import."""

from __future__ import annotations

from jobs.runtime.spec import Results

RESULTS = Results(
    name="predictions",
    folder="predictions",
    page="predictions/predictions.html",
    write="jobs.infer.results.writing:write_of_run",
)
