"""The same LoRA experts as PEFT runs them: one adapter a sample in a mixed batch, X-LoRA, and Arrow.

Each peer routes in a way of its own, so each comes with the router under which Atoll computes the same.
"""

import copy
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from atoll.benchmarks.speed.case import Case
from atoll.benchmarks.speed.fixed_routers import ArrowRows, Given
from atoll.benchmarks.speed.methods import ARROW, MIXED, X_LORA
from atoll.benchmarks.speed.random_experts import expert_kind, random_members, targets_of
from atoll.benchmarks.speed.runner import Runner
from atoll.experts import tensors
from atoll.experts.adapter import NAME, plain_adapter
from atoll.mixture import ANCHOR
from atoll.mixture.routing import Rows


def adapter_folders(case: Case, model: nn.Module, parent: Path) -> dict[str, str]:
    """The experts as PEFT adapters on disk; folder by name, ``0`` and so on, in slot order."""
    targets = targets_of(case, model)
    found: dict[str, str] = {}
    for place, member in enumerate(random_members(case, model)):
        folder = parent / str(place)
        folder.mkdir()
        (folder / NAME).write_bytes(plain_adapter(targets, member.settings, generates=True))
        (folder / "adapter_model.safetensors").write_bytes(tensors.save(member.weights))
        found[str(place)] = str(folder)
    return found


def mixed_batch(case: Case) -> tuple[Runner, Given]:
    """PEFT's ``adapter_names``: each sample with one adapter; the samples are spread over the experts.

    Returns:
        The runner, and Atoll's router for the same.
    """
    from peft import PeftModel  # here and below: it is slow to import

    model = case.model()
    with tempfile.TemporaryDirectory() as folder:
        paths = adapter_folders(case, model, Path(folder))
        peft = PeftModel.from_pretrained(model, paths["0"], adapter_name="0")
        for name in list(paths)[1:]:
            peft.load_adapter(paths[name], adapter_name=name)
    names = [str(sample * case.experts // max(case.batch, case.experts)) for sample in range(case.batch)]
    peft = peft.eval().requires_grad_(False)

    def forward(ids_BS: Tensor) -> Tensor:
        logits: Tensor = peft(input_ids=ids_BS, adapter_names=names, use_cache=False).logits
        return logits

    slots = torch.tensor([int(name) + 1 for name in names], device=case.device)
    slots_TK = slots.repeat_interleave(case.length)[:, None]
    given = Given(slots_TK, torch.ones(slots_TK.shape, device=case.device))
    return Runner(MIXED, forward, _matrices(case, peft, "0")), given


def x_lora(case: Case) -> tuple[Runner, "XLoraRouting"]:
    """X-LoRA (Buehler and Buehler 2024, arXiv 2402.07148): the anchor reads the text, a classifier on its last states
    weighs all adapters, and the model reads the text again.

    Returns:
        The runner, and what tells how it routed.
    """
    from peft import XLoraConfig, get_peft_model

    model = case.model()
    model.config.use_cache = False  # type: ignore[union-attr]
    with tempfile.TemporaryDirectory() as folder, torch.random.fork_rng(devices=[]):
        torch.manual_seed(case.seed)
        config = XLoraConfig(
            task_type="CAUSAL_LM",
            hidden_size=model.config.hidden_size,  # type: ignore[union-attr,arg-type]
            adapters=adapter_folders(case, model, Path(folder)),
            top_k_lora=min(case.chosen, case.experts),
        )
        peft: Any = get_peft_model(model, config)
    peft.eval().requires_grad_(False)

    def forward(ids_BS: Tensor) -> Tensor:
        logits: Tensor = peft(input_ids=ids_BS, use_cache=False).logits
        return logits

    classifier = peft.base_model.internal_xlora_classifier
    trained = [p.requires_grad_() for p in classifier.parameters()] if case.action == "router" else []
    return Runner(X_LORA, forward, trained), XLoraRouting(peft, case)


class XLoraRouting:
    """How an X-LoRA model routed when it was last run."""

    def __init__(self, peft: Any, case: Case) -> None:
        self._peft, self._case = peft, case

    def router(self) -> Given:
        """Atoll's router for the same: the kept weights as they are, which do not sum to one."""
        scalings_BSLE: Tensor = self._peft.base_model.internal_xlora_scalings.detach()
        scores_TE = scalings_BSLE[:, :, 0].flatten(0, 1)
        weights_TK, experts_TK = scores_TE.topk(min(self._case.chosen, self._case.experts), dim=1)
        return Given(experts_TK + 1, weights_TK)


def arrow(case: Case) -> tuple[Runner, ArrowRows, Rows]:
    """PEFT's Arrow over the same adapters.

    Returns:
        The runner, and Atoll's router for the same with its state.
    """
    from peft import ArrowConfig, create_arrow_model

    model = case.model()
    plain = copy.deepcopy(model)
    k = min(case.chosen, case.experts)
    with tempfile.TemporaryDirectory() as folder:
        paths = [*adapter_folders(case, model, Path(folder)).values()]
        peft: nn.Module = create_arrow_model(model, paths, ArrowConfig(top_k=k, rng_seed=0))  # type: ignore[arg-type]
    peft.eval().requires_grad_(False)

    def forward(ids_BS: Tensor) -> Tensor:
        logits: Tensor = peft(input_ids=ids_BS, use_cache=False).logits
        return logits

    with torch.no_grad():  # Arrow makes its prototypes at its first call.
        forward(torch.zeros(1, 2, dtype=torch.int64, device=case.device))
    rows = _prototypes(case, plain, dict(peft.named_buffers()))
    return Runner(ARROW, forward, _matrices(case, peft, "task_0")), ArrowRows(k=k), rows


def _prototypes(case: Case, plain: nn.Module, buffers: Mapping[str, Tensor]) -> Rows:
    targets = targets_of(case, plain)
    slots = (ANCHOR, *(member.owner for member in random_members(case, plain)))
    rows: dict[str, dict[str, dict[str, Tensor]]] = {}
    for site in expert_kind(case).sites(targets):
        (name,) = [name for name in buffers if f"{site.targets[0]}." in name and name.endswith(".prototypes")]
        prototypes_ED = buffers[name]
        states = [torch.zeros_like(prototypes_ED[0]), *prototypes_ED]
        rows[site.path] = {slot: {"prototype": state} for slot, state in zip(slots, states, strict=True)}
    return rows


def _matrices(case: Case, peft: nn.Module, adapter: str) -> Sequence[Tensor]:
    """An adapter's matrices, where the case trains an expert."""
    if case.action != "expert":
        return ()
    ends = (f".lora_A.{adapter}.weight", f".lora_B.{adapter}.weight")
    return [parameter.requires_grad_() for name, parameter in peft.named_parameters() if name.endswith(ends)]
