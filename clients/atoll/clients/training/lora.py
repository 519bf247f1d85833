"""Training kind ``lora``, by PEFT."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from atoll.clients.training.trainable import Trainable, TrainedExpert
from atoll.errors import ConfigError
from atoll.experts.training import ExpertConfig


class LoraTrainable(Trainable):
    """The anchor with a PEFT adapter."""

    def __init__(self, anchor: nn.Module, layers: Sequence[int], config: ExpertConfig, seed: int) -> None:
        """Wrap the anchor, in place.

        Raises:
            ConfigError: no module of the anchor has such a name.
        """
        from peft import LoraConfig, get_peft_model

        torch.manual_seed(seed)  # A is drawn at random, B is zero
        try:
            self._peft = get_peft_model(
                anchor,
                LoraConfig(
                    r=config.rank,
                    lora_alpha=config.alpha,  # type: ignore[arg-type]  # PEFT only divides by the rank
                    target_modules=list(config.modules),
                    layers_to_transform=list(layers),
                    lora_dropout=0.0,
                    bias="none",
                    # What does not generate text by itself, as a mobility model, is an encoder to PEFT.
                    task_type="CAUSAL_LM" if hasattr(anchor, "generate") else "FEATURE_EXTRACTION",
                ),
            )
        except ValueError as error:
            raise ConfigError(f"expert.modules {list(config.modules)} do not fit this anchor: {error}") from error
        self._config = config
        self.model = self._peft.get_base_model()
        self.parameters = {name: p for name, p in self._peft.named_parameters() if p.requires_grad}

    def auxiliary_loss(self) -> Tensor | None:
        """None."""
        return None

    def export(self) -> TrainedExpert:
        """The adapter as PEFT saves it."""
        with tempfile.TemporaryDirectory() as folder:
            self._peft.save_pretrained(folder)
            weights = load_file(Path(folder) / "adapter_model.safetensors")
            adapter = json.loads((Path(folder) / "adapter_config.json").read_text())
        # Where the anchor lies on the owner's disk, and in what order PEFT kept its sets, is nobody's business.
        adapter["base_model_name_or_path"] = None
        adapter["target_modules"] = sorted(adapter["target_modules"])
        extra = {"adapter_config.json": json.dumps(adapter, indent=2, sort_keys=True).encode()}
        suffix = ".lora_A.weight"
        targets = [n.removeprefix("base_model.model.").removesuffix(suffix) for n in weights if n.endswith(suffix)]
        # In the anchor's order; the model that is run may be its upper part only, with other names.
        ordered = tuple(name for name, _ in self._peft.get_base_model().named_modules() if name in set(targets))
        return TrainedExpert(
            "lora", ordered, {"rank": self._config.rank, "alpha": float(self._config.alpha)}, weights, extra
        )
