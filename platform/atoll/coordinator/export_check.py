"""Whether what was written for other libraries computes there what it computes here.

Every export is loaded by the library that it is for, and compared on a probe before it takes its name. A class, a
router, an integrator or a kind that is treated as a built-in because it looks like one is found out here, whatever
package it comes from.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from atoll.anchors import Anchor
from atoll.anchors.anchor import no_progress_bars
from atoll.errors import MixtureError
from atoll.mixture import Descriptor, Mixture, Router, Routing, RoutingContext
from atoll.mixture.layer import Gate
from atoll.workloads.workload import workload_class

TOLERANCE = 1e-4
"""Largest difference of a logit, of one more than the largest logit: what another order of sums in float32 makes."""
_PROBES, _LENGTH = 4, 32

Load = Callable[[], nn.Module]
Inputs = Mapping[str, Tensor]


def probe(anchor: Anchor) -> dict[str, Tensor]:
    """Inputs that are the same every time: random tokens for text, else public samples of the workload."""
    if anchor.workload == "text":
        form = anchor.architecture
        length = min(_LENGTH, int(getattr(form, "context", _LENGTH)))
        generator = torch.Generator().manual_seed(0)
        return {"input_ids": torch.randint(form.vocabulary, (_PROBES, length), generator=generator)}
    workload = workload_class(anchor.workload).public(anchor)
    return dict(workload.samples("train", list(range(_PROBES))).inputs)


@torch.no_grad()
def logits_of(model: nn.Module, inputs: Inputs) -> Tensor:
    """What a model computes of the probe, float32."""
    logits: Tensor = model(**inputs, use_cache=False).logits
    return logits.float()


def compare(load: Load, wanted: Tensor, inputs: Inputs, what: str) -> float:
    """Largest difference of a logit between what was written, loaded without Atoll's mixtures, and what is wanted.

    Args:
        load: Loads what was written.
        wanted: Logits of the probe, as Atoll computes them.
        inputs: The probe.
        what: Is written: for messages.

    Raises:
        MixtureError: it does not load, or computes something else.
    """
    try:
        found = logits_of(load(), inputs)
        difference = float((found - wanted).abs().max())
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise MixtureError(f"{what} cannot be loaded without Atoll ({error}): nothing is left there") from error
    if not difference <= TOLERANCE * (1 + float(wanted.abs().max())):
        raise MixtureError(
            f"{what}, loaded without Atoll, computes other logits than it does in Atoll, by up to {difference:g}: the "
            "format cannot express what its integrator, router or kind of expert does, so nothing is left there; "
            "build the release with parts that the format knows (--integrator flexolmo --router top-k, or "
            "--integrator soup)"
        )
    return difference


def plain_model(folder: Path) -> nn.Module:
    """A checkpoint, loaded with transformers alone."""
    from transformers import AutoModelForCausalLM

    with no_progress_bars():
        model: nn.Module = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    return model.eval()


def adapted_model(folder: Path, anchor: Anchor) -> nn.Module:
    """An anchor with an adapter, loaded with transformers and PEFT alone."""
    from peft import PeftModel

    model = plain_model(anchor.path) if anchor.workload == "text" else anchor.model()
    adapted: nn.Module = PeftModel.from_pretrained(model, str(folder))
    return adapted.eval()


@contextmanager
def only(mixture: Mixture, owner: str) -> Iterator[None]:
    """Answer with one owner's expert alone inside the block, whatever the router: all weight, at every site."""
    gates = [gate for gate in mixture.gates if isinstance(gate, Gate)]
    before = [gate.router for gate in gates]
    try:
        for gate in gates:
            gate.router = _All(mixture.slots.index(owner))
        with mixture.use([owner]):
            yield
    finally:
        for gate, router in zip(gates, before, strict=True):
            gate.router = router


@dataclass(frozen=True)
class _All(Router):
    """All weight to one slot."""

    name: ClassVar[str] = "one"
    slot: int

    def row(
        self, site: str, descriptor: Descriptor, anchor: Descriptor, learned: Mapping[str, Tensor]
    ) -> Mapping[str, Tensor]:
        """Nothing."""
        return {}

    def route(self, state: Mapping[str, Tensor], x_BSD: Tensor, context: RoutingContext) -> Routing:
        """The slot, for every token."""
        slots = torch.full((x_BSD.shape[0] * x_BSD.shape[1], 1), self.slot, device=x_BSD.device)
        return Routing(slots, torch.ones_like(slots, dtype=torch.float32))
