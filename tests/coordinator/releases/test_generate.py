from typing import Any

import pytest
import torch
from torch import Tensor

from atoll.coordinator.generate import Answer, Sampling, generate
from atoll.errors import ConfigError, MixtureError
from atoll.releases.opening import OpenRelease

PROMPT = "the clerk wrote he"


def ask(opened: OpenRelease, prompt: str = PROMPT, entitlement: list[str] | None = None, **how: Any) -> Answer:
    sampling = Sampling(**{"tokens": 12, **how})
    return generate(opened.mixture, opened.anchor.tokenizer(), prompt, entitlement=entitlement, sampling=sampling)


@torch.no_grad()
def by_hand(opened: OpenRelease, entitlement: list[str] | None, tokens: int = 12) -> tuple[str, list[float]]:
    """The likeliest tokens, reading all of the text anew for each."""
    tokenizer = opened.anchor.tokenizer()
    ids = torch.tensor([tokenizer(PROMPT)["input_ids"]])
    start = ids.shape[1]
    shares: list[float] = []
    for _ in range(tokens):
        with opened.mixture.use(entitlement) as call:
            logits: Tensor = opened.mixture(input_ids=ids, use_cache=False).logits
            shares = call.shares() if call.mass_N is not None else []
        ids = torch.cat([ids, logits[:, -1].argmax(-1, keepdim=True)], 1)
    assert 257 not in ids  # no end within, so that lengths are equal
    return tokenizer.decode(ids[0, start:]), shares


@pytest.mark.parametrize("entitlement", [None, ["clinic", "office"], []], ids=["all", "two", "nobody"])
@pytest.mark.parametrize(
    ("router", "options"), [("domain", {"temperature": 500.0}), ("domain", {"k": 1}), ("top-k", {}), ("uniform", {})]
)
def test_the_cache_changes_nothing(
    make: Any, router: str, options: dict[str, Any], entitlement: list[str] | None
) -> None:
    opened = make(router=router, **options)
    answer = ask(opened, entitlement=entitlement)
    text, shares = by_hand(opened, entitlement)
    assert answer.text == text
    # The last token is never read, and `by_hand` ends with all but it too.
    assert list(answer.shares.values()) == pytest.approx(shares, abs=1e-4)
    assert list(answer.shares) == ["anchor", "clinic", "library", "office"]
    if entitlement is not None:
        assert all(answer.shares[owner] == 0 for owner in ("clinic", "library", "office") if owner not in entitlement)


def test_experts_change_the_answer(make: Any) -> None:
    opened = make(router="uniform")
    assert len({ask(opened, entitlement=owners).text for owners in ([], ["clinic"], ["office"])}) == 3


def test_sampling_is_by_seed_and_leaves_the_global_generator_alone(make: Any) -> None:
    opened = make(router="domain")
    before = torch.get_rng_state()
    one = [ask(opened, temperature=1.5, seed=1).text for _ in range(2)]
    assert one[0] == one[1]
    assert ask(opened, temperature=1.5, seed=2).text != one[0]
    assert torch.equal(torch.get_rng_state(), before)
    # A nucleus of next to nothing is the likeliest token.
    assert ask(opened, temperature=1.5, top_p=1e-6, seed=3).text == ask(opened).text


def test_averaged_weights_share_equally(make: Any) -> None:
    answer = ask(make(integrator="soup", router="uniform"), entitlement=["clinic", "office"])
    assert answer.shares == {"anchor": 0, "clinic": 0.5, "library": 0, "office": 0.5}
    assert answer.text


@pytest.mark.parametrize("case", [{"router": "uniform"}, {"router": "top-k", "learned": True}], ids=["alone", "beside"])
def test_an_ensemble_answers_too_and_weighs_its_models(make: Any, case: dict[str, Any]) -> None:
    opened = make(integrator="ensemble", **case)
    answer = ask(opened)
    assert answer.text == by_hand(opened, None)[0]
    assert sum(answer.shares.values()) == pytest.approx(1, abs=1e-5)
    assert answer.shares["anchor"] == 0
    assert ask(opened, entitlement=["clinic"]).shares["clinic"] == pytest.approx(1)
    assert ask(opened, entitlement=[]).shares["anchor"] == pytest.approx(1)
    assert ask(opened, temperature=2.0, top_p=0.9, seed=4) == ask(opened, temperature=2.0, top_p=0.9, seed=4)


def test_an_empty_prompt_begins_a_document(make: Any) -> None:
    assert ask(make(router="uniform"), prompt="").text


def test_an_ensemble_reads_a_single_token(make: Any) -> None:
    assert ask(make(integrator="ensemble", router="uniform"), prompt="").text


@pytest.mark.parametrize("integrator", ["flexolmo", "ensemble"])
def test_an_answer_ends_with_the_context(make: Any, integrator: str) -> None:
    opened = make(integrator=integrator, router="uniform")
    tokenizer = opened.anchor.tokenizer()
    answer = ask(opened, prompt="a" * 60, tokens=50).text
    assert answer == ask(opened, prompt="a" * 60, tokens=4).text != ask(opened, prompt="a" * 60, tokens=3).text
    with pytest.raises(ConfigError, match=r"64 tokens.*at most 64"):
        generate(opened.mixture, tokenizer, "a" * 64)


def test_bad_requests_are_refused(make: Any) -> None:
    opened = make(router="domain")
    with pytest.raises(MixtureError, match="clinc"):
        ask(opened, entitlement=["clinc"])
    for how in ({"tokens": 0}, {"temperature": -1.0}, {"temperature": float("nan")}, {"top_p": 0.0}, {"top_p": 1.5}):
        with pytest.raises(ConfigError, match=next(iter(how))):
            Sampling(**how)
