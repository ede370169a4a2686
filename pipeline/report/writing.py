"""Writes the report: the page's own parts and what each stage shows, in one file that loads nothing."""

from __future__ import annotations

from importlib import resources

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from jobs.report import formatting
from jobs.report.page import Section
from jobs.shards.store import Store
from pipeline.configuration.run_config import RunConfig
from pipeline.report import graph_figure, stage_facts
from pipeline.report.exports import put, write_exports
from pipeline.report.run_page import Page, collect_page

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

    What the page leads to is written before it: the files that stages of this run export.
    """
    write_exports(store, config)
    return put(store, REPORT, render(collect_page(store, config)).encode())


def render(page: Page) -> str:
    """The page as HTML; equal values give equal pages."""
    environment = Environment(
        loader=FunctionLoader(_template),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {function.__name__: function for function in _FILTERS}
    environment.globals["macros"] = environment.get_template("jobs.report/macros.html.j2").module

    def shown(section: Section) -> Markup:
        template = environment.get_template(f"{page.package_of(section)}/{section.template}")
        return Markup(template.render(section.values))  # noqa: S704 - escaped by the template

    style = Markup((resources.files("pipeline.report") / "style.css").read_text())  # noqa: S704 - the page's own
    return environment.get_template("page.html.j2").render(
        page=page,
        style=style,
        shown=shown,
        graph=graph_figure.wide(page.stages) + graph_figure.narrow(page.stages),
        seeds=stage_facts.seeds(page.stages),
        versions=stage_facts.versions(page.stages),
    )


def _template(name: str) -> str:
    """The source of a template, `PACKAGE/NAME`, or a NAME of the page's own."""
    package, _, file = name.rpartition("/")
    return (resources.files(package or "pipeline.report") / file).read_text(encoding="utf-8")
