"""The description of a Pod means the same whether its values are known or are Helm's expressions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml

from jobs.errors import BAD_CONFIGURATION, BAD_DATA
from jobs.runtime.environment import INVOCATION_VARIABLE, JOB_NAME_VARIABLE, OWNER_VARIABLE
from pipeline.charts import pod_template
from pipeline.charts.__main__ import CHARTS, generated
from pipeline.charts.expressions import Block, Expression, Expressions, expressions_of, lines
from pipeline.configuration.chart_values import ControllerPod
from pipeline.configuration.resources import Kubernetes, Resources, Settings, Toleration
from pipeline.executors.kubernetes import labels
from pipeline.executors.kubernetes.pod import failure_policy, field_variable, pod_spec
from pipeline.executors.kubernetes.pod_sources import Configured
from tests.charts import EVERYTHING, SETS, SMALLEST, job_spec, laid_over

Object = dict[str, Any]

ODD = {"A": "on", "B": "0123", "C": "", "D": "a\nb: $(c) \"q\" 'x' <&> é \\ {{ x }}"}
VALUES = {
    **SETS,
    "odd texts": laid_over(EVERYTHING, {"kubernetes": {"env": ODD, "priority_class": None}}),
    "explicitly empty": laid_over(
        SMALLEST,
        {
            "kubernetes": {"env": {}, "models": None, "cache": None, "tolerations": [], "image_pull_secrets": []},
            "chart": {"controller": {"node_selector": {}, "tolerations": [], "priority_class": None}},
        },
    ),
}


def rendered(chart: str, values: Object) -> Object:
    """The specification of the controller's Job."""
    with helm_python.Chart.load(CHARTS / chart) as loaded:
        files = loaded.render(values, name="rel", namespace="here")
    texts = (text for name, text in files.items() if name.endswith(("/job.yaml", "/cronjob.yaml")))
    return job_spec([one for text in texts for one in yaml.safe_load_all(text)])


def described(values: Object) -> Object:
    """The same Pod, from the values themselves."""
    defaults = yaml.safe_load((CHARTS / "training-run" / "values.yaml").read_text())["chart"]["controller"]
    cluster = Kubernetes.model_validate(values["kubernetes"])
    size = ControllerPod.model_validate(laid_over(defaults, values.get("chart", {}).get("controller", {})))
    variant = pod_template.controller_variant(
        image=cluster.images["controller"],
        service_account=size.service_account or "rel-controller",
        release="rel",
        arguments=["run", "--preset", "/etc/image-to-prompts/run.yaml"],
        env=[
            field_variable(INVOCATION_VARIABLE, "metadata.labels['batch.kubernetes.io/controller-uid']"),
            field_variable(JOB_NAME_VARIABLE, "metadata.labels['batch.kubernetes.io/job-name']"),
            {"name": OWNER_VARIABLE, "value": "rel"},
        ],
    )
    return pod_spec(Configured(cluster, size), variant)


@pytest.mark.parametrize("path", generated(), ids=lambda path: str(path.relative_to(CHARTS)))
def test_a_generated_file_is_up_to_date(path: Path) -> None:
    assert path.read_text() == generated()[path], "run `make charts`"


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_the_template_renders_to_what_the_description_says_of_the_values(values: Object) -> None:
    helms, ours = rendered("training-run", values)["template"]["spec"], described(values)
    for pod in (helms, ours):  # Helm passes them as they are given, without the model's defaults
        given = [Toleration.model_validate(one) for one in pod.pop("tolerations", [])]
        pod["tolerations"] = [one.model_dump(exclude_none=True) for one in given]
    assert helms == ours


@pytest.mark.parametrize("chart", ["training-run", "scheduled-inference"])
def test_the_exit_codes_that_end_a_controller_are_those_of_the_contract(chart: str) -> None:
    spec = rendered(chart, SMALLEST)
    assert spec["podFailurePolicy"] == failure_policy("controller", fail_job=(BAD_DATA, BAD_CONFIGURATION))
    assert spec["podFailurePolicy"]["rules"][0]["onPodConditions"][0]["type"] == labels.DISRUPTED


def test_every_field_of_a_configuration_can_be_in_a_template() -> None:
    for model in (Kubernetes, Resources, ControllerPod):
        found = expressions_of(model, "$here")
        for name in model.model_fields:
            assert f"$here.{name}" in getattr(found, name).text or f'dig "{name}"' in getattr(found, name).text


def test_an_expression_has_the_default_of_its_field() -> None:
    cluster = expressions_of(Kubernetes, "$k")
    texts = {name: getattr(cluster, name).text for name in ("models_path", "ttl_seconds", "env", "credentials")}
    assert texts == {
        "models_path": '(dig "models_path" "/models" $k)',
        "ttl_seconds": '(dig "ttl_seconds" 604800 $k)',
        "env": "($k.env | default dict)",
        "credentials": "$k.credentials",
    }


def test_a_default_that_no_template_can_hold_is_refused() -> None:
    class Odd(Settings):
        ports: tuple[int, ...] = (80,)

    with pytest.raises(TypeError, match=r"ports: its default \(80,\) must be empty"):
        expressions_of(Odd, "$odd")


@pytest.mark.parametrize("misused", [bool, str, "{}".format, list], ids=["tested", "a text", "formatted", "iterated"])
def test_a_description_that_looks_at_a_value_fails_while_the_template_is_written(misused: Any) -> None:
    with pytest.raises(TypeError):
        misused(Expression("$kubernetes.models"))


def test_parts_that_depend_on_a_value_are_blocks_of_the_template() -> None:
    cluster = expressions_of(Kubernetes, "$k")
    source = Expressions(cluster, expressions_of(ControllerPod, "$c"))
    part = {
        "always": [1, *source.when(cluster.models, ["models"]), *source.each(cluster.image_pull_secrets, _named)],
        **source.unless(cluster.cache, {"never": True}),
        "raw": [Block("range $list", [Expression(".")])],
    }
    assert list(lines(part)) == [
        "always:",
        "  - 1",
        "  {{- if $k.models }}",
        '  - "models"',
        "  {{- end }}",
        "  {{- range ($k.image_pull_secrets | default list) }}",
        "  - name: {{ toJson . }}",
        "  {{- end }}",
        "{{- if not $k.cache }}",
        "never: true",
        "{{- end }}",
        "raw:",
        "  {{- range $list }}",
        "  - {{ toJson . }}",
        "  {{- end }}",
    ]


def _named(name: str) -> Object:
    return {"name": name}
