"""A mixture is batch-invariant: each text alone, and in a batch however it is padded, gets the same answer."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from atoll.errors import MixtureError
from atoll.mixture import Mixture
from atoll.plugins import build, names
from atoll.testing import toy_anchor, toy_experts, toy_frame

OWNERS = ("archive", "clinic", "court")
ROUTERS, INTEGRATORS = names("atoll.routers"), names("atoll.integrators")
TEXTS = [torch.randint(0, 250, (length,), generator=torch.Generator().manual_seed(length)) for length in (9, 4, 7, 1)]
WIDTH = max(map(len, TEXTS))
PAD = 251


@pytest.fixture(scope="module")
def anchor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    toy_anchor(tmp_path_factory.mktemp("anchor") / "anchor")
    return tmp_path_factory.getbasetemp()


def mixture(folder: Path, router: str, integrator: str, kind: str = "lora") -> Mixture:
    made = toy_anchor(folder / "anchor")
    experts = toy_experts(made, OWNERS, kind)
    frame = toy_frame(made, experts[0].card.sites)
    how = build("atoll.integrators", integrator, {})
    found: Mixture = how.integrate(made.model(), frame, list(experts), build("atoll.routers", router, {}))
    return found


def padded(side: str) -> tuple[Tensor, Tensor]:
    """Ids [4, WIDTH] and their attention mask."""
    ids, mask = torch.full((len(TEXTS), WIDTH), PAD), torch.zeros(len(TEXTS), WIDTH, dtype=torch.int64)
    for row, text in enumerate(TEXTS):
        begin = {"right": 0, "left": WIDTH - len(text), "middle": (WIDTH - len(text)) // 2}[side]
        ids[row, begin : begin + len(text)] = text
        mask[row, begin : begin + len(text)] = 1
    return ids, mask


@torch.no_grad()
def logits(model: Mixture, entitlement: list[str] | None, **inputs: Tensor) -> tuple[Tensor, list[float]]:
    with model.use(entitlement) as call:
        found: Tensor = model(**inputs).logits.log_softmax(-1)
        shares = call.shares() if call.mass_N is not None else []
    return found, shares


@pytest.mark.parametrize("integrator", INTEGRATORS)
@pytest.mark.parametrize("router", ROUTERS)
@pytest.mark.parametrize("entitlement", [None, ["clinic"]])
def test_each_text_alone_and_in_a_padded_batch(
    tmp_path: Path, router: str, integrator: str, entitlement: list[str] | None
) -> None:
    model = mixture(tmp_path, router, integrator)
    alone = [logits(model, entitlement, input_ids=text[None])[0][0] for text in TEXTS]
    for side in ("right", "left", "middle"):
        ids, mask = padded(side)
        positions = (mask.cumsum(1) - 1).clamp_min(0)
        found, shares = logits(model, entitlement, input_ids=ids, attention_mask=mask, position_ids=positions)
        for row, expected in enumerate(alone):
            assert torch.allclose(found[row][mask[row].bool()], expected, atol=1e-5), (side, row)
        other = torch.where(mask.bool(), ids, torch.full_like(ids, 17))
        again, counted = logits(model, entitlement, input_ids=other, attention_mask=mask, position_ids=positions)
        assert torch.allclose(again[mask.bool()], found[mask.bool()], atol=1e-6), "what stands at padding plays no part"
        assert counted == pytest.approx(shares, abs=1e-6)


@pytest.mark.parametrize("router", ROUTERS)
def test_a_mask_of_the_call_and_one_of_the_model_say_the_same(tmp_path: Path, router: str) -> None:
    model = mixture(tmp_path, router, "flexolmo")
    ids, mask = padded("right")
    found, shares = logits(model, None, input_ids=ids, attention_mask=mask)
    with torch.no_grad(), model.use(None, mask_BS=mask.bool()) as call:
        other = model(input_ids=ids).logits.log_softmax(-1)
    assert torch.allclose(found[mask.bool()], other[mask.bool()], atol=1e-5)
    assert call.shares() == pytest.approx(shares, abs=1e-6)


def test_packed_rows_are_refused(tmp_path: Path) -> None:
    model = mixture(tmp_path, "domain", "flexolmo")
    ids = torch.cat([TEXTS[0], TEXTS[1]])[None]
    positions = torch.cat([torch.arange(9), torch.arange(4)])[None]
    for more, told in (
        ({"position_ids": positions}, "begin anew"),
        ({"position_ids": positions, "attention_mask": torch.ones_like(ids)}, "begin anew"),
        ({"attention_mask": torch.ones(1, 1, 13, 13, dtype=torch.bool)}, "attention masks"),
        ({"cu_seq_lens_q": torch.tensor([0, 9, 13])}, "packed rows"),
    ):
        with pytest.raises(MixtureError, match=told):
            logits(model, None, input_ids=ids, **more)
    logits(model, None, input_ids=ids, position_ids=torch.arange(13)[None])


@pytest.mark.parametrize("router", ROUTERS)
@torch.no_grad()
def test_left_padded_texts_are_continued_as_each_alone(tmp_path: Path, router: str) -> None:
    model = mixture(tmp_path, router, "flexolmo")
    how = {"max_new_tokens": 5, "do_sample": False, "eos_token_id": None, "pad_token_id": PAD}
    alone = []
    for text in TEXTS:
        with model.use(None, remember=True):
            made = model.model.generate(input_ids=text[None], attention_mask=torch.ones_like(text[None]), **how)  # type: ignore[operator]
        alone.append(made[0, len(text) :].tolist())
    ids, mask = padded("left")
    with model.use(None, remember=True):
        found = model.model.generate(input_ids=ids, attention_mask=mask, **how)  # type: ignore[operator]
    assert found[:, WIDTH:].tolist() == alone
