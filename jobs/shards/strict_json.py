"""What is stored as JSON is a strict model: exact types, no unknown member, finite numbers, bounded depth.

Any object of a bucket may be damaged, or somebody else's. Reading one either gives exactly what was written or raises
Corrupt, which names the object.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Self, TypeVar, Union

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, TypeAdapter, ValidationError
from pydantic_core import from_json
from typing_extensions import TypeAliasType

from jobs.errors import Corrupt
from jobs.shards.digests import canonical_json, sha256

STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)  # for __pydantic_config__ of dataclasses too

if TYPE_CHECKING:
    Json = Any
else:  # validated like a model; a type checker would want every reader to distinguish its members
    Json = TypeAliasType("Json", Union[bool, int, FiniteFloat, str, "list[Json]", "dict[str, Json]", None])
Count = Annotated[int, Field(ge=0, lt=2**63)]
Seconds = Annotated[float, Field(ge=0, lt=1e12)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f/]{1,200}$")]  # of a unit or shard: a part of an object's name

T = TypeVar("T")


class JsonModel(BaseModel):
    """A JSON object that is stored, or passed between processes.

    Members that were not given are left out, so that one which is added later, with a default, changes no bytes.
    """

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        frozen=True,
        validate_by_name=True,
        serialize_by_alias=True,  # where a member has been given another name since it was first stored
    )

    def encode(self) -> bytes:
        """The canonical bytes; equal values give equal bytes."""
        return canonical_json(self.model_dump(exclude_unset=True))

    @classmethod
    def decode(cls, data: bytes, where: str, what_to_do: str = "") -> Self:
        """The value in the bytes that were read from `where`; raises Corrupt."""
        value: Self = decode(_adapter(cls), data, where, f"a {cls.__name__}", what_to_do)
        return value


@cache
def _adapter(model: type[BaseModel]) -> TypeAdapter[Any]:
    return TypeAdapter(model)


_SEAL = "sha256"  # of everything else in the object: a flipped bit may well give other JSON of the same kind


def decode(model: TypeAdapter[T], data: bytes, where: str, kind: str, what_to_do: str = "") -> T:
    """The value that was stored; raises Corrupt saying that `where` is not `kind`, why, and what to do."""
    try:
        return model.validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        location = ".".join(map(str, first["loc"]))
        others = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        reason = f"{f'{location}: ' if location else ''}{first['msg']}{others}"
        raise Corrupt(f"{where} is not {kind} ({reason}){f'; {what_to_do}' if what_to_do else ''}") from error


def seal(value: dict[str, Any]) -> bytes:
    """A value as it is stored where a changed bit must be noticed: canonical JSON with its own digest as a member."""
    return canonical_json({**value, _SEAL: sha256(canonical_json(value))})


def unseal(model: TypeAdapter[T], data: bytes, where: str, kind: str) -> T:
    """As `decode`, of what `seal` made; what was stored before there were seals is taken as it is."""
    try:
        value = from_json(data, allow_inf_nan=False)
        if isinstance(value, dict) and _SEAL in value:
            found = value.pop(_SEAL)
            data = canonical_json(value)
            if sha256(data) != found:
                raise ValueError("it is not as it was written, its digest is another")
    except ValueError as error:
        raise Corrupt(f"{where} is not {kind} ({error})") from error
    return decode(model, data, where, kind)
