"""What collect says of one prompt: the row that it stands in, and the images that sources gave with it."""

from __future__ import annotations

from typing import Any

from jobs.collect.contract import Collected
from jobs.collect.stage import source_of
from jobs.contract.samples import Given, Origin
from jobs.report.lineage import ImageFile, Lineage, Subject, Values, first_sample, sample_with
from jobs.report.page import RunView
from jobs.shards.dataset import Dataset
from jobs.shards.keys import is_prompt_key
from jobs.shards.records import Outcome

_FILE = "file"  # the member that only a collected prompt's origin has


def part(view: RunView, subject: Subject) -> Values | None:
    """The row of a source, with the version of its file as the record has it."""
    collected, origin = view.get(Collected[Dataset]), subject.origin
    members = {} if origin is None else origin.model_extra or {}
    if collected is None or origin is None or _FILE not in members:
        return None
    outcome = _outcome(collected, origin.source, members[_FILE])
    return {
        "source": origin.source,
        _FILE: members[_FILE],
        "version": outcome.reads.get(str(members[_FILE])) if outcome else None,
        "unit": outcome.unit if outcome else None,
        "row": origin.row,
        **{name: value for name, value in members.items() if name != _FILE},
        "given": [_given(collected, one) for one in origin.given],
    }


def by_key(view: RunView, key: str) -> Subject | None:
    """A collected prompt, also one that was not filtered yet: a request for each shard of prompts at most."""
    collected = view.get(Collected[Dataset])
    if collected is None or not is_prompt_key(key):
        return None
    found = sample_with(collected.prompts, collected.prompts.shards(), key)
    return Subject(key=key, prompt=found.text(), origin=Origin.decode(found["json"], key)) if found else None


def by_image(view: RunView, image: ImageFile) -> str | None:
    """The key of the prompt with which a source gave an image of these very bytes: a request at most for each shard of
    prompts of the files whose images' digests this one is among.
    """
    collected = view.get(Collected[Dataset])
    if collected is None:
        return None
    groups = {shard.group for shard in collected.images.shards() if shard.may_hold(image.sha256)}
    shards = [shard for shard in collected.prompts.shards() if Collected.images.group_of(shard.group) in groups]
    digest = image.sha256.encode()
    found = first_sample(
        collected.prompts,
        shards,
        lambda one: digest in one["json"] and any(given.sha256 == image.sha256 for given in one.value.given),
    )
    return found.key if found else None


def _outcome(collected: Collected[Dataset], source: str, file: Any) -> Outcome | None:
    """The outcome of the file that a prompt is from; None where collect has done without it since."""
    outcomes = (one for one in collected.data.manifest.outcomes if source_of(one) == source)
    return next((one for one in outcomes if file is None or file in one.reads), None)


def _given(collected: Collected[Dataset], given: Given) -> dict[str, Any]:
    return {**given.model_dump(mode="json"), "object": f"{collected.data.store.url}/{given.object}"}


LINEAGE = Lineage(
    part=part, by_key=by_key, by_image=by_image, image_is="one that a source gave, by the SHA-256 of its bytes"
)
