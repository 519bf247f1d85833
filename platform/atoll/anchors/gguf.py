"""From a Llama model in a GGUF file to a plain transformers checkpoint."""

from pathlib import Path

import torch

from atoll.anchors.anchor import no_progress_bars
from atoll.errors import AnchorError


def convert_gguf(source: Path, folder: Path) -> None:
    """Write ``folder``: config.json, model.safetensors in bfloat16, the tokenizer.

    transformers takes the quantization off when it reads the file, but refuses to save the model that it gives;
    its weights go into a model of the same configuration that was never quantized.

    Raises:
        AnchorError: the file does not load, or is no Llama model.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig, LlamaConfig, LlamaForCausalLM

    place = {"gguf_file": source.name, "local_files_only": True}
    try:
        with no_progress_bars():
            tokenizer = AutoTokenizer.from_pretrained(source.parent, **place)
            dense = GgufConfig(dequantize=True)
            read = AutoModelForCausalLM.from_pretrained(
                source.parent, dtype=torch.bfloat16, quantization_config=dense, **place
            )
    except (OSError, ValueError, RuntimeError, KeyError, ImportError) as error:
        raise AnchorError(f"{source} does not convert: {error}") from error
    if read.config.model_type != "llama":
        raise AnchorError(f"{source} is a {read.config.model_type} model, not a Llama model")
    config = read.config.to_dict()
    for of_the_file in ("quantization_config", "_name_or_path", "_model_name_or_path"):
        config.pop(of_the_file, None)
    with torch.device("meta"):  # no second set of weights in memory
        plain = LlamaForCausalLM(LlamaConfig(**config))
    plain.load_state_dict(read.state_dict(), assign=True)
    plain.tie_weights()
    with no_progress_bars():
        plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
