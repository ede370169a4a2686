"""The run's report: one self-contained HTML page that a browser shows without any network."""

from __future__ import annotations

from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from jobs.shards.store import Store
from pipeline.configuration.run_config import RunConfig
from pipeline.report import figures, formatting, stage_facts
from pipeline.report.data import Page, collect_page
from pipeline.report.exports import put, write_submission

REPORT = "report.html"

_FILTERS = (
    formatting.count,
    formatting.cosine,
    formatting.percent,
    formatting.size,
    formatting.duration,
    formatting.moment,
    formatting.plural,
    formatting.listed,
)


def write_report(store: Store, config: RunConfig) -> str:
    """Write `report.html` of the run as it stands now; returns its address. `store` is the run's.

    What the page leads to is written before it: `submission.csv`, where this run has made one.
    """
    write_submission(store, config)
    return put(store, REPORT, render(collect_page(store, config)).encode())


def render(page: Page) -> str:
    """The page as HTML; equal values give equal pages."""
    environment = Environment(
        loader=PackageLoader("pipeline.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {function.__name__: function for function in _FILTERS}
    style = Markup((resources.files("pipeline.report") / "style.css").read_text())  # noqa: S704 - the page's own
    return environment.get_template("page.html.j2").render(
        page=page,
        style=style,
        figures=figures,
        seeds=stage_facts.seeds(page.stages),
        versions=stage_facts.versions(page.stages),
    )
