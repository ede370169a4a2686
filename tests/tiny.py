"""Builds tiny, randomly initialised models of the real classes in a folder, offline and in about a second each."""

from __future__ import annotations

import json
import socket
import string
from pathlib import Path
from typing import Any

import pytest

WORDS = ["fox", "owl", "castle", "garden", "lantern", "portrait", "watercolor", "sunset", "robot", "forest", "light"]
SPACE = "\u0120"  # how byte-level BPE writes a space

# Of the 768-v model's scheduler/scheduler_config.json.
SD2_SCHEDULER: dict[str, Any] = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "steps_offset": 1,
    "clip_sample": False,
    "set_alpha_to_one": False,
    "prediction_type": "v_prediction",
}


def language_model(folder: Path, *, positions: int = 64) -> Path:
    """A GPT2LMHeadModel of 2 layers with a GPT2Tokenizer that has no pad token, as MagicPrompt's has none.

    Its vocabulary is ASCII's letters, digits and punctuation and a few words, so that what it writes is text.
    """
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel, GPT2Tokenizer

    tokens = [SPACE, *string.ascii_letters, *string.digits, *string.punctuation]
    tokens += [SPACE + word for word in WORDS] + ["<|endoftext|>"]
    tokenizer = GPT2Tokenizer(vocab={token: number for number, token in enumerate(tokens)}, merges=[])
    end = len(tokens) - 1
    config = GPT2Config(
        vocab_size=len(tokens),
        n_positions=positions,
        n_embd=16,
        n_layer=2,
        n_head=2,
        bos_token_id=end,
        eos_token_id=end,
        initializer_range=0.5,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def sentence_model(folder: Path, *, width: int = 16) -> Path:
    """A sentence embedding model of the BERT kind with vectors of `width` numbers, the mean of its words'."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizer

    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *string.ascii_lowercase, *string.digits, *WORDS]
    bert = folder.with_name(f"{folder.name}-bert")
    config = BertConfig(
        vocab_size=len(tokens), hidden_size=width, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        BertModel(config).save_pretrained(bert)
    BertTokenizer(vocab={token: number for number, token in enumerate(tokens)}).save_pretrained(bert)
    SentenceTransformer(modules=[Transformer(str(bert)), Pooling(width)], device="cpu").save(str(folder))
    return folder


def stable_diffusion(folder: Path) -> Path:
    """A whole StableDiffusionPipeline of the SD 2 kind: v-prediction, DDIM, linear projections, 77 CLIP tokens.

    Its index names a safety checker that the folder does not hold, so that loading one would fail.
    """
    import diffusers as untyped
    import torch
    from transformers import CLIPTextConfig, CLIPTextModel

    diffusers: Any = untyped
    tokenizer = _clip_tokenizer()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        unet = diffusers.UNet2DConditionModel(
            sample_size=4,
            in_channels=4,
            out_channels=4,
            layers_per_block=1,
            block_out_channels=(16, 32),
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            cross_attention_dim=16,
            attention_head_dim=(2, 4),
            use_linear_projection=True,
            norm_num_groups=8,
        )
        vae = diffusers.AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(8, 8, 8, 8),
            norm_num_groups=4,
            latent_channels=4,
            sample_size=32,
        )
        text_encoder = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(tokenizer),
                hidden_size=16,
                intermediate_size=32,
                num_hidden_layers=2,
                num_attention_heads=2,
                max_position_embeddings=77,
                hidden_act="gelu",
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
                initializer_factor=4.0,
            )
        )
    diffusers.StableDiffusionPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=diffusers.DDIMScheduler(**SD2_SCHEDULER),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder, safe_serialization=True)
    index = json.loads((folder / "model_index.json").read_text())
    index["safety_checker"] = ["stable_diffusion", "StableDiffusionSafetyChecker"]
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def _clip_tokenizer() -> Any:
    from transformers import CLIPTokenizer

    letters = [*string.ascii_lowercase, *string.digits, *string.punctuation]
    tokens = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77)


def refuse_connections(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Let no socket connect for the rest of the test; the addresses that were tried come in the list."""
    tried: list[Any] = []

    def refuse(_socket: socket.socket, address: Any) -> None:
        tried.append(address)
        raise ConnectionRefusedError(f"this test has no network, {address} was asked for")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tried
