"""Manifests as YAML, as kubectl reads it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml

from pipeline.planning.plan import StagePlan


def manifests_text(rendered: Iterable[tuple[StagePlan, list[dict[str, Any]]]]) -> str:
    """All manifests as YAML, with a note above those that would not be submitted now."""
    documents = []
    for plan, objects in rendered:
        note = ""
        if not plan.ready:
            note = f"# {plan.spec.name}: the digests of what it reads, and how many units it has, are not known yet\n"
        elif not plan.pending:
            note = f"# {plan.spec.name}: done, nothing would be submitted\n"
        for one in objects:
            documents.append(
                note + yaml.dump(one, Dumper=NumberQuotingDumper, sort_keys=False, allow_unicode=True, width=1000)
            )
            note = ""  # stands before the first; a document of its own would be an empty one
    return "---\n" + "---\n".join(documents)


class NumberQuotingDumper(yaml.SafeDumper):
    """Quotes every text that might be read as a number: 72e49071 is one for kubectl, and none for this library."""


NumberQuotingDumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style='"' if text[:1] in "+-.0123456789" else None
    ),
)
