"""Streams of rounds, many side by side: experts that answer each round's samples exactly, and what they forget."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from atoll.benchmarks.theory.router import Chooser
from atoll.benchmarks.theory.world import Floats, Integers, Round, Setting, World, draw_round, draw_world

MakeChooser = Callable[[World, np.random.Generator], Chooser]
"""Makes who chooses, from the world and a source of noise."""
_LATE = 0.75
"""Share of the rounds after which purity is counted."""


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class Course:
    """What S streams came to.

    Attributes:
        rounds: t, where it was looked.
        forgetting_SL: F_t of each stream at each look: ``1/(t-1) Σ_{τ<t} [E_τ(w_t^(m_τ)) - E_τ(w_τ^(m_τ))]`` with
            ``E_τ(w) = |w - w_{n_τ}|²`` and the expert m_τ that had the round.
        error_SL: G_t, the generalization error: ``1/t Σ_{τ<=t} E_τ(w_t^(m_τ))``.
        purity_S: Of the last quarter of the rounds, the share that went to an expert most of whose late rounds are of
            the same cluster.
        stopped: Round [S] of the router's last update where it was stopped, 0 where it was not; empty without a router.
        world: The tasks.
    """

    rounds: tuple[int, ...]
    forgetting_SL: Floats
    error_SL: Floats
    purity_S: Floats
    stopped: Integers
    world: World


class _Experts:
    """Weights [S, M, D] that start at zero, and which rounds each has had."""

    def __init__(self, world: World, experts: int) -> None:
        streams, tasks, dimension = world.truths_SND.shape
        self._world, self._every = world, np.arange(streams)
        self._weights_SMD = np.zeros((streams, experts, dimension))
        self._on_arrival_S = np.zeros(streams)
        self.had_SMN = np.zeros((streams, experts, tasks))

    def move(self, drawn: Round, chosen_S: Integers) -> Floats:
        """The chosen expert goes to the nearest point that answers the round exactly; how far that was [S].

        ``w + X (XᵀX)⁻¹ (y - Xᵀw)`` is the projection of ``w_n - w`` onto the span of X, added to w.
        """
        truth_SD = self._world.truths_SND[self._every, drawn.task_S]
        basis_SDI, _ = np.linalg.qr(drawn.samples_SDI)
        off_SD = truth_SD - self._weights_SMD[self._every, chosen_S]
        step_SD = (basis_SDI @ (np.swapaxes(basis_SDI, 1, 2) @ off_SD[:, :, None]))[:, :, 0]
        self._weights_SMD[self._every, chosen_S] += step_SD
        self.had_SMN[self._every, chosen_S, drawn.task_S] += 1
        self._on_arrival_S += np.square(off_SD - step_SD).sum(-1)
        moved: Floats = np.linalg.norm(step_SD, axis=1)
        return moved

    def look(self, number: int) -> tuple[Floats, Floats]:
        """Forgetting and generalization error [S] after a round; the round itself has nothing to forget yet."""
        apart_SMN = np.square(self._weights_SMD[:, :, None] - self._world.truths_SND[:, None]).sum(-1)
        now_S = (self.had_SMN * apart_SMN).sum((1, 2))
        return (now_S - self._on_arrival_S) / max(1, number - 1), now_S / number


def simulate(
    setting: Setting, make: MakeChooser, *, streams: int, seed: int, looks: Sequence[int] | None = None
) -> Course:
    """Run streams side by side.

    Args:
        setting: Sizes and scales.
        make: Makes who chooses the expert.
        streams: S, each with tasks and rounds of its own.
        seed: Of all. Worlds and rounds of a seed are the same whoever chooses.
        looks: Rounds after which to look, rising; the last round by default.
    """
    random = np.random.default_rng([seed, 0])
    world = draw_world(setting, streams, random)
    chooser = make(world, np.random.default_rng([seed, 1]))
    experts = _Experts(world, chooser.experts)
    at = tuple(looks or (setting.rounds,))
    seen, early = [], np.zeros_like(experts.had_SMN)
    for number in range(1, setting.rounds + 1):
        drawn = draw_round(setting, world, random)
        chooser.learn(number, experts.move(drawn, chooser.choose(drawn)))
        if number in at:
            seen.append(experts.look(number))
        if number == int(_LATE * setting.rounds):
            early = experts.had_SMN.copy()
    return Course(
        rounds=at,
        forgetting_SL=np.stack([forgetting for forgetting, _ in seen], axis=1),
        error_SL=np.stack([error for _, error in seen], axis=1),
        purity_S=_purity(experts.had_SMN - early, world.cluster_N),
        stopped=chooser.stopped(),
        world=world,
    )


def _purity(had_SMN: Floats, cluster_N: Integers) -> Floats:
    clusters = np.eye(int(cluster_N.max()) + 1)[cluster_N]
    had_SMK = had_SMN @ clusters
    found: Floats = had_SMK.max(-1).sum(-1) / had_SMK.sum((1, 2))
    return found
