"""Losses that a silo reports are those of the models, by hand."""

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from atoll.clients.evaluate import Evaluator
from atoll.clients.node import Node
from atoll.clients.training.prefix import Prefix
from atoll.clients.work import evaluate, train_expert
from atoll.errors import ConfigError, FederationError, MixtureError, PackageError
from atoll.experts.package import read_package, unpack
from atoll.federation.units import Choice, EvaluateReply, EvaluateUnit, MemberRef, Variant
from atoll.workloads.text import Text

from .conftest import Silo, quiet, text_of, train_unit

NOTHING = Choice(name="")
ANCHOR = Variant(name="anchor", members=[], integrator=NOTHING, router=NOTHING)
BOTH = ["clinic", "court"]


class Federation:
    """Two silos whose experts each has; the clinic evaluates."""

    def __init__(self, silo: Silo, kind: str = "lora", **changes: Any) -> None:
        self.files: dict[str, Path] = {}
        self.members: list[MemberRef] = []
        self.nodes = {owner: silo(owner, owner=owner) for owner in BOTH}
        for owner, node in self.nodes.items():
            unit = train_unit(node, kind, learning_rate=0.05, **changes)
            reply, self.files[owner] = train_expert(node, unit, quiet)
            key = node.key.public.hex
            self.members.append(MemberRef(owner=owner, digest=reply.digest, blob=reply.blob, public_key=key))
        self.clinic = self.nodes["clinic"]

    def deliver(self, *owners: str) -> None:
        for owner in owners:
            self.clinic.blobs.put(self.files[owner].read_bytes())

    def unit(self, *variants: Variant, owners: list[str] = BOTH, **changes: Any) -> EvaluateUnit:
        members = [member for member in self.members if member.owner in owners]
        values = {"split": "test", "windows": 5, "batch": 2, **changes}
        return EvaluateUnit(anchor=self.clinic.anchor.digest, members=members, variants=list(variants), **values)

    def evaluate(self, *variants: Variant, **changes: Any) -> EvaluateReply:
        return evaluate(self.clinic, self.unit(*variants, **changes), quiet)


def mixed(name: str = "mixture", integrator: str = "flexolmo", router: str = "top-k", **changes: Any) -> Variant:
    values: dict[str, Any] = {"members": BOTH, "integrator": Choice(name=integrator), "router": Choice(name=router)}
    return Variant(name=name, **{**values, **changes})


def by_hand(model: nn.Module, node: Node, split: str = "test", limit: int = 5) -> tuple[float, int]:
    """Mean loss in nats, one token at a time, and how many there were."""
    losses: list[float] = []
    count = text_of(node).windows(split)  # type: ignore[arg-type]
    for index in [place * count // limit for place in range(limit)]:
        ids = text_of(node).window(split, index)  # type: ignore[arg-type]
        with torch.no_grad():
            probabilities = model(input_ids=ids[None]).logits[0].double().softmax(-1)
        losses += [-float(probabilities[place, int(ids[place + 1])].log()) for place in range(len(ids) - 1)]
    return sum(losses) / len(losses), len(losses)


def overwritten(model: nn.Module, weights: Mapping[str, Tensor]) -> nn.Module:
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, value in weights.items():
            parameters[name].copy_(value)
    return model


@pytest.mark.parametrize("last_layers", [0, 1])
def test_lora_losses_are_those_of_plain_peft(silo: Silo, tmp_path: Path, anchor_folder: Path, last_layers: int) -> None:
    federation = Federation(silo, last_layers=last_layers)
    federation.deliver(*BOTH)
    own = mixed("own", members=["clinic"], alone=True)
    found = federation.evaluate(ANCHOR, own, mixed("nobody", entitlement=[]), mixed())
    plain = AutoModelForCausalLM.from_pretrained(anchor_folder).eval()
    anchor, tokens = by_hand(plain, federation.clinic)
    unpack(federation.files["clinic"], tmp_path / "adapter")
    tuned, _ = by_hand(PeftModel.from_pretrained(plain, tmp_path / "adapter").eval(), federation.clinic)
    assert found.tokens == tokens
    assert found.loss["anchor"] == pytest.approx(anchor, rel=1e-5)
    assert found.loss["own"] == pytest.approx(tuned, rel=1e-5)
    assert found.loss["nobody"] == pytest.approx(anchor, rel=1e-5)
    assert abs(tuned - anchor) > 1e-2
    assert len({round(loss, 6) for loss in (anchor, tuned, found.loss["mixture"])}) == 3


@pytest.mark.parametrize("last_layers", [0, 2])
def test_soups_of_ffn_experts_are_the_plain_model_with_mean_weights(
    silo: Silo, anchor_folder: Path, last_layers: int
) -> None:
    federation = Federation(silo, "ffn", coordinated=False, last_layers=last_layers)
    federation.deliver(*BOTH)
    found = federation.evaluate(
        mixed("own", alone=True), mixed("soup", "soup"), mixed("kept", "soup", entitlement=["court"])
    )
    weights = {owner: read_package(file, trusted=None).weights for owner, file in federation.files.items()}
    mean = {name: (value + weights["court"][name]) / 2 for name, value in weights["clinic"].items()}
    for name, values in {"own": weights["clinic"], "soup": mean, "kept": weights["court"]}.items():
        plain = AutoModelForCausalLM.from_pretrained(anchor_folder).eval()
        assert found.loss[name] == pytest.approx(by_hand(overwritten(plain, values), federation.clinic)[0], rel=1e-5)


def test_shares_are_told_for_routed_models_and_sum_to_one(silo: Silo) -> None:
    federation = Federation(silo, "ffn", last_layers=1)
    federation.deliver(*BOTH)
    models = [ANCHOR, mixed(), mixed("uniform", router="uniform"), mixed("soup", "soup")]
    models.append(mixed("without court", entitlement=["clinic"], router="uniform"))
    found = federation.evaluate(*models).shares
    assert set(found) == {"mixture", "uniform", "without court"}
    assert all(set(shares) == {"anchor", *BOTH} for shares in found.values())
    assert all(sum(shares.values()) == pytest.approx(1) for shares in found.values())
    assert found["uniform"] == pytest.approx(dict.fromkeys(["anchor", *BOTH], 1 / 3))
    assert found["without court"] == pytest.approx({"anchor": 0.5, "clinic": 0.5, "court": 0.0})


def test_missing_blobs_are_listed_and_nothing_is_evaluated(silo: Silo) -> None:
    federation = Federation(silo)
    blobs = {member.owner: member.blob for member in federation.members}
    assert federation.evaluate(ANCHOR, mixed()) == EvaluateReply(missing=[blobs["clinic"], blobs["court"]])
    federation.deliver("clinic")
    assert federation.evaluate(ANCHOR, mixed()) == EvaluateReply(missing=[blobs["court"]])
    (federation.clinic.folder / "blobs" / blobs["clinic"].removeprefix("sha256:")).write_bytes(b"damaged")
    federation.deliver("court")
    assert federation.evaluate(ANCHOR, mixed()).missing == [blobs["clinic"]]


def test_only_the_members_blobs_are_needed(silo: Silo) -> None:
    federation = Federation(silo)
    federation.deliver("clinic")
    found = federation.evaluate(ANCHOR, mixed(members=["clinic"]), owners=["clinic"])
    assert not found.missing
    assert set(found.loss) == {"anchor", "mixture"}


def test_a_silo_that_is_no_member_skips_its_own_expert(silo: Silo) -> None:
    federation = Federation(silo)
    federation.deliver("court")
    found = federation.evaluate(mixed("own", members=["court"], alone=True), ANCHOR, owners=["court"])
    assert set(found.loss) == {"anchor"}


def test_new_text_or_fewer_layers_never_meet_old_states(silo: Silo) -> None:
    federation = Federation(silo, last_layers=1)
    federation.deliver(*BOTH)
    first = federation.evaluate(ANCHOR)
    # As many windows as before, of other text, and of another length.
    for settings in ({"texts": [f"{n} otherwise" * 9 for n in range(60)]}, {"data": {"sequence_length": 16}}):
        federation.clinic = silo("clinic", **settings)
        found = federation.evaluate(ANCHOR)
        assert found.loss["anchor"] != first.loss["anchor"]
        assert found.loss["anchor"] == pytest.approx(by_hand(federation.clinic.model(), federation.clinic)[0], rel=1e-5)


def test_states_are_computed_once_for_all_variants_and_calls(silo: Silo, monkeypatch: pytest.MonkeyPatch) -> None:
    federation = Federation(silo, last_layers=1)
    federation.deliver(*BOTH)
    computed: list[Tensor] = []
    original = Prefix._compute
    monkeypatch.setattr(Prefix, "_compute", lambda self, ids: computed.append(ids) or original(self, ids))  # type: ignore[func-returns-value]
    first = federation.evaluate(ANCHOR, mixed())
    assert len(computed) == 5
    assert federation.evaluate(ANCHOR, mixed()) == first
    assert len(computed) == 5


def test_how_windows_are_batched_changes_nothing(silo: Silo) -> None:
    federation = Federation(silo, "ffn", last_layers=2)
    federation.deliver(*BOTH)
    one, many = (federation.evaluate(ANCHOR, mixed(router="naive-bayes"), batch=batch) for batch in (1, 4))
    assert one.loss == pytest.approx(many.loss, rel=1e-5)
    assert one.tokens == many.tokens


def test_an_expert_signed_by_somebody_else_is_refused(silo: Silo) -> None:
    federation = Federation(silo)
    federation.deliver(*BOTH)
    keys = [member.public_key for member in federation.members]
    federation.members = [
        MemberRef(owner=member.owner, digest=member.digest, blob=member.blob, public_key=keys[0])
        for member in federation.members
    ]
    with pytest.raises(PackageError, match="sign"):
        federation.evaluate(mixed())


def test_impossible_units_are_refused(silo: Silo) -> None:
    federation = Federation(silo)
    federation.deliver(*BOTH)
    with pytest.raises(FederationError, match="variant 'mixture' names court, who is no member"):
        federation.evaluate(mixed(), owners=["clinic"])
    with pytest.raises(ConfigError, match="no split"):
        federation.evaluate(ANCHOR, split="../../secret")
    with pytest.raises(ConfigError, match=r"evaluation\.batch"):
        federation.evaluate(ANCHOR, batch=0)
    with pytest.raises(MixtureError, match="not in this mixture: yard"):
        federation.evaluate(mixed(entitlement=["yard"]))


def test_tokens_go_to_the_models_device(silo: Silo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On torch's device without data, since a GPU is not everywhere."""
    federation = Federation(silo)
    federation.deliver(*BOTH)
    experts = {owner: read_package(file, trusted=None) for owner, file in federation.files.items()}
    model = federation.clinic.model()
    frame = federation.clinic.frame(model, experts["clinic"].card.sites)
    seen: set[str] = set()

    def loss(self: Text, logits: Tensor, targets: Mapping[str, Tensor]) -> tuple[Tensor, int]:
        seen.add(targets["ids"].device.type)
        return torch.zeros(()), 1

    monkeypatch.setattr(Text, "loss", loss)
    Evaluator(_Bigram(), frame, experts, federation.clinic.workload, federation.unit(ANCHOR), tmp_path).run(
        "clinic", quiet
    )
    assert seen == {"meta"}


class _Bigram(nn.Module):
    """A language model on torch's device without data."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(258, 258, device="meta"))

    def forward(self, input_ids: Tensor, use_cache: bool) -> Any:
        assert input_ids.device == self.table.device
        return SimpleNamespace(logits=self.table[input_ids])
