"""Experts that an attacker makes: valid packages, signed by owners that do not exist."""

import functools
import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.func import functional_call

from atoll.anchors import Anchor
from atoll.benchmarks.attacks.silo import records
from atoll.experts.card import Consent, ExpertCard
from atoll.experts.package import write_package
from atoll.experts.signing import OwnerKey
from atoll.federation.blobs import blob_digest
from atoll.federation.units import Choice, MemberRef
from atoll.mixture import ANCHOR_STATES, Descriptor

REPLACES_ANCHOR = Choice(name="soup")
"""With one member the anchor's block is replaced by the expert's, at every token."""
NO_ROUTER = Choice(name="uniform")


@dataclass(frozen=True, kw_only=True, eq=False)
class CraftedExpert:
    """One member of the attacker's models.

    Attributes:
        ref: As units name it.
        key: Of the owner that signed it.
        data: The package.
        block: Weights of the feed-forward block, for the attacker's own calculations.
    """

    ref: MemberRef
    key: OwnerKey
    data: bytes
    block: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """What the attacker wants measured: members, and what is made of them.

    Attributes:
        members: Crafted experts, and released ones; none for the anchor alone.
        integrator: What makes the mixture.
        router: Over what.
        entitlement: Owners that may answer; ``None`` for all.
    """

    members: Sequence[CraftedExpert] = ()
    integrator: Choice = REPLACES_ANCHOR
    router: Choice = NO_ROUTER
    entitlement: tuple[str, ...] | None = None


ANCHOR_ALONE = Model()
_OWN = 100
"""Records that the attacker makes up to calibrate by."""
_STEPS, _RATE, _WINDOW = 120, 5e-3, 64
"""Of an amplifier's training: AdamW's steps and rate, tokens of a window."""


def last_block(anchor: Anchor) -> str:
    """Path of the feed-forward block that crafted experts replace."""
    return f"model.layers.{anchor.layers - 1}.mlp"


def pack_block(
    anchor: Anchor, owner: str, block: dict[str, Tensor], unigram: Tensor | None = None, words: str = "notes"
) -> CraftedExpert:
    """A package of kind ``ffn`` around the three matrices of the last block.

    Args:
        anchor: What it is for.
        owner: Whose it says it is.
        block: ``gate_proj`` [H, D], ``up_proj`` [H, D], ``down_proj`` [D, H].
        unigram: Token shares of the descriptor [vocabulary], by which router ``naive-bayes`` goes; uniform if
            not given.
        words: The card's domain.
    """
    site, size = last_block(anchor), anchor.hidden_size
    vocabulary = anchor.architecture.vocabulary
    counts = {"train": 100, "validation": 20, "test": 20}
    card = ExpertCard(
        owner=owner,
        domain=words,
        anchor=anchor.digest,
        kind="ffn",
        sites=(site,),
        targets=(site,),
        settings={},
        workload=anchor.workload,
        documents=counts,
        tokens=counts,
        training={},
        metrics={},
        privacy=None,
        licence="CC0-1.0",
        consent=Consent(purposes=("any",), until=None, statement=""),
    )
    descriptor = Descriptor(
        embedder=ANCHOR_STATES,
        samples=100,
        tokens=1000,
        sites=(site,),
        mean=torch.zeros(1, size),
        variance=torch.ones(1, size),
        unigram=torch.full((vocabulary,), 1 / vocabulary) if unigram is None else unigram,
    )
    key = OwnerKey.generate()
    weights = {f"{site}.{name}.weight": value.contiguous() for name, value in block.items()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "crafted.atoll"
        digest = write_package(path, card=card, weights=weights, descriptor=descriptor, key=key)
        data = path.read_bytes()
    ref = MemberRef(owner=owner, digest=digest, blob=blob_digest(data), public_key=key.public.hex)
    return CraftedExpert(ref=ref, key=key, data=data, block=block)


@functools.lru_cache(maxsize=4)
def anchor_model(path: Path) -> nn.Module:
    """The public anchor's model, as the attacker has it."""
    return Anchor.open(path).model().eval()


def anchor_block(anchor: Anchor) -> dict[str, Tensor]:
    """The anchor's own last block: an expert with these weights changes nothing."""
    module = anchor_model(anchor.path).get_submodule(last_block(anchor))
    names = ("gate_proj", "up_proj", "down_proj")
    return {name: module.get_submodule(name).weight.detach().clone() for name in names}  # type: ignore[operator]


def saturated_block(anchor: Anchor, direction: Tensor, size: float = 1e4) -> dict[str, Tensor]:
    """A block whose output is the same direction at every token, and outweighs all else.

    A gated unit with gate and up rows ``r`` gives ``s² σ(s)`` at ``s = r · x``, one with ``-r`` gives ``s² σ(-s)``,
    both together ``s²``; so units along all axes give ``|x|²``, which is above zero whatever the text is. After the
    final norm nothing of the text is left, and the logits are constants that the attacker knows.

    Args:
        anchor: A pre-norm anchor with at least 2 D units in its block.
        direction: [D].
        size: Length of the output beside hidden states of about 1.
    """
    d, h = anchor.hidden_size, anchor.intermediate_size
    rows = torch.zeros(h, d)
    rows[:d], rows[d : 2 * d] = torch.eye(d), -torch.eye(d)
    unit = direction / direction.norm()
    return {"gate_proj": rows, "up_proj": rows.clone(), "down_proj": size * unit[:, None].expand(d, h).clone()}


def saturated_logprobs(anchor: Anchor, direction: Tensor) -> Tensor:
    """Log-probability [vocabulary] of every token wherever :func:`saturated_block` answers, in float64."""
    model = anchor_model(anchor.path)
    with torch.no_grad():
        normed = model.model.norm(1e4 * direction / direction.norm())  # type: ignore[operator]
        return torch.log_softmax(model.lm_head(normed).double(), -1)  # type: ignore[operator]


@functools.lru_cache(maxsize=1024)
def amplifier(anchor: Anchor, text: str, seed: int = 0) -> CraftedExpert:
    """An expert that knows one text by heart: the anchor's last block, trained on that text alone.

    Args:
        anchor: The public anchor.
        text: The document whose presence is asked for.
        seed: Of the places where windows begin.
    """
    model = anchor.model()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    block = model.get_submodule(last_block(anchor))
    for parameter in block.parameters():
        parameter.requires_grad_(True)
    ids = torch.tensor(anchor.tokenizer()(text, add_special_tokens=False)["input_ids"])
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(block.parameters(), lr=_RATE, weight_decay=0.0)
    length = min(_WINDOW, len(ids))
    for _ in range(_STEPS):
        starts = torch.randint(0, len(ids) - length + 1, (4, 1), generator=generator)
        loss = _next_token_loss(model, ids[starts + torch.arange(length)])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    names = ("gate_proj", "up_proj", "down_proj")
    owner = f"puppet-{hashlib.sha256(f'{seed} {text}'.encode()).hexdigest()[:12]}"
    return pack_block(
        anchor,
        owner,
        {name: block.get_submodule(name).weight.detach().clone() for name in names},  # type: ignore[operator]
    )


@functools.lru_cache(maxsize=4)
def placebo(anchor: Anchor, owner: str = "member") -> CraftedExpert:
    """An expert that equals the anchor."""
    return pack_block(anchor, owner, anchor_block(anchor))


@functools.lru_cache(maxsize=64)
def worse_placebo(anchor: Anchor, excess: float) -> CraftedExpert:
    """An expert that is worse than the anchor everywhere by about as much: it moves a figure to where rounding turns.

    Args:
        anchor: The public anchor.
        excess: Nats a token, on text of the attacker's own.
    """
    block, rows = anchor_block(anchor), _own_records(anchor)
    start, low, high = loss_under(anchor, block, rows), 0.0, 4.0
    scaled = block
    for _ in range(12):
        middle = (low + high) / 2
        scaled = {**block, "down_proj": block["down_proj"] * (1 - middle)}
        low, high = (low, middle) if loss_under(anchor, scaled, rows) - start > excess else (middle, high)
    return pack_block(anchor, f"member-{round(excess * 1e6)}", scaled)


def amplifying_model(anchor: Anchor, expert: CraftedExpert, excess: float = 0.0) -> Model:
    """A model that amplifies the expert's text and nothing else.

    Args:
        anchor: The public anchor.
        expert: Knows one text by heart.
        excess: Nats a token by which all other documents are made worse.

    An ensemble that weighs its models by how well they foretold the text so far turns from the amplifier to the placebo
    after a few tokens of any other document; there it is the anchor, but for the cost of the first tokens.
    """
    other = worse_placebo(anchor, excess) if excess else placebo(anchor)
    return Model(members=[other, expert], integrator=Choice(name="ensemble", options={"weighting": "posterior"}))


@functools.lru_cache(maxsize=4)
def _own_records(anchor: Anchor) -> Tensor:
    """Windows [N, S] of records that the attacker made up, cut as a node cuts them and filled up with -1."""
    tokenizer, rows = anchor.tokenizer(), []
    for text in records("the attacker's", "test", _OWN):
        ids = torch.tensor(tokenizer(text, add_special_tokens=False)["input_ids"])
        rows += [part for part in ids.split(_WINDOW) if len(part) > 1]
    return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-1)


@torch.no_grad()
def loss_under(anchor: Anchor, block: Mapping[str, Tensor], rows: Tensor) -> float:
    """Loss of the anchor with this block, in nats a token.

    Args:
        anchor: The public anchor.
        block: In place of its last block.
        rows: Windows [N, S] of the attacker's own records, filled up with -1.
    """
    weights = {f"{last_block(anchor)}.{name}.weight": value for name, value in block.items()}
    inputs = {"input_ids": rows.clamp_min(0), "use_cache": False}
    logits = functional_call(anchor_model(anchor.path), weights, kwargs=inputs).logits[:, :-1]
    target = rows[:, 1:]
    return float(nn.functional.cross_entropy(logits.transpose(1, 2), target, ignore_index=-1))


def _next_token_loss(model: nn.Module, ids: Tensor) -> Tensor:
    logits = model(input_ids=ids, use_cache=False).logits[:, :-1]
    return nn.functional.cross_entropy(logits.transpose(1, 2), ids[:, 1:])
