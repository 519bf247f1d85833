"""Whether a run keeps what is promised of it, in sentences with the figures that decide."""

import math

from atoll.coordinator.report.wording import baselines, difference_text, loss_text, share_text
from atoll.coordinator.results import ANCHOR, MIXTURE, RunResults

LEAST_SHARE = 0.95
"""Of the gain over the anchor that a silo's own expert makes, the share that the mixture is to keep."""
NOISE = 1e-3
"""Nats; two orders of the same sum differ by far less."""


def conclusions(results: RunResults) -> list[str]:
    """A sentence for each promise, beginning with ``yes: `` or ``no: ``; what was not measured is a no."""
    if not results.measured:
        return ["no: no silo was measured, so nothing can be said of this mixture."]
    said = [_against_anchor(results)]
    said += [_against_baseline(results, baseline) for baseline in baselines(results)]
    said.append(_gain_kept(results))
    if results.withdrawal is not None:
        said.append(_withdrawal(results))
    return said


def _against_anchor(results: RunResults) -> str:
    pairs = {
        silo: (results.losses[silo].get(MIXTURE, math.nan), results.losses[silo].get(ANCHOR, math.nan))
        for silo in results.measured
    }
    # Asked this way round, so that a loss that is no number counts as worse.
    worse = [silo for silo, (mixture, anchor) in pairs.items() if not mixture < anchor]
    if worse:
        figures = "; ".join(
            f"{silo}: {loss_text(pairs[silo][0])} against {loss_text(pairs[silo][1])} nats a {results.unit}"
            for silo in worse
        )
        return f"no: the mixture is not better than the anchor on {len(worse)} of {_silos(results)} ({figures})."
    least = min(pairs, key=lambda silo: pairs[silo][1] - pairs[silo][0])
    gain = pairs[least][1] - pairs[least][0]
    where = "every silo" if len(pairs) == len(results.silos) else f"each of {_silos(results)}"
    least_gain = f"{loss_text(gain)} nats a {results.unit} ({least})"
    return f"yes: the mixture is better than the anchor on {where}, by at least {least_gain}."


def _against_baseline(results: RunResults, baseline: str) -> str:
    mixture, other = results.mean_loss(MIXTURE), results.mean_loss(baseline)
    if mixture is None or other is None:
        missing = MIXTURE if mixture is None else baseline
        return f"no: ‘{missing}’ was not measured on every silo, so that it has no mean to compare."
    figures = f"{loss_text(mixture)} against {loss_text(other)} nats a {results.unit}"
    if mixture < other:
        return f"yes: on average over the silos the mixture is better than ‘{baseline}’, {figures}."
    return f"no: on average over the silos the mixture is not better than ‘{baseline}’, {figures}."


def _gain_kept(results: RunResults) -> str:
    shares = results.share_of_gain
    if not shares:
        return "no: no silo's own expert is known to gain over the anchor, so that there is no gain to keep."
    least = min(shares, key=lambda silo: (not math.isnan(shares[silo]), shares[silo]))
    gain = "of the gain over the anchor that a silo's own expert makes"
    without = [silo for silo in results.measured if silo not in shares]
    beside = f"; no gain is known on {', '.join(without)}" if without else ""
    where = f"({least}; on average {share_text(results.mean_share_of_gain)}{beside})"
    if shares[least] >= LEAST_SHARE:
        return f"yes: the mixture keeps at least {share_text(shares[least])} {gain} {where}."
    promised = f"less than the {LEAST_SHARE:.0%} that it is to keep"
    return f"no: the mixture keeps as little as {share_text(shares[least])} {gain} {where}, {promised}."


def _withdrawal(results: RunResults) -> str:
    found = results.withdrawal
    assert found is not None
    apart = abs(found.loss_after - found.loss_never_had)
    figures = (
        f"{loss_text(found.loss_after)} against {loss_text(found.loss_never_had)} nats a {results.unit}, "
        f"a difference of {difference_text(apart)}; "
        f"other silos change by at most {loss_text(found.max_change_elsewhere)}"
    )
    if apart <= NOISE:
        return f"yes: without {found.owner} the mixture is as one that never had it, on its data {figures}."
    return f"no: without {found.owner} the mixture is not as one that never had it, on its data {figures}."


def _silos(results: RunResults) -> str:
    measured, silos = len(results.measured), len(results.silos)
    return f"{measured} silos" if measured == silos else f"the {measured} silos that were measured, out of {silos}"
