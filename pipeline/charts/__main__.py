"""Writes what is generated in the folder `charts`; `make charts` calls it.

python -m pipeline.charts    write charts/*/values.schema.json and charts/common/templates/_pod.tpl
"""

from __future__ import annotations

from pathlib import Path

from pipeline.charts import pod_template
from pipeline.configuration import chart_values

CHARTS = Path(__file__).parents[2] / "charts"


def generated() -> dict[Path, str]:
    """The text of each generated file."""
    schemas = {CHARTS / chart / "values.schema.json": chart_values.text(chart) for chart in chart_values.CHARTS}
    return schemas | {CHARTS / "common" / "templates" / "_pod.tpl": pod_template.text()}


def main() -> None:
    """Write all of them."""
    for path, text in generated().items():
        path.write_text(text)


if __name__ == "__main__":
    main()
