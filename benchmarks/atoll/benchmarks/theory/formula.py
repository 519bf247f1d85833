"""What a single expert forgets and how well it generalizes, in closed form.

The expert moves in every round to the nearest point that answers the round's samples:
``w_t = w_{t-1} + P_t (w_{n_t} - w_{t-1})`` with the projection P_t onto the span of s samples in d dimensions, where
``E[P_t] = (1 - r) 1`` and ``r = 1 - s/d`` for isotropic samples. As P_t is a projection, for any point c

    ``E|w_t - c|² = r E|w_{t-1} - c|² + (1 - r) E|w_{n_t} - c|²``,

which is summed over rounds from ``w_0 = 0`` with tasks drawn uniformly. For a given order of tasks the result is
theorem 4.1 of Lin, Ju, Liang and Shroff (ICML 2023, arXiv 2302.05836); over uniformly drawn orders it is what Li et
al. (ICLR 2025, arXiv 2406.16437) hold the mixture against. Without noise in the answers.

A round of the theory has the task's fixed signal among its samples, so that samples are not quite isotropic. The
generalization error is the same within what 20,000 streams show, and forgetting 1 % lower.
"""

from atoll.benchmarks.theory.world import Floats


def expected_generalization_error(rounds: int, remains: float, size: Floats, spread: Floats) -> Floats:
    """E[G_T] with ``G_T = (1/T) Σ_τ |w_T - w_{n_τ}|²``: ``r^T W̄ + (1 - r^T)(1 - 1/T) D``.

    Args:
        rounds: T.
        remains: r, the share of an old difference that a round leaves.
        size: W̄, the mean squared length of truths; any shape.
        spread: D, the mean squared distance of two truths; of the same shape.
    """
    left = remains**rounds
    return left * size + (1 - left) * (1 - 1 / rounds) * spread


def expected_forgetting(rounds: int, remains: float, size: Floats, spread: Floats) -> Floats:
    """E[F_T] with ``F_T = 1/(T-1) Σ_{τ<T} (|w_T - w_{n_τ}|² - |w_τ - w_{n_τ}|²)``.

    It is ``1/(T-1) Σ_{τ<T} [(r^T - r^τ) W̄ + (1 - r^{T-τ} + r^{T-τ+1} - r^T - r + r^τ) D]``, with both sums of powers
    from 1 to T-1 written out.

    Args:
        rounds: T, at least 2.
        remains: r, below 1.
        size: W̄.
        spread: D.
    """
    before, left = rounds - 1, remains**rounds
    powers = remains * (1 - remains**before) / (1 - remains)  # the sum of r^τ, and of r^{T-τ}
    of_size = left - powers / before
    of_spread = 1 - left - remains + remains * powers / before
    return of_size * size + of_spread * spread
