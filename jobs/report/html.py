"""The templates of pages as HTML, in one style; pages load nothing from elsewhere."""

from __future__ import annotations

from functools import cache
from importlib import resources

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from jobs.report import formatting

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
_HERE = "jobs.report"


@cache
def environment() -> Environment:
    """Renders templates named `PACKAGE/FILE`; an undefined value is an error, and all values are escaped."""
    made = Environment(
        loader=FunctionLoader(lambda name: text_of(*name.split("/", 1))),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {function.__name__: function for function in _FILTERS}
    made.globals["macros"] = made.get_template(f"{_HERE}/macros.html.j2").module
    made.globals["style"] = Markup(text_of(_HERE, "style.css"))  # noqa: S704 - the pages' own
    return made


def text_of(package: str, file: str) -> str:
    """A file that is part of a package."""
    return (resources.files(package) / file).read_text(encoding="utf-8")
