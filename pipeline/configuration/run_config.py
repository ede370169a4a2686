"""A run's configuration: a preset, the values laid on top of it, checked before anything starts."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Self, cast

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    create_model,
    field_validator,
    model_validator,
)

from jobs.catalog import STAGES
from jobs.errors import BadConfiguration
from jobs.registry import OneOf
from jobs.runtime.spec import Params, StageSpec
from jobs.shards.address import normalised, refused_as_store
from jobs.shards.digests import digest_of
from pipeline.configuration.resources import Kubernetes, Resources
from pipeline.configuration.stage_selection import StageName, stages_to_make, taken_from

RunName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,46}[a-z0-9])?$")]


class RunConfig(BaseModel):
    """What every run has beside its stages."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, serialize_by_alias=True)

    run: RunName
    """The run's name: its folder in the store, and the start of its Jobs' names."""

    store: str = "runs"
    """Where runs are kept: a folder, or s3://BUCKET/PREFIX."""

    executor: Annotated[str, OneOf("pipeline.executors.kinds")] = "local"
    """What runs the tasks: processes of this machine (local), Indexed Jobs of a cluster (kubernetes), or what else
    there is a file of in pipeline/executors/kinds."""

    inputs: dict[StageName, RunName] = {}
    """Stages whose finished datasets are taken from another run of the store, {stage: run}; what they were made from
    comes from there too unless it is named itself."""

    stages: tuple[StageName, ...] | None = None
    """The stages of this run; null for all that do not come from another one."""

    kubernetes: Kubernetes = Field(default_factory=Kubernetes)
    """The cluster, where the executor is one."""

    _store_id: str | None = PrivateAttr(default=None)

    @field_validator("store")
    @classmethod
    def _is_one(cls, store: str) -> str:
        if refusal := refused_as_store(store):
            raise ValueError(refusal)
        return normalised(store)

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        stages_to_make(self.stages, self.inputs)
        for spec in STAGES:
            if self.resources(spec).pods > 1 and not spec.gang:
                gangs = " and ".join(one.name for one in STAGES if one.gang)
                raise ValueError(
                    f"{spec.name}.resources.pods: only {gangs} works as one world of several Pods; `parallelism` is "
                    "for more tasks at once"
                )
        return self

    @property
    def specs(self) -> tuple[StageSpec, ...]:
        """The stages that this run makes."""
        return stages_to_make(self.stages, self.inputs)

    @property
    def store_label(self) -> str:
        """What the store is known by in the cluster: its id where that is known, else digits of its address."""
        return self._store_id or address_label(self.store)

    def of_store(self, store_id: str | None) -> Self:
        """The same configuration, which knows the store's id."""
        known = self.model_copy()
        known._store_id = store_id
        return known

    def origin(self, stage: str) -> str:
        """The run whose dataset of that stage this one has: another one, or itself."""
        made = any(spec.name == stage for spec in self.specs)
        return self.run if made else taken_from(self.inputs).get(stage, self.run)

    def params(self, spec: StageSpec) -> Params:
        """The parameters of a stage."""
        stage = getattr(self, spec.package)
        return spec.params.model_validate(stage.model_dump(exclude={"resources"}))

    def resources(self, spec: StageSpec) -> Resources:
        """How large to run a stage."""
        return cast(Resources, getattr(self, spec.package).resources)


def address_label(store: str) -> str:
    """What a store is known by as long as it has no id."""
    return digest_of(normalised(store))[:10]


def _stage_model(spec: StageSpec) -> type[BaseModel]:
    return create_model(
        spec.params.__name__.replace("Params", "Config"),
        __base__=spec.params,
        __doc__=spec.about,
        resources=(Resources, Field(default_factory=Resources)),
    )


FullConfig: type[RunConfig] = create_model(  # type: ignore[call-overload]
    "FullConfig",
    __base__=RunConfig,
    **{
        spec.package: (model, Field(default_factory=model, alias=spec.name, description=spec.about))
        for spec in STAGES
        for model in (_stage_model(spec),)
    },
)


def presets() -> list[str]:
    """The names of the presets that come with the pipeline."""
    folder = resources.files("pipeline.configuration") / "presets"
    return sorted(Path(entry.name).stem for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_config(preset: str, assignments: Sequence[str] = (), overlays: Sequence[str] = ()) -> RunConfig:
    """The configuration of a preset with YAML files and then `stage.param=value` on top.

    A preset is a name or the path of a YAML file; a file may begin with `preset: NAME` and change only some values.
    Raises BadConfiguration that names the wrong place and what was probably meant.
    """
    values = _read_preset(preset)
    for path in overlays:
        values = _laid_over(values, _read_file(path, "--values"))
    for assignment in assignments:
        _assign(values, assignment)
    return check_config(values)


def check_config(values: Mapping[str, Any]) -> RunConfig:
    """A configuration from plain values; raises BadConfiguration."""
    try:
        return FullConfig.model_validate(values)
    except ValidationError as error:
        raise BadConfiguration("\n".join(_message(one) for one in error.errors())) from error


def _read_preset(preset: str, *, below: tuple[str, ...] = ()) -> dict[str, Any]:
    if preset in below:
        raise BadConfiguration(f"preset: {' -> '.join((*below, preset))} goes in a circle")
    if preset.endswith((".yaml", ".yml")):
        values = _read_file(preset, "--preset")
    elif preset in presets():
        values = _parsed((resources.files("pipeline.configuration") / "presets" / f"{preset}.yaml").read_text(), preset)
    else:
        raise BadConfiguration(f"--preset: {preset!r} is neither one of {', '.join(presets())} nor a YAML file")
    base = values.pop("preset", None)
    return values if base is None else _laid_over(_read_preset(str(base), below=(*below, preset)), values)


def _read_file(path: str, option: str) -> dict[str, Any]:
    if not Path(path).is_file():
        raise BadConfiguration(f"{option}: there is no file {path!r}")
    values = _parsed(Path(path).read_text(), path)
    values.pop("chart", None)  # what a file of Helm values says to the chart, and not to the run
    return values


def _parsed(text: str, name: str) -> dict[str, Any]:
    try:
        values = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise BadConfiguration(f"{name} is not YAML: {error}") from error
    if not isinstance(values, dict):
        raise BadConfiguration(f"{name} must be a mapping of names to values")
    return values


def _laid_over(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Mappings are merged, everything else is replaced, as Helm does with values."""
    merged = dict(below)
    for name, value in above.items():
        here = merged.get(name)
        merged[name] = _laid_over(here, value) if isinstance(here, dict) and isinstance(value, dict) else value
    return merged


def _assign(values: dict[str, Any], assignment: str) -> None:
    path, equals, text = assignment.partition("=")
    if not equals or not path:
        raise BadConfiguration(f"--set needs stage.param=value, for example run=first, not {assignment!r}")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BadConfiguration(f"--set {assignment}: the value is not YAML: {error}") from error
    *parents, last = path.split(".")
    node: Any = values
    for name in parents:
        node = _descend(node, name, assignment)
    if isinstance(node, list):
        node[_position(node, last, assignment)] = value
    else:
        node[last] = value


def _descend(node: Any, name: str, assignment: str) -> Any:
    if isinstance(node, list):
        return node[_position(node, name, assignment)]
    below = node.setdefault(name, {})
    if not isinstance(below, dict | list):
        raise BadConfiguration(f"--set {assignment}: {name} is a value and has nothing below it")
    return below


def _position(node: list[Any], name: str, assignment: str) -> int:
    if not name.isdigit() or int(name) >= len(node):
        raise BadConfiguration(f"--set {assignment}: {name!r} is no position in a list of {len(node)}, counted from 0")
    return int(name)


def _message(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        known = _names_beside(error["loc"])
        likely = difflib.get_close_matches(str(error["loc"][-1]), known, n=1)
        hint = f"did you mean {likely[0]!r}?" if likely else f"there are {', '.join(known)}"
        return f"{where}: there is no such parameter; {hint}"
    if error["type"] == "missing":
        return f"{where}: required, but not given"
    if error["loc"][:2] == ("kubernetes", "env"):  # what was given may be a secret
        return f"{where}: {error['msg'].removeprefix('Value error, ')}"
    return f"{where}: {error['msg'].removeprefix('Value error, ')}, given {error['input']!r}"


def _names_beside(location: tuple[Any, ...]) -> list[str]:
    """The names that could have stood at the place of an unknown one."""
    model: Any = FullConfig
    for part in location[:-1]:
        fields = {(field.alias or name): field for name, field in model.model_fields.items()}
        annotation = fields[part].annotation if part in fields else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return [(field.alias or name) for name, field in model.model_fields.items()]
