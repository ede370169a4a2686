"""What a chart's values may be: the configuration, and the little that is the chart's own."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import Field, create_model

from jobs.catalog import STAGES
from pipeline.configuration.resources import LOOKS_SECRET, Name, Placement, Quantity, Settings
from pipeline.configuration.run_config import FullConfig, presets

Port = Annotated[int, Field(ge=1, le=65_535)]

# What stands in a chart's values.yaml has no default here, and is required: Helm drops what is set to null.


class ControllerPod(Placement):
    """The Pod that submits the stages' Jobs and watches them; it goes where `kubernetes` says, and as said here."""

    cpus: Quantity
    """CPUs that are reserved for it."""

    memory: Quantity
    """Reserved and at most."""

    scratch: Quantity
    """Disk for /tmp and /cache, reserved and at most."""

    service_account: Name | None = None
    """An existing one, which the Role is bound to; null for one of the chart's own."""


class NetworkPolicy(Settings):
    """Whom stage Pods and the controller may talk to, where the cluster's network enforces it."""

    enabled: bool
    """Whether there is any."""

    ports: tuple[Port, ...]
    """TCP ports of the store and of the hub; those of URLs in kubernetes.env are added."""

    api_server_ports: tuple[Port, ...]
    """TCP ports of the API server, for the controller alone."""

    extra_egress: tuple[dict[str, Any], ...]
    """More egress rules of a NetworkPolicy, in Kubernetes' own words."""


class ChartValues(Settings):
    """What is every chart's own."""

    controller: ControllerPod
    network_policy: NetworkPolicy

    service_account_annotations: dict[str, str]
    """Of the accounts of the controller and of stage Pods, for an identity of the cloud."""


class TrainingRun(ChartValues):
    """What is the training run's own."""

    attempt: int = Field(ge=1)
    """Counted up to run again what failed for a reason outside of the values."""


class ScheduledInference(ChartValues):
    """What is the scheduled inference's own: Kubernetes' words for a CronJob."""

    schedule: str = Field(min_length=1)
    """Five fields of cron, or a word like @daily."""

    time_zone: str = Field(min_length=1)
    """Whose clock the schedule means, for example Europe/Berlin."""

    suspend: bool
    """Whether no batch starts for now."""

    starting_deadline_seconds: int = Field(ge=10)
    """Within which a missed start is made up; at most 100 starts should lie in it."""

    successful_history: int = Field(ge=0)
    """Finished batches that stay to be looked at."""

    failed_history: int = Field(ge=0)
    """Failed batches that stay to be looked at."""


CHARTS: dict[str, type[ChartValues]] = {"training-run": TrainingRun, "scheduled-inference": ScheduledInference}


def schema(chart: str) -> dict[str, Any]:
    """The JSON schema of a chart's values: every part of it may be left out, and nothing else may stand there.

    Only entries of a list need what they need, because a list is replaced as a whole and not merged with the preset's.
    """
    values = create_model("Values", __base__=FullConfig, chart=(CHARTS[chart], ...))
    found: dict[str, Any] = _plain(values.model_json_schema(by_alias=True))
    found["required"] = ["chart"]  # the run's name is the release's
    properties, stages = found["properties"], [spec.name for spec in STAGES]
    properties["preset"] = {"enum": presets(), "description": "What these values are laid on top of."}
    properties["inputs"]["propertyNames"] = {"enum": stages}
    properties["stages"]["anyOf"][0]["items"] = {"enum": stages}
    secret = "".join(f"[{one}{one.lower()}]" if one.isalpha() else one for one in LOOKS_SECRET.pattern)
    found["$defs"]["Kubernetes"]["properties"]["env"]["propertyNames"] = {"not": {"pattern": secret}}
    helms_own = {"type": "object", "description": "Helm's own."}
    properties["global"] = helms_own
    properties["common"] = {**helms_own, "properties": {"global": helms_own}, "additionalProperties": False}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}


def text(chart: str) -> str:
    """The schema as it stands in the chart's folder."""
    return json.dumps(schema(chart), indent=2, ensure_ascii=False) + "\n"


def _plain(node: Any) -> Any:
    """Without titles that repeat a name, and with unions by their `kind`, so that a refusal names one of them."""
    if isinstance(node, list):
        return [_plain(one) for one in node]
    if not isinstance(node, dict):
        return node
    if "discriminator" in node:
        return _by_kind(node["discriminator"]["propertyName"], node["discriminator"]["mapping"])
    plain = {name: _plain(value) for name, value in node.items() if name != "title" or isinstance(value, dict)}
    if isinstance(text := plain.get("description"), str):
        plain["description"] = " ".join(text.split())
    return plain


def _by_kind(name: str, models: dict[str, str]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": [name],
        "properties": {name: {"enum": list(models)}},
        "allOf": [
            {"if": {"properties": {name: {"const": kind}}, "required": [name]}, "then": {"$ref": model}}
            for kind, model in models.items()
        ],
    }
