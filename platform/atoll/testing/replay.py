"""What every replay generator promises, as a check."""

import numpy as np
import torch
from torch import Tensor

from atoll.errors import PackageError
from atoll.replay import Disclosure, Prior, Provenance, Replay, ReplaySet, Sample
from atoll.testing.replay_bench import BENCHES, ReplayBench

_BUDGET = 9


def check_replay(replay: Replay, bench: ReplayBench | None = None) -> None:
    """All that is kept is declared; draws keep to budget and vocabulary and are functions of the seed.

    Args:
        replay: The generator.
        bench: What it is tried on; for the workloads ``text``, ``mobility`` and ``images`` there is one.

    Raises:
        AssertionError: a promise that is broken.
    """
    if bench is None:
        known = [name for name in replay.workloads if name in BENCHES]
        assert known, f"give a bench: there is none for {', '.join(replay.workloads)}"
        bench = BENCHES[known[0]]()
    prior = _check_prior(replay, bench)
    before = _global_numbers()
    weights = {name: value.clone() for name, value in bench.teacher.model.state_dict().items()}
    _check_draws(replay, bench, prior)
    _check_refused(replay, bench, prior)
    after = bench.teacher.model.state_dict()
    assert all(torch.equal(weights[name], after[name]) for name in weights), "drawing changed the teacher"
    assert before == _global_numbers(), "drawing used torch's or numpy's global random numbers"


def _check_prior(replay: Replay, bench: ReplayBench) -> Prior:
    exact = Disclosure(smallest=0)
    prior = replay.remember(bench.private, bench.context, exact)
    assert prior.generator == replay.name, f"the prior is said to be of '{prior.generator}', not of {replay.name}"
    for name, declared in prior.declared.items():
        assert declared.units == bench.units, (
            f"'{name}' is declared to rest on {declared.units} {declared.unit}s, not {bench.units}: count each once"
        )
        assert declared.epsilon is None, f"'{name}' is declared to be noisy where no noise was asked for"
    read = Prior.from_bytes(prior.to_bytes())
    assert read.digest == prior.digest, "a prior does not survive its own bytes"
    assert replay.remember(bench.private, bench.context, exact).digest == prior.digest, (
        "what is remembered without noise differs from time to time"
    )
    noisy = [replay.remember(bench.private, bench.context, _noisy(secret)) for secret in (0, 0, 1)]
    assert noisy[0].epsilon is not None, "noise was asked for, and not all of the prior declares any"
    assert noisy[0].epsilon <= 100 + 1e-9, "the parts of the prior spend more epsilon than the owner permits"
    assert noisy[0].digest == noisy[1].digest != noisy[2].digest, "the noise does not come from the owner's secret"
    for name, value in prior.tensors.items():
        assert not torch.equal(value, noisy[0].tensors[name]), f"'{name}' is declared to be noisy and is not"
    return read


def _noisy(secret: int) -> Disclosure:
    return Disclosure(epsilon=100, smallest=0, secret=secret)


def _check_draws(replay: Replay, bench: ReplayBench, prior: Prior) -> None:
    whole = _drawn(replay, bench, prior)
    assert len(whole) == _BUDGET, f"{len(whole)} samples for a budget of {_BUDGET}"
    for sample in whole:
        for name, count in bench.choices.items():
            chosen = sample[name]
            assert bool(((chosen >= 0) & (chosen < count)).all()), f"'{name}' outside of the {count} that there are"
        tokens = replay.tokens(sample)
        assert tokens.dtype == np.int64, "tokens are not int64"
        assert tokens.ndim == 1, "tokens are not one sequence"
        assert bool((tokens >= 0).all()), "tokens are compared, and one is negative"
    assert _same(whole, _drawn(replay, bench, prior)), "the same seed drew something else"
    for batch in (1, 4):
        assert _same(whole, _drawn(replay, bench, prior, batch=batch)), "the batch's size changes what is drawn"
    assert not _same(whole, _drawn(replay, bench, prior, seed=1)), "another seed drew the same"
    inputs, mask = replay.batch(whole, bench.context)
    logits = bench.teacher.logits(**inputs)
    assert mask.dtype == torch.bool, "the mask of a batch is not bool"
    assert logits.shape[:2] == mask.shape, "the teacher cannot read a batch of what it drew, or the mask does not fit"
    assert mask.sum(1).tolist() == [max(map(len, _ragged(sample))) for sample in whole], "padding is not masked"
    private = replay.private_tokens(bench.private)
    assert all(tokens.dtype == np.int64 for tokens in private), "private tokens are not int64"
    _check_kept(replay, whole)


def _check_kept(replay: Replay, samples: list[Sample]) -> None:
    known = Provenance(
        owner="clinic",
        teacher="sha256:" + "0" * 64,
        experts=(),
        generator=replay.name,
        options={},
        seed=0,
        prior=None,
        budget=len(samples),
    )
    kept = ReplaySet(provenance=known, samples=samples)
    read = ReplaySet.from_bytes(kept.to_bytes())
    assert _same(samples, list(read.samples)), "samples do not survive being stored"
    assert read.digest == kept.digest, "samples do not survive being stored"


def _check_refused(replay: Replay, bench: ReplayBench, prior: Prior) -> None:
    assert len(_drawn(replay, bench, None)) == _BUDGET, "where the owner refuses a prior, nothing can be drawn"
    other = Prior(generator="another", settings=prior.settings, tensors=prior.tensors, declared=prior.declared)
    try:
        _drawn(replay, bench, other)
    except PackageError:
        return
    raise AssertionError("the prior of another generator is read as if it were its own")


def _drawn(
    replay: Replay, bench: ReplayBench, prior: Prior | None, *, seed: int = 0, batch: int = _BUDGET
) -> list[Sample]:
    return replay.generate(
        bench.teacher, prior, bench.context, budget=_BUDGET, seed=seed, templates=bench.templates, batch=batch
    )


def _same(one: list[Sample], other: list[Sample]) -> bool:
    pairs = zip(one, other, strict=True)
    return all(a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a) for a, b in pairs)


def _global_numbers() -> tuple[bytes, bytes, int]:
    numbers = np.random.get_state(legacy=False)["state"]
    return torch.random.get_rng_state().numpy().tobytes(), numbers["key"].tobytes(), numbers["pos"]


def _ragged(sample: Sample) -> list[Tensor]:
    return [value for value in sample.values() if value.ndim]
