"""Reads every shard and record of a run back and checks them; stops at the first thing that is wrong.

A run's own stages are checked, and the datasets that they take from other runs, each where it is; how those were made
is the other runs' to verify.

What is checked: every manifest's outcomes against their records, fingerprints and names; every shard's bytes, size,
digest, count and end keys; keys against prompts; prompts and keys against the stage they came from; the filter's
certificate, witnesses and cosines; the split of every kept prompt.
"""

from __future__ import annotations

import ast
import math
import struct
from array import array
from collections.abc import Mapping, Sequence

from jobs.catalog import STAGES
from jobs.errors import Corrupt, NotFound
from jobs.runtime.groups import CERTIFICATE, DROPPED, NOT_SPLITS
from jobs.runtime.spec import StageSpec
from jobs.shards.dataset import Committed, Dataset, load_manifest
from jobs.shards.digests import sha256
from jobs.shards.keys import key_of, split_of
from jobs.shards.records import Outcome, fingerprint, object_name, record_name
from jobs.shards.store import Store
from jobs.shards.tar import Sample
from pipeline.configuration.run_config import RunConfig

_PROMPTS = ("collect", "generate-prompts", "embed")  # every sample's key is its text's
_ROUNDING = 1e-6


def verify(store: Store, config: RunConfig) -> dict[str, str]:
    """What was checked of every stage, in words; raises Corrupt or NotFound for the first thing that is wrong.

    `store` is the run's (`open_run`), in which the datasets taken from other runs are found too.
    """
    made = {spec.name for spec in config.specs}
    read = made | {name for spec in config.specs for name in spec.inputs} | set(config.inputs)
    told = {}
    datasets: dict[str, Dataset] = {}
    for spec in STAGES:
        if spec.name not in read:
            told[spec.name] = "not part of this run"
            continue
        dataset = datasets[spec.name] = _published(store, spec.name, config)
        samples = verify_dataset(dataset, version=spec.version if spec.name in made else None)
        told[spec.name] = f"{len(dataset.shards()):,} shards, {samples:,} samples"
        if spec.name not in made:
            told[spec.name] += f", of the run {config.origin(spec.name)}"
    if "embed" in made:
        _check_embedded(datasets)
    if "dedup" in made:
        told["dedup"] += ", " + _check_filter(datasets["embed"], datasets["dedup"])
    if "generate-images" in made:
        _check_images(datasets["dedup"], datasets["generate-images"])
    _check_inputs(datasets, config.specs)
    return told


def verify_dataset(dataset: Dataset, *, version: int | None = None) -> int:
    """Check one stage's manifest against its records, and every shard and sample; returns the number of samples.

    `version` is the stage's own that all units must have; None for a dataset that may be of an earlier one. Raises
    Corrupt or NotFound for the first thing that is wrong.
    """
    _check_records(dataset, version)
    return sum(_check_sample(dataset.name, sample) for sample in dataset.samples())


def _published(store: Store, stage: str, config: RunConfig) -> Dataset:
    manifest = load_manifest(store.at(stage))
    if manifest is None:
        of = "the run" if config.origin(stage) == config.run else f"the run {config.origin(stage)}, which it is of,"
        raise NotFound(f"{stage} has no manifest, so {of} is not finished; `i2p run` finishes it")
    return Dataset(store.at(stage), manifest)


def _check_records(dataset: Dataset, version: int | None) -> None:
    committed = Committed.of(dataset.store)
    for outcome in dataset.manifest.outcomes:
        where = f"{dataset.name}/{outcome.unit}"
        name = record_name(outcome.unit, outcome.fingerprint)
        record = committed.record(outcome.unit, outcome.fingerprint)
        if record is None:
            raise NotFound(f"{dataset.name}/{name} is missing or cannot be read, but the manifest names it")
        if record.outcome != outcome:
            raise Corrupt(f"{where}: its record {name} says otherwise than the manifest")
        if version not in (None, outcome.version) or _fingerprint(dataset.name, outcome) != outcome.fingerprint:
            raise Corrupt(f"{where}: its fingerprint is not that of its settings, inputs and version")
        for shard in outcome.shards:
            if shard.object != object_name(shard.name, shard.sha256):
                raise Corrupt(f"{where}: its record names {shard.object} for shard {shard.name} with digest "
                              f"{shard.sha256[:16]}…, which is another shard's")  # fmt: skip
        if missing := committed.missing(outcome):
            raise NotFound(f"{dataset.name}/{missing[0]} is missing or has another size than its record says")


def _fingerprint(stage: str, outcome: Outcome) -> str:
    return fingerprint(
        stage=stage, version=outcome.version, unit=outcome.unit, settings=outcome.settings, reads=outcome.reads
    )


def _check_sample(stage: str, sample: Sample) -> int:
    if stage in _PROMPTS and key_of(sample.text()) != sample.key:
        raise Corrupt(f"{stage}: the key {sample.key} is not that of its prompt {sample.text()!r}")
    return 1


def _check_inputs(datasets: Mapping[str, Dataset], made: Sequence[StageSpec]) -> None:
    """Every outcome of the stages that were made must have read what their inputs hold now."""
    for spec in made:
        for outcome in datasets[spec.name].manifest.outcomes:
            for label, digest in outcome.reads.items():
                stage, _, part = label.partition("/")
                if stage in spec.inputs and digest not in _digests_now(datasets[stage], label, part):
                    raise Corrupt(f"{spec.name}/{outcome.unit} was made from another {label} than is there now")


def _digests_now(dataset: Dataset, label: str, part: str) -> set[str | None]:
    """What a label can stand for: one shard, or whole groups of them."""
    one_shard = {shard.sha256 for shard in dataset.shards() if shard.name == part}
    return {*one_shard, dataset.reads(*(part.split(",") if part else ())).get(label)}


def _check_embedded(datasets: Mapping[str, Dataset]) -> None:
    collected = {
        (shard.name, sample.key)
        for stage in ("collect", "generate-prompts")
        for shard in datasets[stage].shards()
        for sample in datasets[stage].read(shard)
    }
    embed = datasets["embed"]
    embedded = {(shard.name, sample.key) for shard in embed.shards() for sample in embed.read(shard)}
    _require_equal("embed", embedded, "collect and generate-prompts", collected)


def _check_filter(embed: Dataset, dedup: Dataset) -> str:
    (certificate,) = (sample.json() for sample in dedup.samples(CERTIFICATE))
    vectors = {sample.key: _unit_vector(sample["npy"]) for sample in embed.samples()}
    names = {f"{sample.key}-{shard.name}" for shard in embed.shards() for sample in embed.read(shard)}
    kept: set[str] = set()
    for shard in dedup.shards():
        if shard.group in NOT_SPLITS:
            continue
        for sample in dedup.read(shard):
            split = split_of(sample.key, certificate["held_out"])
            if split != shard.group:
                raise Corrupt(f"dedup: {sample.key} belongs to {split}, but stands in {shard.name}")
            if key_of(sample.text()) != sample.key or sample.key in kept:
                raise Corrupt(f"dedup: {sample.key} in {shard.name} is kept twice, or is not the key of its prompt")
            kept.add(sample.key)
    dropped = set()
    for sample in dedup.samples(DROPPED):
        verdict, key = sample.json(), sample.key.partition("-")[0]
        witness = verdict["witness"]
        if witness not in kept:
            raise Corrupt(f"dedup: {sample.key} was dropped for {witness}, which is not kept")
        cosine = sum(map(float.__mul__, vectors[key], vectors[witness]))
        if abs(cosine - verdict["cosine"]) > _ROUNDING or verdict["cosine"] < certificate["threshold"] - 1e-9:
            raise Corrupt(f"dedup: {sample.key} was dropped for {witness} at {verdict['cosine']}, but their cosine is "
                          f"{cosine:.9f} and the threshold {certificate['threshold']}")  # fmt: skip
        dropped.add(sample.key)
    found = {
        "prompts": len(names),
        "kept": len(kept),
        "dropped": len(dropped),
        "kept_keys_sha256": sha256("\n".join(sorted(kept)).encode()),
    }
    for name, value in found.items():
        if certificate[name] != value:
            raise Corrupt(f"dedup: the certificate says {name} = {certificate[name]}, the shards say {value}")
    if len(kept) + len(dropped) != len(names):
        raise Corrupt(f"dedup: {len(names)} prompts came in, but {len(kept)} kept and {len(dropped)} dropped came out")
    return f"{len(kept):,} kept, all {len(dropped):,} dropped have a kept witness"


def _check_images(dedup: Dataset, images: Dataset) -> None:
    kept = {shard.name: shard for shard in dedup.shards()}
    for shard in images.shards():
        if shard.name not in kept:
            raise Corrupt(f"generate-images: {shard.name} is no shard of dedup")
        prompts = {sample.key: sample["txt"] for sample in dedup.read(kept[shard.name])}
        drawn = {sample.key: sample["txt"] for sample in images.read(shard)}
        _require_equal(f"generate-images/{shard.name}", set(drawn.items()), "dedup", set(prompts.items()))


def _require_equal(
    stage: str, found: set[tuple[str, str]] | set[tuple[str, bytes]], source: str, wanted: object
) -> None:
    if found != wanted:
        raise Corrupt(f"{stage} does not hold the same keys and prompts as {source}")


def _unit_vector(npy: bytes) -> array[float]:
    """The vector in a .npy file of version 1 or 2, little-endian float32, divided by its length. Free of numpy."""
    try:
        if npy[:6] != b"\x93NUMPY":
            raise ValueError("it does not start as one")
        size, start = (
            (struct.unpack("<H", npy[8:10])[0], 10) if npy[6] == 1 else (struct.unpack("<I", npy[8:12])[0], 12)
        )
        header = ast.literal_eval(npy[start : start + size].decode("latin-1"))
        if header["descr"] != "<f4":
            raise ValueError(f"its type is {header['descr']}, not <f4")
        values = array("d", (value for (value,) in struct.iter_unpack("<f", npy[start + size :])))
    except (ValueError, SyntaxError, KeyError, struct.error) as error:
        raise Corrupt(f"not a vector in a .npy file: {error}") from error
    norm = math.sqrt(sum(value * value for value in values))
    return array("d", (value / norm for value in values))
