"""A vocabulary as it is stored, and read again."""

from __future__ import annotations

from jobs.composing.fragments import Fragment, Link
from jobs.composing.values import SearchParams, VocabularyRecord
from jobs.composing.vocabulary import EmbeddedVocabulary, Vocabulary
from jobs.contract.reading import TypedSample
from jobs.contract.samples import DIMENSIONS
from jobs.errors import Corrupt
from jobs.runtime.arrays import from_npy


def record_of(
    vocabulary: Vocabulary, num_prompts: int, model: str, revision: str | None, search: SearchParams
) -> VocabularyRecord:
    """What is stored of a vocabulary of so many prompts, beside its vectors."""
    return VocabularyRecord(
        model=model,
        revision=revision,
        prompts=num_prompts,
        fragments=tuple((one.link.value, one.text) for one in vocabulary.fragments),
        joints=tuple(sorted(vocabulary.joints)),
        search=search,
    )


def vocabulary_in(stored: TypedSample[VocabularyRecord]) -> EmbeddedVocabulary:
    """The vocabulary with its vectors; raises Corrupt unless there is one for each fragment."""
    record, vectors = stored.value, from_npy(stored["npy"])
    if vectors.shape != (shape := (len(record.fragments), DIMENSIONS)):
        raise Corrupt(f"the vocabulary's vectors are of shape {vectors.shape}, required is {shape}")
    fragments = tuple(Fragment(Link(link), text) for link, text in record.fragments)
    return EmbeddedVocabulary(Vocabulary(fragments, frozenset(record.joints)), vectors)
