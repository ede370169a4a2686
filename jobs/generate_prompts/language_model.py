"""A causal language model that writes prompts, as transformers' own `generate` draws them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
)
from transformers.utils import logging

from jobs.errors import BadConfiguration
from jobs.generate_prompts.stage import GeneratePromptsParams
from jobs.runtime.device import gpu_memory_for, prepare_torch
from jobs.runtime.models import locate


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """A model in float32 and eval mode on its device, its tokenizer, which pads left, and how it is to write."""

    model: Any
    tokenizer: Any
    params: GeneratePromptsParams

    @property
    def positions(self) -> int:
        """The most tokens the model can read."""
        return int(self.model.config.max_position_embeddings)


def load(params: GeneratePromptsParams) -> LanguageModel:
    """The language model, set to draw as the parameters say and as nothing in its own folder says.

    Raises BadConfiguration when the folder is not a whole model, or max_new_tokens leaves no position for a beginning.
    """
    device = prepare_torch(params)
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    name, revision = locate(params)
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, revision=revision, padding_side="left")
        model: Any = AutoModelForCausalLM.from_pretrained(
            name, revision=revision, dtype=torch.float32, use_safetensors=True
        )
    except (OSError, ValueError) as error:
        if revision is not None and "safetensors" not in str(error):
            raise  # the hub, which a retry may reach
        raise BadConfiguration(
            f"model: {name} is not a language model with its tokenizer and weights as safetensors (pickled weights are "
            f"not loaded; `save_pretrained` of transformers converts them): {error}"
        ) from error
    if tokenizer.pad_token_id is None:  # GPT-2 has none; what stands there is masked
        tokenizer.pad_token = tokenizer.eos_token
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        do_sample=True,
        max_new_tokens=params.max_new_tokens,
        temperature=params.temperature,
        top_k=params.top_k or 0,
        top_p=params.top_p,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    language_model = LanguageModel(model.eval().to(device), tokenizer, params)
    if params.max_new_tokens >= language_model.positions:
        raise BadConfiguration(
            f"max_new_tokens: {params.max_new_tokens} leaves no position for a beginning in the "
            f"{language_model.positions} tokens that {params.model} can read; set it lower"
        )
    return language_model


def write(language_model: LanguageModel, *, shard: int, beginnings: Sequence[str]) -> Iterator[str]:
    """One text for each beginning ("" for none), the beginning included, in their order.

    Every batch draws from a stream of its own, seeded with (seed, shard, batch): a shard does not depend on what was
    written before it in this process or elsewhere. torch's own random state is left as it was.
    """
    params, model = language_model.params, language_model.model
    devices = [model.device] if model.device.type == "cuda" else []
    what = f"batch_size: {params.batch_size} at max_new_tokens: {params.max_new_tokens}"
    for batch, start in enumerate(range(0, len(beginnings), params.batch_size)):
        inputs = _inputs(language_model, beginnings[start : start + params.batch_size])
        penalty = RepetitionPenaltyLogitsProcessor(params.repetition_penalty, inputs["input_ids"].shape[1])
        with (
            gpu_memory_for(what, "set a smaller batch_size"),
            torch.random.fork_rng(devices),
            torch.inference_mode(),
        ):
            torch.manual_seed(batch_seed(params.seed, shard, batch))
            tokens = model.generate(**inputs, logits_processor=LogitsProcessorList([penalty]))
        yield from language_model.tokenizer.batch_decode(
            tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )


def batch_seed(seed: int, shard: int, batch: int) -> int:
    """The seed of one batch's random numbers, 0 <= seed < 2^63."""
    return int.from_bytes(hashlib.sha256(f"generate:{seed}:{shard}:{batch}".encode()).digest()[:8], "big") >> 1


def _inputs(language_model: LanguageModel, beginnings: Sequence[str]) -> dict[str, torch.Tensor]:
    """`input_ids` and `attention_mask`, int64 of shape (beginnings, tokens): the start of text, then the beginning.

    A beginning is cut where the model would have no position for `max_new_tokens` after it.
    """
    tokenizer = language_model.tokenizer
    available = language_model.positions - language_model.params.max_new_tokens - 1
    begun = [
        [tokenizer.bos_token_id, *tokenizer.encode(text, add_special_tokens=False)[:available]] for text in beginnings
    ]
    padded = tokenizer.pad({"input_ids": begun}, padding=True, return_tensors="pt")
    return {name: padded[name].to(language_model.model.device) for name in ("input_ids", "attention_mask")}
