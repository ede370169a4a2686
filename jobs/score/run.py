"""The work of `i2p score`: read pairs and predictions, embed what is text, and say how close they are."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from jobs.dedup.tool.embedding import embedded, model_params
from jobs.dedup.tool.results import Results, new_results
from jobs.embed.stage import EmbedParams
from jobs.errors import BadConfiguration, BadData
from jobs.infer.stage import InferParams
from jobs.report.page import Summary
from jobs.runtime.commands import Progress
from jobs.runtime.device import threads_of
from jobs.score.answer import Answer
from jobs.score.completing import Asked
from jobs.score.files import FILES, SUMMARY, write_page, write_scores, write_summary
from jobs.score.layouts import layout_of
from jobs.score.measuring import difference, measured
from jobs.score.model_predictions import TrainedModel
from jobs.score.page import page
from jobs.score.pairs import ReadPairs, read_pairs
from jobs.score.prediction_files import Prediction, read_predictions
from jobs.score.systems import Floats, System, of_file, of_model, texts_of

_CANDIDATES = 3  # of which the first is shown


def run(args: argparse.Namespace, show: Progress) -> Summary:
    """Score the systems of the arguments, which are those of jobs/score/command.py, on the pairs."""
    files: list[str] = [*args.predictions, *args.against]
    names = [*([args.model] if args.model else []), *files]
    if not names:
        raise BadConfiguration("predictions are required: name a trained run with --model, a file with --predictions")
    if twice := {name for name in names if names.count(name) > 1}:
        raise BadConfiguration(f"{', '.join(sorted(twice))} is given twice: name different systems")
    threads = threads_of(args.threads)
    params = model_params(args.embedding, revision=args.revision, device=args.device, threads=threads)
    out = Path(args.out) if args.out else None
    with new_results(out, force=args.force, names=FILES, last=SUMMARY) if out else nullcontext() as results:
        layout = layout_of(args.pairs, Asked(kind=args.kind, column=args.column, image=args.image, images=args.images))
        given = {name: read_predictions(name) for name in files}
        read = read_pairs(layout.sources, threads, show)
        if not read.pairs:
            raise BadData(_none_readable(args.pairs, layout.kind, read))
        model = _model(args, threads) if args.model else None
        systems, true = _systems(read, model, given, params, show)
        found = [measured(system, true, read.pairs) for system in systems]
        answer = Answer(
            address=args.pairs,
            kind=layout.kind,
            read=read,
            systems=found,
            differences=[difference(found[0], other) for other in found[1:]],
            ensemble=model.ensemble if model else None,
        )
        values = answer.values()
        if results:
            _write(results, answer, systems, threads)
    written = f"\n\nfiles  {', '.join(str(out / name) for name in FILES)}" if out else ""
    return Summary(values, f"{answer.text()}{written}")


def _model(args: argparse.Namespace, threads: int) -> TrainedModel:
    params = InferParams(num_candidates=_CANDIDATES, compose=False, thumbnail=0, device=args.device, threads=threads)
    return TrainedModel(args.model, args.store, params)


def _systems(
    read: ReadPairs, model: TrainedModel | None, given: dict[str, list[Prediction]], params: EmbedParams, show: Progress
) -> tuple[list[System], Floats]:
    """All systems, the model first, and the vectors of the true prompts, float32 of shape (n, 384)."""
    of_files = [of_file(name, predictions, read) for name, predictions in given.items()]
    texts = [texts_of(system) for system in of_files]
    prompts = [pair.prompt for pair in read.pairs]
    distinct = list(dict.fromkeys([*prompts, *(text for one in texts for text in one.values())]))
    vectors = embedded(distinct, params, show)
    numbers = {prompt: number for number, prompt in enumerate(distinct)}
    for system, one in zip(of_files, texts, strict=True):
        rows = list(one)
        system.vectors[rows] = vectors[[numbers[text] for text in one.values()]]
        system.predicted[rows] = True
    of_models = [of_model(model.model, model, read, show)] if model else []
    return [*of_models, *of_files], vectors[[numbers[prompt] for prompt in prompts]]


def _write(results: Results, answer: Answer, systems: Sequence[System], threads: int) -> None:
    write_scores(results, answer.read.pairs, systems, answer.systems)
    write_page(results, page(answer, systems[0], threads))
    write_summary(results, answer.values())


def _none_readable(address: str, kind: str, read: ReadPairs) -> str:
    reasons = "; ".join(f"{one.what}: {one.reason}" for one in read.unreadable[:3])
    more = f": {reasons}" if reasons else ""
    return f"none of {len(read.unreadable):,} pairs in {address!r}, read as {kind}, can be read{more}"
