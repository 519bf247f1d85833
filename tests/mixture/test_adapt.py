"""Opening a mixture for training changes nothing until something is trained, and then only what was opened."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from atoll.errors import MixtureError
from atoll.experts.integrator import members
from atoll.mixture import ExpertKind, Mixture
from atoll.mixture.adapt import Adapter, rows_of
from atoll.mixture.layer import Mixed
from atoll.plugins import build, names
from atoll.testing import toy_anchor, toy_experts, toy_frame

OWNERS = ("archive", "clinic", "court")
IDS = torch.randint(0, 256, (2, 7), generator=torch.Generator().manual_seed(1))


def mixture(folder: Path, kind: str, owners: tuple[str, ...] = OWNERS, rows: object = None) -> Mixture:
    anchor = toy_anchor(folder / "anchor")
    experts = toy_experts(anchor, owners, kind)
    frame = toy_frame(anchor, experts[0].card.sites)
    router = build("atoll.routers", "top-k", {"k": 4})
    return Mixture(anchor.model(), frame, *members(experts), router, rows=rows)  # type: ignore[arg-type]


def logits(model: Mixture, owners: tuple[str, ...] | None = None) -> Tensor:
    with model.use(owners):
        found: Tensor = model(input_ids=IDS).logits
    return found


def fit(adapter: Adapter, steps: int = 3) -> None:
    optimizer = torch.optim.AdamW(adapter.parameters.values(), lr=0.05, weight_decay=0.0)
    for _ in range(steps):
        (logits(adapter.mixture) ** 2).mean().backward()
        optimizer.step()
        optimizer.zero_grad()


@pytest.mark.parametrize("kind", names("atoll.experts"))
def test_opening_alone_changes_nothing(tmp_path: Path, kind: str) -> None:
    plain, opened = mixture(tmp_path, kind), mixture(tmp_path, kind)
    adapter = Adapter(opened, experts=["clinic"], rows=opened.slots)
    assert adapter.parameters
    assert torch.equal(logits(opened), logits(plain))


@pytest.mark.parametrize("kind", names("atoll.experts"))
def test_only_what_was_opened_changes(tmp_path: Path, kind: str) -> None:
    model = mixture(tmp_path, kind)
    before = logits(model, ("archive",)).detach()
    adapter = Adapter(model, experts=["clinic"], rows=["clinic"])
    old = {owner: adapter.expert(owner) for owner in OWNERS}
    rows = rows_of(model)
    fit(adapter)
    for owner in OWNERS:
        same = [
            torch.equal(value, old[owner][target][name])
            for target, tensors in adapter.expert(owner).items()
            for name, value in tensors.items()
            if value.ndim
        ]
        assert all(same) if owner != "clinic" else not any(same)
    for site, slots in adapter.rows().items():
        for slot, state in slots.items():
            equal = torch.equal(state["row"], rows[site][slot]["row"])
            assert equal == (slot != "clinic")
    assert torch.equal(logits(model, ("archive",)), before), "somebody else's answer has changed"


@pytest.mark.parametrize("kind", names("atoll.experts"))
def test_gradients_are_those_of_the_stacks(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However a kind spares itself the frozen experts, what is trained gets the same gradients."""
    model = mixture(tmp_path, kind)
    adapter = Adapter(model, experts=["clinic"], rows=["clinic"])
    parameters = [*adapter.parameters.values()]
    spared = torch.autograd.grad(logits(model).square().sum(), parameters)
    monkeypatch.setattr(type(model.kind), "mix_opened", ExpertKind.mix_opened)
    whole = torch.autograd.grad(logits(model).square().sum(), parameters)
    for one, other in zip(spared, whole, strict=True):
        assert bool(one.any())
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_frozen_feed_forward_blocks_get_no_gradient(tmp_path: Path) -> None:
    model = mixture(tmp_path, "ffn")
    adapter = Adapter(model, experts=["clinic"])
    layer = model.model.get_submodule("model.layers.0.mlp")
    assert isinstance(layer, Mixed)
    needs = [part.requires_grad for part in layer.slots["up_proj"]()]
    assert needs == [False, False, True, False]  # the anchor, archive, clinic, court
    assert len(adapter.parameters) == 6


def test_fitted_rows_are_kept_by_whoever_stays(tmp_path: Path) -> None:
    """Rows belong to slots: leaving an expert out leaves its row out, and the others route as they were fitted."""
    adapter = Adapter(mixture(tmp_path, "ffn"), rows=("anchor", *OWNERS))
    fit(adapter)
    whole = mixture(tmp_path, "ffn", rows=adapter.rows())
    assert torch.equal(logits(whole), logits(adapter.mixture))
    assert not torch.allclose(logits(whole), logits(mixture(tmp_path, "ffn")), atol=1e-4)
    assert torch.equal(logits(mixture(tmp_path, "ffn").with_rows(adapter.rows())), logits(whole))
    fewer = mixture(tmp_path, "ffn", OWNERS[1:], rows=adapter.rows())
    torch.testing.assert_close(logits(fewer), logits(whole, OWNERS[1:]), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(logits(whole.restrict(OWNERS[1:])), logits(fewer), rtol=1e-4, atol=1e-5)


def test_rows_of_another_router_are_refused(tmp_path: Path) -> None:
    model = mixture(tmp_path, "ffn")
    rows = rows_of(model)
    site = next(iter(rows))
    rows[site]["clinic"] = {"row": torch.zeros(3), "bias": torch.zeros(())}
    with pytest.raises(MixtureError, match=f"row of 'clinic' at '{site}'"):
        model.with_rows(rows)


def test_what_is_not_there_cannot_be_opened(tmp_path: Path) -> None:
    model = mixture(tmp_path, "ffn")
    with pytest.raises(MixtureError, match="not in this mixture: yard"):
        Adapter(model, experts=["yard"])
    with pytest.raises(MixtureError, match="'anchor' has no expert"):
        Adapter(model).expert("anchor")
