"""Writes the report: the page's own parts and what each stage shows, in one file that loads nothing."""

from __future__ import annotations

from markupsafe import Markup

from jobs.report.html import environment
from jobs.report.page import Section
from jobs.shards.store import Store
from pipeline.configuration.run_config import RunConfig
from pipeline.report import graph_figure, stage_facts
from pipeline.report.exports import put, write_exports
from pipeline.report.run_page import Page, collect_page

REPORT = "report.html"
_TEMPLATE = "pipeline.report/page.html.j2"


def write_report(store: Store, config: RunConfig) -> str:
    """Write `report.html` of the run as it stands now; returns its address. `store` is the run's.

    What the page leads to is written before it: the files that stages of this run export.
    """
    write_exports(store, config)
    return put(store, REPORT, render(collect_page(store, config)).encode())


def render(page: Page) -> str:
    """The page as HTML; equal values give equal pages."""

    def shown(section: Section) -> Markup:
        template = environment().get_template(f"{page.package_of(section)}/{section.template}")
        return Markup(template.render(section.values))  # noqa: S704 - escaped by the template

    return (
        environment()
        .get_template(_TEMPLATE)
        .render(
            page=page,
            shown=shown,
            graph=graph_figure.wide(page.stages) + graph_figure.narrow(page.stages),
            seeds=stage_facts.seeds(page.stages),
            versions=stage_facts.versions(page.stages),
        )
    )
