"""Random models of every family that are small enough for every test."""

from pathlib import Path
from typing import Any, Literal

import torch

from atoll.anchors import Anchor
from atoll.anchors.anchor import no_progress_bars
from atoll.anchors.classifier import ClassifierArchitecture, ClassifierModel, ImagesForm, save_classifier_anchor
from atoll.anchors.mobility import MobilityArchitecture, MobilityModel, save_mobility_anchor

_FORM: dict[str, Any] = {
    "vocab_size": 258,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "bos_token_id": None,
    "eos_token_id": 257,
    "pad_token_id": 257,
    "initializer_range": 0.2,
}


def toy_anchor(
    folder: Path, family: Literal["llama", "olmo2"] = "olmo2", *, layers: int = 2, seed: int = 0, **form: Any
) -> Anchor:
    """Write a checkpoint that reads bytes: width 16, context 64, random weights.

    Args:
        folder: Where to.
        family: Its form.
        layers: How many.
        seed: Of the weights; equal arguments give an equal digest.
        form: Further settings of the transformers configuration, over the toy's own.
    """
    from transformers import LlamaConfig, LlamaForCausalLM, Olmo2Config, Olmo2ForCausalLM

    config, model = {"llama": (LlamaConfig, LlamaForCausalLM), "olmo2": (Olmo2Config, Olmo2ForCausalLM)}[family]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        built = model(config(**{**_FORM, "num_hidden_layers": layers, **form}))
        with torch.no_grad():
            for name, parameter in built.named_parameters():
                if "norm" in name:  # ones everywhere would hide a norm that is lost
                    parameter.uniform_(0.5, 1.5)
    with no_progress_bars():
        built.save_pretrained(folder)
    _tokenizer().save_pretrained(folder)
    return Anchor.open(folder)


def toy_mobility_anchor(folder: Path, *, layers: int = 2, pois: int = 34, seed: int = 0) -> Anchor:
    """Write a mobility anchor of width 16 with random weights.

    Args:
        folder: Where to.
        layers: How many.
        pois: Categories of points of interest in a location's features.
        seed: Of the weights; equal arguments give an equal digest.
    """
    form = MobilityArchitecture(hidden_size=16, layers=layers, heads=4, intermediate_size=24, pois=pois)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        built = MobilityModel(form)
        with torch.no_grad():
            for name, parameter in built.named_parameters():
                if "norm" in name:
                    parameter.uniform_(0.5, 1.5)
    save_mobility_anchor(built, folder)
    return Anchor.open(folder)


def toy_image_anchor(folder: Path, *, layers: int = 2, classes: int = 12, seed: int = 0) -> Anchor:
    """Write a classifier of width 16 with random weights that reads grey pictures of 8 x 8 pixels.

    Args:
        folder: Where to.
        layers: How many.
        classes: Directions of its fixed head.
        seed: Of the weights; equal arguments give an equal digest.
    """
    stem = ImagesForm(height=8, width=8, filters=(8,))
    form = ClassifierArchitecture(
        hidden_size=16, layers=layers, intermediate_size=24, classes=classes, stem=stem, scale=4.0
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        built = ClassifierModel(form)
        with torch.no_grad():
            for name, parameter in built.named_parameters():
                if "norm" in name:
                    parameter.uniform_(0.5, 1.5)
    save_classifier_anchor(built, folder)
    return Anchor.open(folder)


def _tokenizer() -> Any:
    """Bytes as tokens, and one merge."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate([*letters, "he", "<|end|>"])}
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=[("h", "e")]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|end|>")
