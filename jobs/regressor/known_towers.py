"""Which image towers there are and what each can do, known without timm, open_clip or torch.

`known_towers.json` lists those of the pinned timm and open_clip (`python -m jobs.regressor.list_towers` writes it);
a family in jobs/regressor/towers may add towers of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from jobs.errors import BadConfiguration
from jobs.registry import literal, names_in, refused

FAMILIES = "jobs.regressor.towers"
FEATURES = ("last-quarter", "layer_decay")  # what a family may support
OTHER = "other"  # the family of all classes that none covers
FILE = Path(__file__).with_name("known_towers.json")


class Facts(BaseModel):
    """What is known of one tower."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    drop_path: bool = False
    """Whether its blocks have stochastic depth."""

    size: int | None = None
    """The only pixels of a side that it takes, with whatever weights; null where it takes others."""

    pretrained_size: int | None = None
    """The only pixels of a side that its pretrained weights fit; null where they fit any that the tower takes."""

    weights: tuple[str, ...] = ()
    """open_clip's tags of pretrained weights on the model hub."""


class Listing(BaseModel):
    """The content of known_towers.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    versions: dict[str, str]
    unfit: dict[str, str]  # models that cannot be built as a tower, and why
    towers: dict[str, dict[str, Facts]]  # class of the tower -> name -> facts


@dataclass(frozen=True, slots=True)
class Tower:
    """One tower by its name: its family, and what is known of itself."""

    name: str
    family: str
    facts: Facts


def tower_named(name: str) -> Tower:
    """The tower of that name; raises ValueError that says what was probably meant."""
    own = families_own()
    if name in own:
        return Tower(name, own[name], Facts.model_validate(literal(FAMILIES, own[name], "TOWERS", {})[name]))
    listing = listed()
    if name in listing.unfit:
        raise ValueError(f"{name} cannot be an image tower here: {listing.unfit[name]}")
    by_name = {name: class_ for class_, towers in listing.towers.items() for name in towers}
    if name in by_name:
        return Tower(name, family_of(by_name[name]), listing.towers[by_name[name]][name])
    plain, _, tag = name.partition(".")
    if plain in by_name:
        raise ValueError(f"{tag!r} names weights of timm's, which `pretrained` does; the tower is {plain!r}")
    versions = " and ".join(f"{library} {version}" for library, version in listing.versions.items())
    refusal = refused(name, [*by_name, *own])
    raise ValueError(f"{refusal} (the image towers are those of {versions}, and what a file in {FAMILIES} adds)")


def family_of(class_: str) -> str:
    """The family that covers a class, by its dotted name; raises BadConfiguration when several do."""
    found = [family for family in names_in(FAMILIES) if class_ in literal(FAMILIES, family, "CLASSES", ())]
    if len(found) > 1:
        raise BadConfiguration(f"{FAMILIES}: the families {' and '.join(found)} both cover {class_}; leave it to one")
    return found[0] if found else OTHER


def families_own() -> Mapping[str, str]:
    """The towers that families register themselves, by name with their family."""
    return {name: family for family in names_in(FAMILIES) for name in literal(FAMILIES, family, "TOWERS", {})}


def unsupported(family: str, feature: str) -> str | None:
    """That a family does not support something, and what it does; None where it supports it."""
    supported = literal(FAMILIES, family, "SUPPORTS", ())
    if feature in supported:
        return None
    can = f"supports only {' and '.join(supported)}" if supported else f"supports neither {' nor '.join(FEATURES)}"
    return f"the tower is of the family `{family}`, which {can}"


def check_fits(tower: Tower, setting: str, value: Any, others: Mapping[str, Any]) -> None:
    """Raise ValueError unless the tower can do what a setting of train's asks for; `others` are checked already."""
    match setting, value:
        case ("pretrained", str(tag)) if not is_file(tag):
            _check_tag(tower, tag)
        case "image_size", int(size):
            _check_size(tower, size, others.get("pretrained"))
        case ("drop_path", float()) if not tower.facts.drop_path:
            raise ValueError(f"{tower.name} has no stochastic depth; set it to null")
        case ("trainable", "last-quarter") if refusal := unsupported(tower.family, "last-quarter"):
            raise ValueError(f"{refusal}; {tower.name} can learn as `all`, or not at all as `head`")
        case ("layer_decay", float()) if refusal := unsupported(tower.family, "layer_decay"):
            raise ValueError(f"{refusal}; {tower.name} needs null")


def is_file(pretrained: str) -> bool:
    """Whether this names a file rather than one of open_clip's tags."""
    return pretrained.endswith(".safetensors")


def _check_tag(tower: Tower, tag: str) -> None:
    weights = tower.facts.weights
    if tag.lower().replace("-", "_") not in weights:  # as open_clip reads tags
        known = f"only {', '.join(weights)}" if weights else "nor any other"
        raise ValueError(
            f"{tower.name} has no weights {tag!r} on the model hub, {known}; name a file NAME.safetensors, or null for "
            "random weights"
        )


def _check_size(tower: Tower, size: int, pretrained: str | None) -> None:
    facts = tower.facts
    of_weights = facts.pretrained_size if pretrained is not None and not is_file(pretrained) else None
    if (only := facts.size or of_weights) and size != only:
        raise ValueError(f"{tower.name}{'' if facts.size else ' with these weights'} takes {only} pixels of a side")


@cache
def listed() -> Listing:
    """What known_towers.json says."""
    return Listing.model_validate_json(FILE.read_bytes())
