"""The same mixture as transformers runs it: FlexOlmo or Mixtral, with each of its implementations of experts."""

from typing import Any

from torch import Tensor

from atoll.benchmarks.speed.atoll_models import mixture_of, plain_runner
from atoll.benchmarks.speed.case import Case
from atoll.benchmarks.speed.methods import PREFIX
from atoll.benchmarks.speed.runner import Runner
from atoll.coordinator.checkpoints import Checkpoint, moe_checkpoint
from atoll.errors import ConfigError

_GATHER_LIMIT = 2**30


def transformers_runner(case: Case, method: str, ids_BS: Tensor) -> Runner:
    """A model that ``atoll mixture export`` would write, under one of transformers' implementations.

    One expert of its fused tensors cannot be trained alone: to train one is to take the gradient of all.

    Raises:
        ConfigError: ``batched_mm`` would copy more than a GiB of weights, one set of matrices for every choice.
    """
    kernel = method.removeprefix(PREFIX)
    checkpoint = moe_checkpoint(mixture_of(case, case.model(), ids_BS))
    if kernel == "batched_mm":
        _refuse_large(case, checkpoint.config)
    model = _built(checkpoint)
    model.set_experts_implementation(kernel)
    model.requires_grad_(False)
    ends = {"inference": (), "expert": ("gate_up_proj", "down_proj"), "router": ("mlp.gate.weight",)}[case.action]
    trained = [p.requires_grad_() for name, p in model.named_parameters() if name.endswith(ends)] if ends else []
    return plain_runner(method, model, trained)


def _built(checkpoint: Checkpoint) -> Any:
    # Not the checkpoint's own way, which is for saving: what is computed and not saved stays on the meta device there.
    model = checkpoint.model_class(checkpoint.config)
    model.load_state_dict(checkpoint.state, assign=True)
    model.tie_weights()
    return model.to(next(iter(checkpoint.state.values())).device).eval()


def _refuse_large(case: Case, config: object) -> None:
    width, hidden, chosen = (
        int(getattr(config, name)) for name in ("hidden_size", "intermediate_size", "num_experts_per_tok")
    )
    gathered = case.batch * case.length * chosen * 3 * width * hidden * 4
    if gathered > _GATHER_LIMIT:
        raise ConfigError(
            f"transformers-batched_mm would copy {gathered / 2**30:.1f} GiB of weights a layer for {case.batch} "
            f"samples of {case.length} tokens; give it fewer tokens"
        )
