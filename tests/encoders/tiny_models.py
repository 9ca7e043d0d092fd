"""Tiny models with random weights, built on the spot; nothing is downloaded."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

WORDS = [
    *("boat", "sea", "wave", "train", "rail", "snow", "peak", "bread", "oven", "ship"),
    *("boot", "meer", "welle", "zug", "schiene", "schnee", "gipfel", "brot", "ofen", "schiff"),
    *("##s", "##en", "##e", "##r", "a", "b", "c", "query", ":", ".", ","),
]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WINDOW = 24
HubModel = Callable[..., Path]


class Evil:
    """Makes a file when it is unpickled."""

    def __reduce__(self) -> Any:
        return (Path.touch, (Path("ran"),))


def raises(kind: type[Exception], message: str, call: Callable[..., Any], *args: Any) -> None:
    """Assert that a call ends with an error whose text begins so."""
    with pytest.raises(kind, match=f"^{re.escape(message)}"):
        call(*args)


def write_sentence_model(folder: Path, *, seed: int = 0, positions: int = 64) -> Path:
    """Write a BERT of two layers with mean pooling that reads 24 tokens."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    torch.manual_seed(seed)
    vocabulary = [*SPECIAL, *WORDS]
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=positions,
    )
    network = BertModel(config)
    # Larger weights, so that what is read makes a difference.
    for parameter in network.parameters():
        parameter.data.mul_(4)
    plain = folder.with_name(f"{folder.name}-plain")
    network.save_pretrained(plain)
    words = {word: i for i, word in enumerate(vocabulary)}
    BertTokenizerFast(vocab=words, model_max_length=WINDOW).save_pretrained(plain)
    transformer = Transformer(str(plain))
    model = SentenceTransformer(modules=[transformer, Pooling(16, pooling_mode="mean")])
    model.save(str(folder))
    return folder


def write_static_model(folder: Path, *, seed: int = 0) -> Path:
    """Write a model of model2vec with eight dimensions."""
    from model2vec import StaticModel
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    words = ["[UNK]", *(word for word in WORDS if not word.startswith("##"))]
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    vectors = np.random.default_rng(seed).normal(size=(len(words), 8)).astype(np.float32)
    StaticModel(vectors, tokenizer).save_pretrained(folder)
    return folder


def register_clip_architecture(folder: Path, name: str = "tiny-clip", layers: int = 1) -> str:
    """Make open_clip know a CLIP of 16 dimensions."""
    import open_clip

    config = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": layers, "width": 64, "patch_size": 16},
        "text_cfg": {
            "context_length": 20,
            "vocab_size": 49408,
            "width": 16,
            "heads": 2,
            "layers": 1,
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder / f"{name}.json")
    return name


def write_clip_weights(path: Path, architecture: str, *, seed: int = 0) -> Path:
    """Write random weights of an architecture, as safetensors or as torch does."""
    import open_clip
    from safetensors.torch import save_file

    torch.manual_seed(seed)
    tensors = open_clip.create_model(architecture).state_dict()
    if path.suffix == ".safetensors":
        save_file({name: one.contiguous() for name, one in tensors.items()}, path)
    else:
        torch.save(tensors, path)
    return path


def write_timm_weights(path: Path, network: str, *, seed: int = 0, classes: int = 7) -> Path:
    """Write random weights of a network of timm, with those of its classes."""
    import timm
    from safetensors.torch import save_file

    torch.manual_seed(seed)
    tensors = timm.create_model(network, pretrained=False, num_classes=classes).state_dict()
    save_file({name: one.contiguous() for name, one in tensors.items()}, path)
    return path


def link_all(source: Path, target: Path) -> None:
    """Put all files of a folder into another."""
    for path in source.rglob("*"):
        if path.is_file():
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, place)
