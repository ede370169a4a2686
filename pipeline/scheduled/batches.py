"""Inference on cron: a firing finishes what earlier ones left undone, then claims and predicts what came in since.

Each claim (claims.py) is a run of its own, RUN-YYYYMMDD-HHMM, which predicts the claim's inputs from a trained run;
what it commits is committed once, as in any run. A missed firing needs nothing: its inputs are in the next claim.

An input is a file's name. A file that is replaced before it is read counts as it then is; one that is replaced after
its prediction is not read again: give new content a new name. Files may be deleted when their batch is done.

An input that was deleted before it was read, or that is no image, is recorded as that and left out of the submission:
the rest of its batch is predicted. Where all is gone, of a batch and of the place that inputs come into,
nothing is recorded: a place that is not mounted looks like that. The batch then fails in every firing until something
is there again, or until it is dropped.

No inputs are files that the stage does not read, and those with a part of the name that begins with a dot: a bucket
shows whole files only, but whoever copies into a folder copies to such a name first, and then renames.

A firing lists all that came in, a request for each 1,000 files of a bucket, and the claims, likewise.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from jobs.catalog import STAGES
from jobs.errors import BadConfiguration, BadData
from jobs.runtime.incoming import ReadsIncomingFiles
from jobs.runtime.spec import StageSpec
from jobs.shards.address import open_store
from jobs.shards.records import MANIFEST
from jobs.shards.store import Store, checked
from pipeline.configuration.run_config import RunConfig, check_config
from pipeline.scheduled.claims import Claim, claim_name, create_claim, end_claim, make_blocks, read_chain, read_claim

Row = dict[str, Any]
Notify = Callable[[str], None]

_LONGEST_RUN = 32  # letters of the run's name, so that 48 hold it with a timestamp


@dataclass(frozen=True, slots=True)
class Batch:
    """The inputs of one claim, and the configuration of the run that predicts them."""

    number: int
    scheduled: datetime
    names: tuple[str, ...]
    config: RunConfig


def scheduled_time(text: str | None, now: datetime) -> datetime:
    """The time that a firing was scheduled for, in UTC and whole seconds; `now` where nothing says it.

    `text` is RFC 3339, as the CronJob controller writes it. Raises BadConfiguration for anything else.
    """
    try:
        time = now if text is None else datetime.fromisoformat(text)
        if time.tzinfo:
            return time.astimezone(UTC).replace(microsecond=0)
    except (ValueError, OverflowError):
        pass
    raise BadConfiguration(
        f"a scheduled time has the form 2026-11-22T03:00:00Z or 2026-11-22T04:00:00+01:00, not {text!r}"
    )


def batches(config: RunConfig, scheduled: datetime, notify: Notify = lambda event: None) -> Generator[Batch]:
    """The batches to run now, one after the other: earlier ones that are not finished, then the new one, if any.

    A batch is finished when its run is; one that fails is yielded again by the next firing, and the others are yielded
    all the same. The inputs of the new one are claimed when it is asked for; an earlier firing of the same time has
    claimed them already. Iterate to the end: that a batch is done is recorded when the next is asked for. Raises
    BadConfiguration, StoreError, Corrupt.
    """
    _check(config)
    _, params = _reader(config)
    root, images = open_store(config.store), open_store(params.incoming() or "")
    store = root.at(config.run)
    chain = read_chain(store)
    _check_images(config, chain.claims, images)
    make_blocks(store, chain)
    earlier = [claim for claim in chain.claims if claim.number not in chain.ended]
    for claim in earlier:
        yield from _until_done(root, config, claim)
    new = _claim(config, store, images, chain.claims, scheduled_time(None, scheduled), notify)
    if new and new.number not in chain.ended and new not in earlier:
        yield from _until_done(root, config, new)


def _until_done(root: Store, config: RunConfig, claim: Claim) -> Iterator[Batch]:
    store = root.at(config.run)
    batch = _batch(store, config, claim)
    if not _is_done(root, batch.config):
        yield batch
    if _is_done(root, batch.config):
        end_claim(store, claim.number, "done", batch.config.run)


def _batch(store: Store, config: RunConfig, claim: Claim) -> Batch:
    values = config.model_dump()
    values["run"] = run_of(config, claim)
    spec, params = _reader(config)
    values[spec.name] |= params.of_batch(f"{store.url}/{claim_name(claim.number)}")
    return Batch(claim.number, claim.scheduled, claim.names, check_config(values))


def run_of(config: RunConfig, claim: Claim) -> str:
    """The name of the run that predicts a claim's inputs; a CronJob's times are whole minutes."""
    return f"{config.run}-{claim.scheduled.strftime('%Y%m%d-%H%M%S' if claim.scheduled.second else '%Y%m%d-%H%M')}"


def _is_done(root: Store, config: RunConfig) -> bool:
    """Whether every stage of the run was published; files that were replaced or deleted since do not count."""
    return all(root.at(config.run).at(spec.name).stat(MANIFEST) for spec in config.specs)


def _claim(
    config: RunConfig, store: Store, images: Store, known: Sequence[Claim], scheduled: datetime, notify: Notify
) -> Claim | None:
    """The claim of that time: the one there is, or a new one of all that is not claimed; None where that is nothing."""
    taken, number, found = set[str](), 0, None
    _, params = _reader(config)
    todo = list(known)
    while True:
        _check_images(config, todo, images)
        for claim in todo:
            if claim.scheduled == scheduled:
                notify(f"batch {claim.number} of {claim.when} was claimed before, with {_inputs(len(claim.names))}")
                return claim
            taken.update(claim.names)
            number = claim.number
        found = _inputs_in(params, images, notify) if found is None else found
        names = [name for name in found if name not in taken]
        if not names:
            notify(f"nothing new in {images.url}: {_inputs(len(found))} there, {len(taken):,} claimed so far")
            return None
        mine = Claim(number + 1, scheduled, images.url, tuple(names))
        if create_claim(store, mine):
            notify(f"batch {mine.number} of {mine.when}: {_inputs(len(names))}")
            return mine
        todo = [read_claim(store, mine.number)]  # somebody else's: what it has is taken too


def _inputs_in(params: ReadsIncomingFiles, images: Store, notify: Notify) -> list[str]:
    """The names of all inputs, sorted."""
    names, unreadable = [], []
    for stat in images.list(""):
        if not params.is_incoming(stat.name) or any(part.startswith(".") for part in stat.name.split("/")):
            continue
        try:
            names.append(checked(stat.name))
        except BadData:
            unreadable.append(stat.name)
    if unreadable:
        notify(
            f"{_inputs(len(unreadable))} left out because of the name, like {unreadable[0]!r}; rename to have it read"
        )
    return sorted(names)


def open_batches(config: RunConfig) -> list[RunConfig]:
    """The configurations of the runs of all batches that were claimed in this run and not given up, done or not."""
    store = open_store(config.store).at(config.run)
    chain = read_chain(store)
    return [_batch(store, config, claim).config for claim in chain.claims if chain.ended.get(claim.number) != "dropped"]


def drop(config: RunConfig, number: int) -> str:
    """Give a batch up for good: its inputs are never predicted. Returns what happened, in words; raises BadData."""
    store = open_store(config.store).at(config.run)
    chain = read_chain(store)
    if not 0 < number <= len(chain.claims):
        raise BadData(f"the run {config.run} has no batch {number}; `i2p batches` lists those it has")
    if end := chain.ended.get(number):
        raise BadData(f"batch {number} is {end} already")
    claim = chain.claims[number - 1]
    end_claim(store, number, "dropped", run := run_of(config, claim))
    return f"batch {number} is dropped: of its {_inputs(len(claim.names))}, what {run} has not predicted never will be"


def batch_rows(config: RunConfig) -> list[Row]:
    """One row for every claim: {batch, scheduled, run, inputs, state}; state is done, unfinished or dropped."""
    root = open_store(config.store)
    store = root.at(config.run)
    chain = read_chain(store)
    rows = []
    for claim in chain.claims:
        state: str | None = chain.ended.get(claim.number)
        state = state or ("done" if _is_done(root, _batch(store, config, claim).config) else "unfinished")
        run, inputs = run_of(config, claim), len(claim.names)
        rows.append({"batch": claim.number, "scheduled": claim.when, "run": run, "inputs": inputs, "state": state})
    return rows


def batch_text(rows: Sequence[Row]) -> str:
    """The batches as a table."""
    width = max((len(row["run"]) for row in rows), default=3)
    head = f"{'batch':>5}  {'scheduled':<20}  {'run':<{width}}  {'inputs':>9}  state"
    lines = [
        f"{row['batch']:>5}  {row['scheduled']}  {row['run']:<{width}}  {row['inputs']:>9,}  {row['state']}"
        for row in rows
    ]
    return "\n".join([head, *lines])


def _check(config: RunConfig) -> None:
    """Raises BadConfiguration unless a batch can be made of it."""
    reader, params = _reader(config)
    follows = {reader.name}
    for spec in STAGES:
        if not follows.isdisjoint(spec.inputs):
            follows.add(spec.name)
    made = [spec.name for spec in config.specs]
    if reader.name not in made or not follows.issuperset(made):
        raise BadConfiguration(
            f"a batch makes {reader.name} and what follows from it; this configuration makes "
            f"{', '.join(made) or 'nothing'}: take the rest from a trained run by "
            f"`inputs: {{{reader.inputs[-1]}: RUN}}`"
        )
    if reason := params.why_no_batches():
        raise BadConfiguration(f"{reader.name}.{reason}")
    if len(config.run) > _LONGEST_RUN:
        raise BadConfiguration(
            f"run: a batch's run is named {config.run}-YYYYMMDD-HHMM; that leaves at most {_LONGEST_RUN} letters for "
            f"the name, given {len(config.run)}"
        )


def _check_images(config: RunConfig, claims: Sequence[Claim], images: Store) -> None:
    for other in {claim.images for claim in claims} - {images.url}:
        raise BadConfiguration(
            f"{_reader(config)[0].name}: this run has claimed from {other} and is now to claim from {images.url}, "
            "where equal names may be other files; give the other folder a run of another name"
        )


def _reader(config: RunConfig) -> tuple[StageSpec, ReadsIncomingFiles]:
    """The stage of the graph that reads incoming files, and its parameters."""
    spec = next(spec for spec in STAGES if issubclass(spec.params, ReadsIncomingFiles))
    return spec, cast(ReadsIncomingFiles, config.params(spec))


def _inputs(count: int) -> str:
    return f"{count:,} input{'' if count == 1 else 's'}"
