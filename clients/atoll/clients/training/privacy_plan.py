"""What a private training may do: its noise, its random batches, and the ε that it spends."""

import hashlib
import importlib
import os
import secrets
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atoll.errors import ConfigError, DataError
from atoll.experts.privacy_config import PrivacyConfig

_SECRET = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class PrivacyPlan:
    """A private training, settled before it begins.

    Each step takes each of ``units`` units with probability ``rate``, whatever the others do (Poisson sampling), clips
    what each adds to the gradient to the norm ``clip``, and adds Gaussian noise of the standard deviation
    ``noise * clip`` to every number of the sum. Two data sets are neighbours when one has one unit more.

    Attributes:
        unit: ``sequence`` or ``user``.
        units: How many the training split has.
        rate: Chance of a unit to be in a step.
        noise: The noise multiplier σ.
        clip: Largest norm of one unit's gradient.
        delta: δ.
        accountant: ``rdp`` or ``prv``.
        per_user: Sequences of one user that a step looks at, at most.
        chunk: Sequences that are run at a time.
    """

    unit: str
    units: int
    rate: float
    noise: float
    clip: float
    delta: float
    accountant: str
    per_user: int
    chunk: int

    @property
    def expected(self) -> float:
        """Units in a step on average, by which the noisy sum is divided."""
        return self.rate * self.units

    def epsilon(self, steps: int) -> float:
        """ε spent by so many steps, by Opacus' accountant.

        Raises:
            ConfigError: Opacus is not installed.
        """
        accountant = _opacus("accountants").create_accountant(mechanism=self.accountant)
        accountant.history = [(self.noise, self.rate, steps)] if steps else []
        with _quiet():
            return float(accountant.get_epsilon(delta=self.delta)) if steps else 0.0


@dataclass(frozen=True, eq=False, slots=True)
class Drawn:
    """What one step looks at.

    Attributes:
        sequences: [B], which sequences of the training split; B may be 0.
        units: [B], the unit of each, counted from 0 within the step; a unit's sequences stand together.
    """

    sequences: NDArray[np.int64]
    units: NDArray[np.int64]


def plan_privacy(config: PrivacyConfig, *, units: int, batch: int, steps: int) -> PrivacyPlan:
    """The least noise with which so many steps keep to the ε of the configuration.

    Args:
        config: What is promised.
        units: Sequences or users of the training split, as ``config.unit`` says.
        batch: Units a step looks at, on average.
        steps: Steps at most; a training that stops earlier spends less.

    Raises:
        ConfigError: an impossible configuration, an ε that no noise reaches, or Opacus is not installed.
        DataError: too few units.
    """
    config.check()
    if not config.on:
        raise ConfigError("privacy.epsilon is 0, which is training without privacy; there is nothing to plan")
    if units < 2 or batch > units:
        raise DataError(
            f"private training: {units} units of privacy ({config.unit}s) are too few for training.batch {batch}; "
            "lower training.batch, or train without privacy"
        )
    delta = config.delta or units**-1.1
    if delta >= 1 / units:
        raise ConfigError(
            f"privacy.delta {delta:g} is no promise to {units} {config.unit}s; keep it below {1 / units:g}"
        )
    return PrivacyPlan(
        unit=config.unit,
        units=units,
        rate=batch / units,
        noise=_least_noise(config.epsilon, delta, batch / units, steps, config.accountant),
        clip=config.clip,
        delta=delta,
        accountant=config.accountant,
        per_user=config.per_user,
        chunk=config.chunk,
    )


def draw(plan: PrivacyPlan, generator: np.random.Generator, users: NDArray[np.int64] | None = None) -> Drawn:
    """Which sequences one step looks at, by Poisson sampling of units.

    Args:
        plan: The training.
        generator: Of this step (:func:`step_generator`).
        users: [N], for unit ``user``: whose each sequence of the training split is, any numbers.

    Raises:
        DataError: the users are not those of the plan.
    """
    chosen = np.flatnonzero(generator.random(plan.units) < plan.rate)
    if users is None:
        if plan.unit != "sequence":
            raise DataError("private training: the unit is a user, but it is not said whose the sequences are")
        return Drawn(chosen, np.arange(len(chosen)))
    names, person = np.unique(users, return_inverse=True)
    if plan.unit != "user" or len(names) != plan.units:
        raise DataError(f"private training: {len(names)} users, but the plan is for {plan.units} {plan.unit}s")
    shuffled = generator.permutation(len(person))
    ordered = shuffled[np.argsort(person[shuffled], kind="stable")]
    starts = np.searchsorted(person[ordered], np.arange(len(names) + 1))
    parts = [ordered[starts[one] : min(starts[one + 1], starts[one] + plan.per_user)] for one in chosen]
    sizes = np.array([len(part) for part in parts], np.int64)
    return Drawn(np.concatenate([np.empty(0, np.int64), *parts]), np.arange(len(parts)).repeat(sizes))


def owner_secret(file: Path) -> bytes:
    """The secret of one training, made at its first call; it never leaves the owner.

    Who knows which units were drawn, or what noise was added, can take the noise off. So neither may come from a seed
    that others know, such as the run's. A file belongs to one training on one data set: the same noise on two would
    show their difference.

    Raises:
        DataError: the file is damaged.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        partial = file.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as handle:
            handle.write(secrets.token_bytes(_SECRET))
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(partial, file)
    found = file.read_bytes()
    if len(found) != _SECRET:
        raise DataError(f"private training: {file} is damaged; remove it and the checkpoint beside it to begin anew")
    return found


def step_generator(secret: bytes, step: int) -> np.random.Generator:
    """Randomness of one step, so that a resumed training draws what it would have drawn.

    NumPy's, keyed by 128 bits (PyTorch's on a CPU takes 32 bits of its seed, which can be tried one by one). It is
    not made for cryptography, and nothing guards against attacks by floating-point rounding (Mironov 2012).
    """
    key = hashlib.blake2b(step.to_bytes(8, "big"), key=secret, digest_size=32).digest()
    return np.random.Generator(np.random.PCG64DXSM(np.random.SeedSequence(int.from_bytes(key, "big"))))


@cache
def _least_noise(epsilon: float, delta: float, rate: float, steps: int, accountant: str) -> float:
    """The noise multiplier; the search takes seconds, and trainings of the same plan share it."""
    find = _opacus("accountants.utils").get_noise_multiplier
    try:
        with _quiet():
            noise = find(
                target_epsilon=epsilon, target_delta=delta, sample_rate=rate, steps=steps, accountant=accountant
            )
    except ValueError as error:
        raise ConfigError(f"privacy.epsilon {epsilon} cannot be kept to in {steps} steps: {error}") from error
    return float(noise)


def _opacus(module: str) -> Any:
    try:
        return importlib.import_module(f"opacus.{module}")
    except ModuleNotFoundError as error:
        raise ConfigError("private training needs Opacus: pip install 'atoll[privacy]'") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the hint, at every noise that is tried, that further orders of Rényi divergence would be tighter."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Optimal order is the", category=UserWarning)
        yield
