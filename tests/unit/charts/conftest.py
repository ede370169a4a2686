"""The charts, loaded once for each module."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import helm_python
import pytest
import yaml

from tests.charts import CHARTS, NAMES, Object


@pytest.fixture(scope="module")
def charts() -> Iterator[dict[str, helm_python.Chart]]:
    loaded = {name: helm_python.Chart.load(CHARTS / name) for name in NAMES}
    yield loaded
    for chart in loaded.values():
        chart.close()


@pytest.fixture
def render(charts: dict[str, helm_python.Chart]) -> Any:
    """render(chart, values, release="rel") -> objects"""

    def rendered(chart: str, values: Object, release: str = "rel") -> list[Object]:
        files = charts[chart].render(values, name=release, namespace="here")
        texts = [text for name, text in files.items() if not name.endswith("NOTES.txt")]
        return [one for text in texts for one in yaml.safe_load_all(text) if one]

    return rendered
